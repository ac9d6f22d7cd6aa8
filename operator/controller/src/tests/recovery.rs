//! Rule 8: a power cut of all members, and who leads with what is left.

use milena_crds::partition::{Generation, PartitionState, Report};

use super::World;
use crate::Broker;

/// A topic on three brokers whose machines have all lost power; nobody leads.
fn cut() -> (World, PartitionState) {
    let mut world = World::new(3);
    world.create_with("a", milena_crds::KafkaTopicSpec { replicas: 3, ..World::spec(1) }, None);
    world.settle();
    (0..3).for_each(|id| world.kill(id));
    world.settle();
    let state = world.states("a").remove(0);
    assert_eq!((state.leader, state.isr.len()), (None, 3));
    (world, state)
}

fn report(world: &World, id: i32, last_epoch: i32, log_end: i64, refuses: i32) -> Report {
    Report { generation: world.brokers[&id].generation, last_epoch, log_start: 0, log_end, refuses }
}

/// A broker answers all that it is asked.
fn answer(world: &mut World, id: i32, last_epoch: i32, log_end: i64) {
    for (key, epoch) in world.controller.wanted_reports().remove(&id).unwrap_or_default() {
        let report = report(world, id, last_epoch, log_end, epoch);
        world.controller.heard(id, key, report);
    }
    world.settle();
}

fn asked(world: &World) -> Vec<i32> {
    world.controller.wanted_reports().into_keys().collect()
}

#[test]
fn who_goes_furthest_leads_once_all_have_answered() {
    let (mut world, before) = cut();
    for id in 0..2 {
        world.start(id, false);
        world.settle();
        assert!(asked(&world).is_empty(), "the third may still have all of it");
    }
    world.start(2, false);
    world.settle();
    assert_eq!(asked(&world), [0, 1, 2]);
    answer(&mut world, 0, 3, 10);
    answer(&mut world, 2, 2, 50);
    assert_eq!((asked(&world), &world.states("a")[0]), (vec![1], &before));
    answer(&mut world, 1, 3, 11);
    let state = world.states("a").remove(0);
    assert_eq!((state.leader, state.leader_epoch), (Some(1), before.leader_epoch + 1));
    for (old, new) in before.isr.iter().zip(&state.isr) {
        let now = if old.broker == 1 { world.brokers[&1].generation } else { old.generation };
        assert_eq!(new.generation, now, "one entry changes");
    }
    assert_eq!((state.isr.len(), asked(&world)), (3, vec![]));
    let told: Vec<_> = world.notes.iter().filter(|note| note.reason == "PossibleLoss").collect();
    assert!(told.len() == 1 && told[0].topic.as_deref() == Some("a"), "{told:?}");
}

#[test]
fn the_new_epoch_is_above_all_that_are_refused() {
    let (mut world, before) = cut();
    (0..3).for_each(|id| world.start(id, false));
    world.settle();
    for id in 0..3 {
        for (key, epoch) in world.controller.wanted_reports().remove(&id).unwrap() {
            let report = report(&world, id, 1, 1, epoch + 5 * id);
            world.controller.heard(id, key, report);
        }
    }
    world.settle();
    assert_eq!(world.states("a")[0].leader_epoch, before.leader_epoch + 11);
}

#[test]
fn an_empty_disk_is_an_answer_and_no_leader() {
    let (mut world, _) = cut();
    (0..3).for_each(|id| world.start(id, false));
    let broker = world.brokers[&0].clone();
    world.set_broker(0, Broker { generation: Generation { disk: 7, unclean_starts: 0 }, ..broker });
    world.settle();
    // However far it goes, it may have got there from anywhere.
    answer(&mut world, 0, 9, 90);
    answer(&mut world, 1, 1, 1);
    answer(&mut world, 2, 1, 2);
    assert_eq!(world.states("a")[0].leader, Some(2));
}

#[test]
fn nobody_leads_while_somebody_stays_away() {
    let (mut world, before) = cut();
    (0..3).for_each(|id| world.start(id, false));
    world.settle();
    answer(&mut world, 0, 1, 1);
    answer(&mut world, 1, 1, 1);
    world.kill(2);
    world.settle();
    assert_eq!((asked(&world), &world.states("a")[0]), (vec![], &before));
    // It is asked in its next life, and so is who was restarted since it answered.
    world.start(1, false);
    world.start(2, false);
    world.settle();
    assert_eq!(asked(&world), [1, 2]);
    answer(&mut world, 1, 1, 0);
    answer(&mut world, 2, 1, 0);
    assert_eq!(world.states("a")[0].leader, Some(0));
}

#[test]
fn who_has_lost_nothing_is_elected_in_the_ordinary_way() {
    let (mut world, before) = cut();
    (0..3).for_each(|id| world.start(id, false));
    world.settle();
    answer(&mut world, 0, 1, 1);
    answer(&mut world, 1, 1, 1);
    // Its Lease was old: the entry names the generation that it has.
    for (key, epoch) in world.controller.wanted_reports().remove(&2).unwrap() {
        let kept = Report { generation: before.in_isr(2).unwrap(), ..report(&world, 2, 1, 1, epoch) };
        world.controller.heard(2, key, kept);
    }
    world.settle();
    assert_eq!(world.states("a")[0], before);
    let broker = world.brokers[&2].clone();
    world.set_broker(2, Broker { generation: before.in_isr(2).unwrap(), ..broker });
    world.settle();
    assert_eq!(world.states("a")[0].leader, Some(2));
    assert!(world.notes.iter().all(|note| note.reason != "PossibleLoss"));
}

#[test]
fn a_recovery_goes_before_an_unclean_election_that_is_allowed() {
    let (mut world, _) = cut();
    world.change("a", |object| {
        object.spec.config.insert("unclean.leader.election.enable".to_owned(), "true".into());
    });
    // In one moment, as after a power cut.
    (0..3).for_each(|id| world.start(id, false));
    world.settle();
    assert_eq!((world.states("a")[0].leader, world.unclean), (None, 0));
    (0..3).for_each(|id| answer(&mut world, id, 1, i64::from(id)));
    assert_eq!((world.states("a")[0].leader, world.unclean), (Some(2), 0));
}

#[test]
fn who_ends_before_another_begins_goes_less_far() {
    let (mut world, _) = cut();
    (0..3).for_each(|id| world.start(id, false));
    world.settle();
    // Retention took everything that broker 1 had: it knows no epoch, and that all below 9 was committed.
    for (id, last_epoch, log_start, log_end) in [(0, 3, 0, 8), (1, -1, 9, 9), (2, 4, 2, 7)] {
        for (key, epoch) in world.controller.wanted_reports().remove(&id).unwrap() {
            let report = Report { log_start, ..report(&world, id, last_epoch, log_end, epoch) };
            world.controller.heard(id, key, report);
        }
    }
    world.settle();
    assert_eq!(world.states("a")[0].leader, Some(1));
}
