//! Rule 13: etcd was restored from a backup.

use std::collections::BTreeSet;

use milena_crds::KafkaTopicSpec;
use milena_crds::partition::{Offline, PartitionKey, PartitionState, Recollection};
use milena_crds::restore::Declared;

use super::World;
use crate::{Broker, Cluster};

/// A topic on three brokers, led by broker 0 in the ISR of all, and the state that brokers remember: broker 1 leads
/// alone. `memory`: what each of them remembers.
fn restored() -> (World, PartitionState, PartitionState) {
    let mut world = World::new(3);
    world.create_with("a", KafkaTopicSpec { replicas: 3, ..World::spec(1) }, None);
    world.settle();
    let stored = world.states("a").remove(0);
    let newest = stored.elect(stored.replicas[1]).unwrap();
    let isr = newest.isr.iter().filter(|member| member.broker == newest.replicas[1]).copied().collect();
    let newest = newest.change_isr(newest.leader_epoch, isr, 1).unwrap();
    (world, stored, newest)
}

fn declare(world: &mut World, without: impl IntoIterator<Item = i32>) {
    let without: BTreeSet<i32> = without.into_iter().collect();
    let text = format!("true without={without:?}");
    let restored = Some(Declared { id: "true".to_owned(), text, without });
    let cluster = Cluster { restored, ..world.cluster.clone().unwrap() };
    world.set_cluster(Some(cluster));
    world.settle();
}

/// A broker answers all that it is asked.
fn answer(world: &mut World, id: i32, state: Option<&PartitionState>) {
    let generation = world.brokers[&id].generation;
    for (key, asked) in world.controller.wanted_recollections().remove(&id).unwrap_or_default() {
        let known = state.map_or(-1, |state| state.leader_epoch);
        let refuses = known.max(asked.leader_epoch);
        world.controller.recalled(id, generation, key, Recollection { state: state.cloned(), refuses });
    }
    world.settle();
}

fn asked(world: &World) -> Vec<i32> {
    world.controller.wanted_recollections().into_keys().collect()
}

fn report(world: &mut World, id: i32, reports: bool) {
    let key = PartitionKey { topic_id: world.id("a"), partition: 0 };
    let older = Offline::named(reports.then_some(key).into_iter().collect());
    let broker = Broker { older, ..world.brokers[&id].clone() };
    world.set_broker(id, broker);
    world.settle();
}

#[test]
fn the_newest_state_that_anybody_remembers_is_put_back_once_all_are_heard() {
    let (mut world, stored, newest) = restored();
    declare(&mut world, []);
    assert_eq!((asked(&world), &world.states("a")[0]), (vec![0, 1, 2], &stored));
    assert_eq!((world.reason("a").as_str(), &world.restored), ("Restoring", &None));
    // Nothing is decided on what is stored.
    world.kill(0);
    world.settle();
    assert_eq!(world.states("a")[0], stored);
    world.start(0, true);
    answer(&mut world, 0, Some(&stored));
    answer(&mut world, newest.replicas[1], Some(&newest));
    assert_eq!(world.states("a")[0], stored, "one is not heard");
    answer(&mut world, newest.replicas[2], None);
    let back = world.states("a").remove(0);
    assert_eq!((back.leader, &back.isr), (newest.leader, &newest.isr));
    assert!(back.is_successor_of(&newest) && back.leader_epoch > newest.leader_epoch);
    assert_eq!((asked(&world), world.restored.as_deref()), (vec![], Some("true without={}")));
    assert_eq!(world.reason("a"), "Ready");
    world.set_cluster(Some(Cluster { restored: None, ..world.cluster.clone().unwrap() }));
    world.settle();
    assert!(world.chunks.values().all(|object| object.restored.is_empty() && object.held.is_empty()));
    let told: Vec<_> = world.notes.iter().map(|note| note.reason).collect();
    assert!(told.contains(&"RestoreDeclared") && told.contains(&"StatesRestored"), "{told:?}");
}

#[test]
fn who_stays_away_is_waited_for_until_a_person_gives_it_up() {
    let (mut world, stored, newest) = restored();
    let away = newest.replicas[2];
    world.kill(away);
    declare(&mut world, []);
    answer(&mut world, newest.replicas[0], Some(&stored));
    answer(&mut world, newest.replicas[1], Some(&newest));
    assert_eq!((world.states("a")[0].clone(), asked(&world)), (stored, vec![]));
    let message = world.condition("a").message;
    assert!(message.contains(&format!("waits for broker {away}: start it")), "{message}");
    assert_eq!(world.controller.summary().awaited, [away].into());
    declare(&mut world, [away]);
    assert_eq!(world.states("a")[0].leader, newest.leader);
    assert!(world.notes.iter().any(|note| note.reason == "RestoredWithout"));
}

#[test]
fn an_unclean_election_that_is_asked_for_gives_up_who_stays_away() {
    let (mut world, stored, newest) = restored();
    world.kill(newest.replicas[2]);
    declare(&mut world, []);
    answer(&mut world, newest.replicas[0], Some(&stored));
    answer(&mut world, newest.replicas[1], Some(&newest));
    world.change("a", |object| {
        let wish = [(milena_crds::names::ELECT_LEADERS.to_owned(), "unclean:0".to_owned())];
        object.metadata.annotations = Some(wish.into());
    });
    world.settle();
    assert_eq!((world.states("a")[0].leader, world.unclean), (newest.leader, 0));
}

#[test]
fn what_a_broker_reports_is_looked_at_before_it_is_believed() {
    let (mut world, stored, newest) = restored();
    report(&mut world, 2, true);
    let wanted = world.controller.wanted_recollections();
    assert!(wanted.len() == 1 && !wanted[&2][0].1.refuse, "only looked at: {wanted:?}");
    // In doubt nobody is elected.
    world.kill(0);
    world.settle();
    assert_eq!(world.states("a")[0], stored);
    // It was shown something old, and knows of nothing newer.
    answer(&mut world, 2, Some(&stored));
    assert_ne!(world.states("a")[0], stored);
    assert!(world.chunks.values().all(|object| object.held.is_empty()));
    let stored = world.states("a").remove(0);
    let newer = PartitionState { partition_epoch: stored.partition_epoch + 9, ..newest.clone() };
    answer(&mut world, 2, Some(&newer));
    assert!(world.chunks.values().any(|object| object.held.len() == 1), "it does know of something newer");
    world.start(0, true);
    world.settle();
    report(&mut world, 2, false);
    for id in 0..3 {
        answer(&mut world, id, Some(&newer));
    }
    assert!(world.states("a")[0].is_successor_of(&newer));
    assert_eq!(world.states("a")[0].isr, newer.isr);
    assert!(world.notes.iter().any(|note| note.reason == "OlderStates"));
}

#[test]
fn replicas_that_only_the_newest_state_has_are_heard_too() {
    let mut world = World::new(4);
    world.create_with("a", KafkaTopicSpec { replicas: 1, ..World::spec(1) }, None);
    world.settle();
    let stored = world.states("a").remove(0);
    let (here, there) = (stored.replicas[0], (stored.replicas[0] + 1) % 4);
    let moves = stored.reassign(&[there]).unwrap();
    let moved = PartitionState { partition_epoch: 9, ..moves.clone() };
    world.kill(there);
    declare(&mut world, []);
    for id in (0..4).filter(|id| *id != there) {
        answer(&mut world, id, (id == here).then_some(&moves));
    }
    assert_eq!(world.states("a")[0], stored, "it has moved, or was about to");
    world.start(there, true);
    world.settle();
    answer(&mut world, there, Some(&moved));
    assert_eq!(world.states("a")[0].replicas, moved.replicas);
}

#[test]
fn what_is_adopted_waits_for_what_brokers_remember_of_it() {
    let (mut world, _, newest) = restored();
    let id = uuid::Uuid::from_u128(0xada);
    world.create_with("b", KafkaTopicSpec { replicas: 3, ..World::spec(1) }, Some(id));
    world.settle();
    let begun = world.states("b").remove(0);
    assert_eq!((asked(&world), world.reason("b").as_str()), (vec![0, 1, 2], "Restoring"));
    for id in 0..3 {
        answer(&mut world, id, (id == 1).then_some(&newest));
    }
    let back = world.states("b").remove(0);
    assert!(back.is_successor_of(&newest) && back.is_successor_of(&begun));
    assert_eq!((back.isr, world.reason("b").as_str()), (newest.isr, "Ready"));
}

#[test]
fn brokers_are_made_even_once_it_is_known_where_replicas_are() {
    let mut world = World::new(2);
    world.create("a", 12);
    world.settle();
    let states = world.states("a");
    let cluster = world.cluster.clone().unwrap();
    let restored = Some(Declared { id: "true".to_owned(), ..Declared::default() });
    world.start(2, true);
    world.set_cluster(Some(Cluster { brokers: 3, restored, ..cluster.clone() }));
    world.settle();
    for id in 0..3 {
        answer(&mut world, id, None);
    }
    let replicas =
        |world: &World| world.states("a").iter().map(|state| state.replicas.clone()).collect::<Vec<_>>();
    assert_eq!(replicas(&world), states.iter().map(|state| state.replicas.clone()).collect::<Vec<_>>());
    world.set_cluster(Some(Cluster { brokers: 3, ..cluster }));
    world.settle();
    assert!(world.states("a").iter().any(PartitionState::is_reassigning), "now they move");
}
