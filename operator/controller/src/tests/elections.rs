//! Elections beyond the ordinary: asked for by a person or a client, allowed by a setting, back to the first replicas.

use k8s_openapi::jiff::SignedDuration;
use milena_crds::elections::{ElectionType, Wish};
use milena_crds::names;
use milena_crds::partition::{Offline, PartitionKey, PartitionState};

use super::World;
use crate::{Broker, Liveness};

/// Three brokers and a topic `a` of as many replicas, all in sync.
fn world(partitions: i32) -> World {
    let mut world = World::new(3);
    world.create_with("a", milena_crds::KafkaTopicSpec { replicas: 3, ..World::spec(partitions) }, None);
    world.settle();
    world
}

fn annotate(world: &mut World, text: &str) {
    let all = [(names::ELECT_LEADERS.to_owned(), text.to_owned())];
    world.change("a", |topic| topic.metadata.annotations = Some(all.into()));
    world.settle();
    let left = world.topics["a"].metadata.annotations.as_ref().unwrap();
    assert!(left.is_empty(), "the annotation goes: {left:?}");
}

fn told(world: &World, reason: &str) -> Vec<String> {
    world.notes.iter().filter(|note| note.reason == reason).map(|note| note.message.clone()).collect()
}

fn fail_over(world: &mut World, broker: i32) {
    world.kill(broker);
    world.settle();
    world.start(broker, true);
    world.settle();
}

fn is_led_by_first(state: &PartitionState) -> bool {
    state.leader == state.replicas.first().copied()
}

#[test]
fn the_first_replica_leads_where_somebody_asks() {
    let mut world = world(3);
    let first = world.states("a")[0].leader.unwrap();
    fail_over(&mut world, first);
    let before = world.states("a");
    assert!(!is_led_by_first(&before[0]) && is_led_by_first(&before[1]));
    // Only the one that is named moves, and the others stay.
    annotate(&mut world, "preferred:0,preferred:1");
    let after = world.states("a");
    assert!(is_led_by_first(&after[0]));
    assert_eq!((after[0].leader_epoch, &after[0].isr), (before[0].leader_epoch + 1, &before[0].isr));
    assert_eq!(after[1..], before[1..]);
    assert!(told(&world, "ElectionNotHeld").is_empty());
}

#[test]
fn an_election_is_held_only_in_the_epoch_that_it_was_asked_for() {
    let mut world = world(1);
    let first = world.states("a")[0].leader.unwrap();
    fail_over(&mut world, first);
    let before = world.states("a");
    let epoch = before[0].leader_epoch;
    annotate(&mut world, &format!("preferred:0@{}", epoch - 1));
    assert_eq!(world.states("a"), before);
    let wish = |leader_epoch| Wish { kind: ElectionType::Preferred, partition: 0, leader_epoch };
    let id = world.id("a");
    world.controller.ask_elections(id, [wish(Some(epoch - 1))]);
    world.settle();
    assert_eq!(world.states("a"), before);
    world.controller.ask_elections(id, [wish(Some(epoch))]);
    world.settle();
    assert!(is_led_by_first(&world.states("a")[0]));
}

#[test]
fn what_cannot_be_held_is_told() {
    let mut world = world(1);
    let first = world.states("a")[0].leader.unwrap();
    world.kill(first);
    world.settle();
    let before = world.states("a");
    for (text, says) in [
        ("preferred:0", "not in sync, or is down"),
        ("unclean:7", "no such partition"),
        ("clean:0", "'clean:0' is no election"),
    ] {
        world.notes.clear();
        annotate(&mut world, text);
        let told = told(&world, "ElectionNotHeld");
        assert!(told.len() == 1 && told[0].contains(says), "{told:?}");
        assert_eq!(world.states("a"), before);
    }
    // A partition with a leader needs no unclean election.
    world.notes.clear();
    annotate(&mut world, "unclean:0");
    assert_eq!((told(&world, "ElectionNotHeld").len(), world.states("a")), (0, before));
}

/// A partition whose only in-sync replica is gone, with one that was not in sync alive.
fn lost(world: &mut World) -> (i32, i32) {
    let state = world.states("a").remove(0);
    let (leader, other) = (state.leader.unwrap(), state.replicas[1]);
    let alone = state.isr.iter().copied().filter(|member| member.broker == leader).collect();
    let next = state.change_isr(state.leader_epoch, alone, 1).unwrap();
    let chunk = *world.chunks.first_key_value().unwrap().0;
    let mut spec = world.chunks[&chunk].clone();
    spec.partitions.values_mut().for_each(|text| *text = next.to_string());
    world.chunks.insert(chunk, spec.clone());
    world.controller.apply_chunk(chunk, spec);
    world.settle();
    world.kill(leader);
    world.settle();
    (leader, other)
}

#[test]
fn an_unclean_election_is_held_only_by_name_and_told_as_loss() {
    let mut world = world(1);
    let (leader, other) = lost(&mut world);
    assert_eq!((world.states("a")[0].leader, world.unclean), (None, 0));
    annotate(&mut world, "unclean:0");
    let state = &world.states("a")[0];
    assert_eq!((state.leader, state.isr.len(), state.elr.len()), (Some(other), 1, 0));
    assert_eq!(world.unclean, 1);
    let told = told(&world, "UncleanElection");
    assert!(told.len() == 1 && told[0].contains("lost"), "{told:?}");
    // Who was in sync before is a follower now.
    world.start(leader, true);
    world.settle();
    assert_eq!(world.states("a")[0].leader, Some(other));
}

#[test]
fn an_unclean_election_prefers_who_lacks_least() {
    let mut world = world(1);
    let (leader, _) = lost(&mut world);
    // Its machine lost power: it has its disk, and can be elected no more by the ordinary rules.
    let broker = world.brokers[&leader].clone();
    let mut generation = broker.generation;
    generation.unclean_starts += 1;
    let offline = Offline::named([PartitionKey { topic_id: world.id("a"), partition: 0 }].into());
    world.set_broker(leader, Broker { generation, offline, liveness: Liveness::Alive, ..broker.clone() });
    world.settle();
    assert_eq!(world.states("a")[0].leader, None, "its log directory is out of service");
    annotate(&mut world, "unclean:0");
    assert_ne!(world.states("a")[0].leader, Some(leader));
}

#[test]
fn unclean_elections_by_setting() {
    for (topic, cluster) in
        [(None, None), (Some("true"), None), (None, Some("true")), (Some("false"), Some("true"))]
    {
        let mut world = world(1);
        let name = "unclean.leader.election.enable".to_owned();
        let mut kafka_cluster = world.cluster.clone().unwrap();
        kafka_cluster.config.extend(cluster.map(|value| (name.clone(), value.into())));
        world.set_cluster(Some(kafka_cluster));
        world
            .change("a", |object| object.spec.config.extend(topic.map(|value| (name.clone(), value.into()))));
        let (_, other) = lost(&mut world);
        let allowed = topic.or(cluster) == Some("true");
        let expected = if allowed { (Some(other), 1) } else { (None, 0) };
        assert_eq!((world.states("a")[0].leader, world.unclean), expected, "{topic:?} {cluster:?}");
        if !allowed {
            // It counts from the moment when it is allowed.
            world.change("a", |object| drop(object.spec.config.insert(name, "true".into())));
            world.settle();
            assert_eq!((world.states("a")[0].leader, world.unclean), (Some(other), 1));
        }
    }
}

#[test]
fn nobody_is_elected_by_setting_while_a_member_may_turn_up() {
    let mut world = world(1);
    world.change("a", |object| {
        object.spec.config.insert("unclean.leader.election.enable".to_owned(), "true".into());
    });
    let state = world.states("a").remove(0);
    for replica in &state.replicas[1..] {
        world.kill(*replica);
    }
    world.set_liveness(state.replicas[0], Liveness::Unknown);
    world.settle();
    assert_eq!((world.unclean, &world.states("a")[0]), (0, &state));
}

#[test]
fn leadership_goes_back_after_a_while() {
    let mut world = world(6);
    let mut cluster = world.cluster.clone().unwrap();
    cluster.config.clear();
    world.set_cluster(Some(cluster));
    world.settle();
    fail_over(&mut world, 0);
    assert!(!world.states("a").iter().all(is_led_by_first));
    let due = world.controller.next_deadline().unwrap();
    assert!(due > world.now && due.duration_since(world.now) <= SignedDuration::from_secs(300));
    world.now = due - SignedDuration::from_secs(1);
    world.settle();
    assert!(!world.states("a").iter().all(is_led_by_first), "not before its time");
    world.now = due;
    world.settle();
    assert!(world.states("a").iter().all(is_led_by_first));
    let writes = world.writes;
    world.now += SignedDuration::from_secs(3000);
    world.settle();
    assert_eq!(world.writes, writes, "nothing to do, nothing written");
}

#[test]
fn leadership_stays_where_it_is_if_so_set() {
    let mut world = world(6);
    fail_over(&mut world, 0);
    assert_eq!(world.controller.next_deadline(), None);
    world.now += SignedDuration::from_hours(10);
    world.settle();
    assert!(!world.states("a").iter().all(is_led_by_first));
}
