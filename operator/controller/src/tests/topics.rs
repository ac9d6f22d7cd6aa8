use k8s_openapi::jiff::SignedDuration;
use milena_crds::{ConfigValue, names};

use super::World;
use crate::{Cluster, Removal};

#[test]
fn a_topic_becomes_ready_in_two_writes() {
    let mut world = World::new(3);
    world.create("sample", 3);
    world.settle();
    assert_eq!(world.writes, (1, 1));
    let status = world.topics["sample"].status.clone().unwrap();
    assert_eq!((status.partitions, status.replicas, status.offline_partitions), (3, 1, 0));
    assert_eq!(status.topic_id, Some(world.id("sample").to_string()));
    assert_eq!(status.observed_generation, Some(1));
    let condition = world.condition("sample");
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "Ready"));
    let leaders: Vec<_> = world.states("sample").iter().map(|state| state.leader.unwrap()).collect();
    assert_eq!(leaders, [0, 1, 2]);
}

#[test]
fn a_settled_world_causes_no_writes() {
    let mut world = World::new(2);
    world.create("a", 5);
    world.settle();
    let writes = world.writes;
    for id in 0..2 {
        let broker = world.brokers[&id].clone();
        world.set_broker(id, broker);
    }
    world.change("a", |_| {});
    world.restart_controller();
    world.settle();
    assert_eq!(world.writes, writes);
    assert!(!world.controller.is_dirty());
}

#[test]
fn a_thousand_topics_take_four_objects() {
    let mut world = World::new(3);
    for index in 0..1000 {
        world.create(&format!("t{index}"), 1);
    }
    world.settle();
    assert_eq!(world.writes, (4, 1000));
    assert_eq!(world.controller.summary().partitions, 1000);
}

#[test]
fn partitions_grow_and_never_move() {
    let mut world = World::new(3);
    world.create("a", 2);
    world.settle();
    let before = world.states("a");
    world.change("a", |topic| topic.spec.partitions = 200);
    world.settle();
    let after = world.states("a");
    assert_eq!(after.len(), 200);
    assert_eq!(after[..2], before[..]);
    assert_eq!(world.reason("a"), "Ready");
}

#[test]
fn topics_wait_for_their_cluster_and_its_brokers() {
    let mut world = World::new(1);
    world.set_cluster(None);
    world.create("a", 1);
    world.settle();
    assert_eq!(world.reason("a"), "ClusterNotFound");
    assert!(world.condition("a").message.contains("create it"));
    world.kill(0);
    world.set_cluster(Some(Cluster { brokers: 1, ..Cluster::default() }));
    world.settle();
    assert_eq!(world.reason("a"), "WaitingForBrokers");
    world.start(0, true);
    world.settle();
    assert_eq!(world.reason("a"), "Ready");
}

/// A cluster that wants three brokers, of which `there` are up.
fn coming_up(there: i32) -> World {
    let mut world = World::new(there);
    let cluster = world.cluster.clone().unwrap();
    world.set_cluster(Some(Cluster { brokers: 3, ..cluster }));
    world
}

#[test]
fn the_first_topics_wait_for_all_brokers() {
    let mut world = coming_up(1);
    world.create("a", 3);
    world.create("b", 3);
    world.settle();
    assert_eq!((world.reason("a"), world.chunks.len()), ("WaitingForBrokers".to_owned(), 0));
    assert!(world.condition("a").message.starts_with("1 of 3 brokers are up"));
    world.start(1, true);
    world.settle();
    assert_eq!(world.reason("b"), "WaitingForBrokers");
    world.start(2, true);
    world.settle();
    for topic in ["a", "b"] {
        let leaders: Vec<_> = world.states(topic).iter().filter_map(|state| state.leader).collect();
        assert_eq!(leaders, [0, 1, 2], "{topic}");
    }
    assert_eq!(world.controller.next_deadline(), None);
}

#[test]
fn more_replicas_than_brokers_are_told_of() {
    let mut world = World::new(2);
    let mut spec = World::spec(1);
    spec.replicas = 3;
    world.create_with("a", spec, None);
    world.settle();
    assert_eq!(world.reason("a"), "TooFewBrokers");
    assert!(world.notes.iter().any(|note| note.warning && note.message.contains("at most 2 replicas")));
    let cluster = world.cluster.clone().unwrap();
    world.set_cluster(Some(Cluster { brokers: 3, ..cluster }));
    world.start(2, true);
    world.settle();
    assert_eq!(world.reason("a"), "Ready");
}

#[test]
fn the_first_topics_do_not_wait_for_ever() {
    let mut world = coming_up(2);
    world.create("a", 2);
    world.settle();
    let deadline = world.controller.next_deadline().unwrap();
    assert!(deadline <= world.now + SignedDuration::from_secs(20));
    world.now = deadline;
    world.settle();
    assert_eq!(world.reason("a"), "Ready");
    // Only the first: who scales up, or lost a broker, waits for nobody.
    world.create("b", 2);
    world.settle();
    assert_eq!((world.reason("b"), world.controller.next_deadline()), ("Ready".to_owned(), None));
}

#[test]
fn a_topic_that_comes_late_to_a_cluster_that_lacks_a_broker_waits_no_more() {
    let mut world = coming_up(2);
    world.settle();
    world.now += SignedDuration::from_mins(10);
    world.create("a", 2);
    world.settle();
    assert_eq!(world.reason("a"), "Ready");
}

#[test]
fn the_oldest_object_has_the_name() {
    let mut world = World::new(1);
    world.create("first", 1);
    let mut claim = World::spec(1);
    claim.topic_name = Some("first".to_owned());
    world.create_with("second", claim, None);
    world.settle();
    assert_eq!(world.reason("first"), "Ready");
    assert_eq!(world.reason("second"), "NameTaken");
    assert!(world.condition("second").message.contains("first"));
    world.delete("first", Removal::Seen);
    world.settle();
    assert_eq!(world.reason("second"), "Ready");
}

#[test]
fn what_can_never_be_is_said() {
    let mut world = World::new(1);
    let mut replicated = World::spec(1);
    replicated.replicas = 65;
    world.create_with("replicated", replicated, None);
    let mut misspelt = World::spec(1);
    misspelt.config.insert("retention.m".to_owned(), ConfigValue::from("1"));
    world.create_with("misspelt", misspelt, None);
    let mut named = World::spec(1);
    named.topic_name = Some("a b".to_owned());
    world.create_with("named", named, None);
    world.create("none", 0);
    world.settle();
    let reasons = ["replicated", "misspelt", "named", "none"].map(|name| world.reason(name));
    assert_eq!(reasons, ["InvalidReplicas", "InvalidConfig", "InvalidName", "InvalidPartitions"]);
    assert!(world.condition("misspelt").message.contains("did you mean retention.ms?"));
    assert!(world.chunks.is_empty());
}

#[test]
fn a_deletion_that_was_seen_is_recorded_in_one_write() {
    let mut world = World::new(1);
    world.create("a", 300);
    world.create("b", 1);
    world.settle();
    let (id, writes) = (world.id("a"), world.writes);
    let objects = world.objects_of("a").len();
    world.delete("a", Removal::Seen);
    world.settle();
    assert!(world.writes.0 - writes.0 <= objects);
    assert!(world.controller.partitions(id).is_empty());
    assert!(world.chunks.values().any(|spec| spec.deleted.contains_key(&id.to_string())));
    assert_eq!(world.states("b").len(), 1);
}

#[test]
fn a_topic_made_anew_is_another_topic() {
    let mut world = World::new(1);
    world.create("a", 1);
    world.settle();
    let old = world.id("a");
    world.create("a", 1);
    world.settle();
    assert!(world.controller.partitions(old).is_empty());
    assert_eq!(world.states("a").len(), 1);
    assert_eq!(world.reason("a"), "Ready");
}

#[test]
fn a_missing_topic_is_kept_for_a_day_and_reported() {
    let mut world = World::new(1);
    world.create("a", 2);
    world.settle();
    let id = world.id("a");
    world.delete("a", Removal::FoundMissing);
    world.settle();
    let missing = world.controller.summary().missing;
    assert_eq!((missing.len(), missing[0].partitions), (1, 2));
    assert_eq!(missing[0].topic_id, id.to_string());
    assert!(world.notes.iter().any(|note| note.reason == "TopicMissing"));
    // A new operator goes on from what the status of the KafkaCluster says.
    let mut cluster = world.cluster.clone().unwrap();
    cluster.missing.insert(id, missing[0].since.clone());
    world.set_cluster(Some(cluster));
    world.now += SignedDuration::from_hours(23);
    world.restart_controller();
    world.settle();
    assert_eq!(world.controller.partitions(id).len(), 2);
    assert_eq!(world.controller.next_deadline(), Some(missing[0].keep_until.0));
    world.now = missing[0].keep_until.0;
    world.settle();
    assert!(world.controller.partitions(id).is_empty());
    assert!(world.controller.summary().missing.is_empty());
}

#[test]
fn a_missing_topic_can_be_adopted_or_dropped() {
    let mut world = World::new(1);
    world.create("a", 2);
    world.create("b", 1);
    world.settle();
    let (a, b) = (world.id("a"), world.id("b"));
    world.delete("a", Removal::FoundMissing);
    world.delete("b", Removal::FoundMissing);
    world.settle();
    world.create_with("again", World::spec(2), Some(a));
    world.settle();
    assert_eq!(world.reason("again"), "Ready");
    assert_eq!(world.states("again").len(), 2);
    assert_eq!(world.controller.summary().missing.len(), 1);
    let mut cluster = world.cluster.clone().unwrap();
    cluster.drop.insert(b);
    world.set_cluster(Some(cluster));
    world.settle();
    assert!(world.controller.partitions(b).is_empty());
    world.create_with("late", World::spec(1), Some(b));
    world.settle();
    assert_eq!(world.reason("late"), "TopicDeleted");
}

#[test]
fn an_object_of_ours_that_somebody_deleted_is_put_back() {
    let mut world = World::new(1);
    world.create("a", 1);
    world.settle();
    world.kill(0);
    world.settle();
    let state = world.states("a");
    world.chunks.clear();
    world.controller.remove_chunk(0);
    let plan = world.controller.plan(world.now);
    assert!(plan.chunks.len() == 1 && plan.chunks[0].create);
    assert_eq!(plan.chunks[0].spec.partitions.values().next().unwrap(), &state[0].to_string());
    world.controller.chunk_failed(&plan.chunks[0]);
    assert_eq!(world.controller.plan(world.now).chunks, plan.chunks);
    // The answer was lost, but the object is there.
    world.controller.apply_chunk(0, plan.chunks[0].spec.clone());
    world.controller.chunk_failed(&plan.chunks[0]);
    assert_eq!(world.controller.plan(world.now).chunks, []);
}

#[test]
fn an_object_that_somebody_else_created_first_is_built_on() {
    let mut world = World::new(1);
    world.create("a", 1);
    let plan = world.controller.plan(world.now);
    assert!(plan.chunks[0].create);
    let mut there = plan.chunks[0].clone();
    there.spec.partitions.clear();
    world.store(&there);
    world.controller.apply_chunk(0, there.spec);
    world.controller.chunk_failed(&plan.chunks[0]);
    world.settle();
    assert_eq!(world.reason("a"), "Ready");
}

#[test]
fn partitions_whose_state_was_lost_are_not_begun_anew() {
    let mut world = World::new(1);
    world.create("a", 2);
    world.settle();
    world.chunks.clear();
    world.restart_controller();
    world.settle();
    assert_eq!(world.reason("a"), "StateLost");
    assert!(world.chunks.is_empty());
    world.restart_controller();
    world.settle();
    assert_eq!(world.reason("a"), "StateLost", "the status still knows how many there were");
}

#[test]
fn a_failed_write_is_made_again() {
    let mut world = World::new(1);
    world.create("a", 1);
    let plan = world.controller.plan(world.now);
    assert_eq!(plan.chunks.len(), 1);
    assert!(!world.controller.is_dirty());
    world.controller.chunk_failed(&plan.chunks[0]);
    assert_eq!(world.controller.plan(world.now).chunks, plan.chunks);
    world.controller.apply_chunk(0, plan.chunks[0].spec.clone());
    world.store(&plan.chunks[0]);
    world.settle();
    world.delete("a", Removal::Seen);
    let plan = world.controller.plan(world.now);
    world.controller.chunk_failed(&plan.chunks[0]);
    assert_eq!(world.controller.plan(world.now).chunks, plan.chunks);
}

#[test]
fn a_paused_topic_gets_no_partitions() {
    let mut world = World::new(1);
    world.create("a", 1);
    world.change("a", |topic| {
        topic.metadata.annotations = Some([(names::PAUSED.to_owned(), "true".to_owned())].into());
    });
    world.settle();
    assert!(world.chunks.is_empty());
}
