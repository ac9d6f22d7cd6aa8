//! Partitions that move: because somebody asks, because a topic gets more or fewer replicas, because brokers come and go.

use milena_crds::moves::Moves;
use milena_crds::names;
use milena_crds::partition::{Member, PartitionState};

use super::World;
use crate::{Cluster, Liveness};

/// What leaders do: everybody alive joins, and moves that have arrived end.
fn lead(world: &mut World) -> bool {
    let mut changed = false;
    for (chunk, mut spec) in world.chunks.clone() {
        for text in spec.partitions.values_mut() {
            let state: PartitionState = text.parse().unwrap();
            let alive = |id: &&i32| world.brokers[*id].liveness == Liveness::Alive;
            let member = |id: &i32| Member { broker: *id, generation: world.brokers[id].generation };
            let isr = state.replicas.iter().filter(alive).map(member).collect();
            let next =
                state.change_isr(state.leader_epoch, isr, 1).or_else(|_| state.complete(state.leader_epoch));
            if let Ok(next) = next {
                *text = next.to_string();
                changed = true;
            }
        }
        let write = crate::ChunkWrite { chunk, create: false, spec };
        world.store(&write);
        world.controller.apply_chunk(chunk, write.spec);
    }
    changed
}

/// Operator and leaders in turn, until nothing happens any more; the most partitions that moved at a time.
fn settle(world: &mut World) -> usize {
    let mut most = 0;
    for _ in 0..500 {
        world.settle();
        most = most.max(world.controller.summary().moving);
        if !lead(world) {
            return most;
        }
    }
    panic!("it moves for ever");
}

fn ask(world: &mut World, topic: &str, moves: &[(i32, &[i32])]) {
    let moves = Moves(moves.iter().map(|(partition, ids)| (*partition, ids.to_vec())).collect());
    world.change(topic, |topic| {
        let annotations = topic.metadata.annotations.get_or_insert_default();
        annotations.insert(names::REASSIGN.to_owned(), moves.to_string());
    });
}

fn replicas(world: &World, topic: &str) -> Vec<Vec<i32>> {
    world.states(topic).into_iter().map(|state| state.replicas).collect()
}

fn create(world: &mut World, name: &str, partitions: i32, replicas: i32) {
    let spec = milena_crds::KafkaTopicSpec { replicas, ..World::spec(partitions) };
    world.create_with(name, spec, None);
    settle(world);
}

fn set_brokers(world: &mut World, brokers: i32, leaving: &[i32]) {
    let leaving = leaving.iter().copied().collect();
    world.set_cluster(Some(Cluster { brokers, leaving, ..Cluster::default() }));
}

/// By broker: how many replicas it has.
fn counts(world: &World, topics: &[&str]) -> Vec<usize> {
    let all: Vec<i32> = topics.iter().flat_map(|topic| replicas(world, topic)).flatten().collect();
    world.brokers.keys().map(|id| all.iter().filter(|other| *other == id).count()).collect()
}

#[test]
fn what_an_annotation_asks_for_is_begun_and_the_annotation_taken_out() {
    let mut world = World::new(3);
    create(&mut world, "a", 2, 2);
    let before = replicas(&world, "a");
    let target: Vec<i32> = (0..3).filter(|id| *id != before[0][0]).rev().collect();
    ask(&mut world, "a", &[(0, &target)]);
    world.settle();
    let state = world.states("a").remove(0);
    assert_eq!((state.target(), state.removing.as_slice()), (target.clone(), &before[0][..1]));
    assert!(!world.topics["a"].metadata.annotations.as_ref().unwrap().contains_key(names::REASSIGN));
    assert_eq!(world.topics["a"].status.as_ref().unwrap().reassigning_partitions, 1);
    // The leader is among those that leave: it hands over before the move ends.
    assert_eq!(state.leader, Some(before[0][0]));
    settle(&mut world);
    let state = world.states("a").remove(0);
    assert_eq!((&state.replicas, state.is_reassigning()), (&target, false));
    assert!(target.contains(&state.leader.unwrap()));
    assert_eq!(replicas(&world, "a")[1], before[1]);
    let status = world.topics["a"].status.as_ref().unwrap();
    assert_eq!((status.reassigning_partitions, status.replicas), (0, 2));
}

#[test]
fn a_move_is_taken_back_by_another() {
    let mut world = World::new(3);
    create(&mut world, "a", 1, 1);
    let before = replicas(&world, "a");
    let other = (before[0][0] + 1) % 3;
    world.kill(other);
    ask(&mut world, "a", &[(0, &[other])]);
    settle(&mut world);
    assert!(world.states("a")[0].is_reassigning());
    ask(&mut world, "a", &[(0, &before[0])]);
    settle(&mut world);
    assert_eq!((replicas(&world, "a"), world.states("a")[0].is_reassigning()), (before, false));
}

#[test]
fn what_cannot_be_asked_for_is_told_and_forgotten() {
    let mut world = World::new(3);
    create(&mut world, "a", 1, 1);
    let before = replicas(&world, "a");
    ask(&mut world, "a", &[(0, &[9]), (5, &[1])]);
    settle(&mut world);
    let told: Vec<_> = world.notes.iter().filter(|note| note.reason == "ReassignmentRefused").collect();
    assert!(told.iter().any(|note| note.message.contains("no broker 9")), "{told:?}");
    assert!(told.iter().any(|note| note.message.contains("partition 5")), "{told:?}");
    world.change("a", |topic| {
        let annotations = topic.metadata.annotations.as_mut().unwrap();
        annotations.insert(names::REASSIGN.to_owned(), "all of it".to_owned());
    });
    settle(&mut world);
    assert!(world.topics["a"].metadata.annotations.as_ref().unwrap().is_empty());
    assert_eq!(replicas(&world, "a"), before);
}

#[test]
fn replicas_are_added_and_removed() {
    let mut world = World::new(4);
    create(&mut world, "a", 8, 1);
    world.change("a", |topic| topic.spec.replicas = 3);
    settle(&mut world);
    assert!(replicas(&world, "a").iter().all(|replicas| replicas.len() == 3));
    let spread = |counts: Vec<usize>| counts.iter().max().unwrap() - counts.iter().min().unwrap();
    assert!(spread(counts(&world, &["a"])) <= 2);
    let first: Vec<i32> = replicas(&world, "a").iter().map(|replicas| replicas[0]).collect();
    world.change("a", |topic| topic.spec.replicas = 2);
    settle(&mut world);
    let now = replicas(&world, "a");
    assert!(now.iter().all(|replicas| replicas.len() == 2));
    // Preferred leaders stay, so that leadership stays even.
    assert_eq!(now.iter().map(|replicas| replicas[0]).collect::<Vec<_>>(), first);
    assert!(spread(counts(&world, &["a"])) <= 2);
    let status = world.topics["a"].status.clone().unwrap();
    assert_eq!((status.replicas, status.under_replicated_partitions), (2, 0));
}

#[test]
fn added_replicas_go_to_other_racks_and_who_is_down_leaves_first() {
    let mut world = World::new(4);
    for (id, rack) in [(0, "a"), (1, "a"), (2, "b"), (3, "b")] {
        let broker = crate::Broker { rack: Some(rack.to_owned()), ..world.brokers[&id].clone() };
        world.set_broker(id, broker);
    }
    create(&mut world, "a", 4, 1);
    world.change("a", |topic| topic.spec.replicas = 2);
    settle(&mut world);
    for replicas in replicas(&world, "a") {
        assert_ne!(replicas[0] / 2, replicas[1] / 2, "{replicas:?}");
    }
    let gone = replicas(&world, "a")[0][0];
    world.kill(gone);
    settle(&mut world);
    world.change("a", |topic| topic.spec.replicas = 1);
    settle(&mut world);
    assert!(replicas(&world, "a").iter().all(|replicas| replicas != &[gone]));
}

#[test]
fn too_many_replicas_are_refused_until_there_are_brokers() {
    let mut world = World::new(2);
    create(&mut world, "a", 2, 2);
    world.change("a", |topic| topic.spec.replicas = 3);
    settle(&mut world);
    assert_eq!(world.reason("a"), "TooFewBrokers");
    assert!(world.condition("a").message.contains("3 brokers are needed and 2 are there"));
    set_brokers(&mut world, 3, &[]);
    world.start(2, true);
    settle(&mut world);
    assert_eq!((world.reason("a").as_str(), counts(&world, &["a"])), ("Ready", vec![2, 2, 2]));
}

#[test]
fn a_new_broker_takes_its_share_a_bit_at_a_time_and_then_nothing_moves() {
    let mut world = World::new(3);
    create(&mut world, "a", 40, 2);
    set_brokers(&mut world, 4, &[]);
    settle(&mut world);
    assert_eq!(counts(&world, &["a"])[..3].iter().sum::<usize>(), 80);
    world.start(3, true);
    let most = settle(&mut world);
    assert!((1..=8).contains(&most), "{most} at a time");
    let counts = counts(&world, &["a"]);
    let (least, greatest) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(greatest - least <= 4, "{counts:?}");
    let writes = world.writes;
    world.restart_controller();
    settle(&mut world);
    assert_eq!(world.writes, writes);
}

#[test]
fn what_is_even_enough_stays() {
    let mut world = World::new(3);
    create(&mut world, "a", 3, 1);
    create(&mut world, "b", 3, 1);
    create(&mut world, "c", 2, 1);
    world.delete("a", crate::Removal::Seen);
    let before = [replicas(&world, "b"), replicas(&world, "c")];
    settle(&mut world);
    assert_eq!([replicas(&world, "b"), replicas(&world, "c")], before);
}

#[test]
fn partitions_leave_brokers_that_are_to_go() {
    let mut world = World::new(4);
    create(&mut world, "a", 20, 2);
    set_brokers(&mut world, 3, &[]);
    let most = settle(&mut world);
    assert!((1..=8).contains(&most), "{most} at a time");
    assert_eq!(counts(&world, &["a"])[3], 0);
    let summary = world.controller.summary();
    assert_eq!((summary.brokers_in_use, summary.moving, summary.to_move), (3, 0, 0));
    assert!(replicas(&world, "a").iter().all(|replicas| replicas[0] != replicas[1]));
    // One in the middle, for its replacement.
    set_brokers(&mut world, 3, &[1]);
    settle(&mut world);
    assert_eq!(counts(&world, &["a"])[..3], [20, 0, 20]);
    set_brokers(&mut world, 3, &[]);
    settle(&mut world);
    assert!(counts(&world, &["a"])[1] >= 8);
}

#[test]
fn topics_with_too_many_replicas_keep_brokers_from_going() {
    let mut world = World::new(3);
    create(&mut world, "wide", 2, 3);
    create(&mut world, "narrow", 3, 1);
    set_brokers(&mut world, 2, &[]);
    settle(&mut world);
    let summary = world.controller.summary();
    assert_eq!((summary.stuck, summary.brokers_in_use), (vec!["wide".to_owned()], 3));
    assert!(replicas(&world, "narrow").iter().all(|replicas| replicas != &[2]));
    world.change("wide", |topic| topic.spec.replicas = 2);
    settle(&mut world);
    let summary = world.controller.summary();
    assert_eq!((summary.stuck, summary.brokers_in_use), (vec![], 2));
}
