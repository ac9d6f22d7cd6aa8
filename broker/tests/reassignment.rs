//! Partitions that move between three brokers in one process: what was acknowledged is there, and data is where the
//! partition is and nowhere else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kafka_protocol::messages::{
    alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
    metadata_response::MetadataResponsePartition,
    *,
};
use support::three::{Three, Writer, name, read};

/// Asks for the replicas of a partition, or for the end of its move; the error code.
fn move_to(three: &Three, partition: i32, replicas: Option<&[i32]>) -> i16 {
    let replicas = replicas.map(|ids| ids.iter().copied().map(BrokerId).collect());
    let partition = ReassignablePartition::default().with_partition_index(partition).with_replicas(replicas);
    let topic = ReassignableTopic::default().with_name(name()).with_partitions(vec![partition]);
    let request =
        AlterPartitionReassignmentsRequest::default().with_timeout_ms(10_000).with_topics(vec![topic]);
    let answer = three.any().ask(0, &request);
    assert_eq!(answer.error_code, 0);
    answer.responses[0].partitions[0].error_code
}

/// How many partitions move.
fn moving(three: &Three) -> usize {
    let answer = three.any().ask(0, &ListPartitionReassignmentsRequest::default());
    answer.topics.iter().map(|topic| topic.partitions.len()).sum()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn ids(nodes: &[BrokerId]) -> Vec<i32> {
    nodes.iter().map(|id| id.0).collect()
}

/// Whether the replicas are these, all in sync and led by one of them.
fn settled(partition: &MetadataResponsePartition, replicas: &[i32]) -> bool {
    let mut isr = ids(&partition.isr_nodes);
    isr.sort_unstable();
    let mut wanted = replicas.to_vec();
    wanted.sort_unstable();
    ids(&partition.replica_nodes) == replicas && isr == wanted && replicas.contains(&partition.leader_id.0)
}

/// Whether a broker has a log of partition 0.
fn has_log(three: &Three, broker: i32) -> bool {
    let data = three.process.data.path();
    let dir = if broker == 0 { data.to_owned() } else { data.join(format!("broker.{broker}")) };
    dir.join(format!("{}-0", name().as_str())).exists()
}

#[test]
fn a_partition_moves_under_load_and_leaves_nothing_behind() {
    let three = Arc::new(Three::start());
    three.create_with(1, 2);
    let partition = three.partitions().remove(0);
    let before = ids(&partition.replica_nodes);
    let other = (0..3).find(|id| !before.contains(id)).unwrap();
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI32::new(0)));
    let writer = {
        let (three, stop, written) = (three.clone(), stop.clone(), written.clone());
        thread::spawn(move || {
            let mut writer = Writer { id: 1_000, partition: 0, sequence: 0 };
            while !stop.load(Ordering::Relaxed) {
                writer.write(&three);
                written.store(writer.sequence, Ordering::Relaxed);
            }
            writer.sequence
        })
    };
    let goes_on = |what: &str| {
        let now = written.load(Ordering::Relaxed);
        until(what, || written.load(Ordering::Relaxed) > now + 5);
    };
    goes_on("records are taken");
    // The leader leaves, a follower stays.
    let target = [other, before[1]];
    assert_eq!(move_to(&three, 0, Some(&target)), 0);
    three.until("it has moved", |partition| settled(partition, &target));
    until("nothing moves", || moving(&three) == 0);
    until("who has left has no log", || !has_log(&three, before[0]));
    assert!(target.iter().all(|id| has_log(&three, *id)));
    goes_on("records are taken after the move");
    // And back, all of it.
    assert_eq!(move_to(&three, 0, Some(&before)), 0);
    three.until("it is back", |partition| settled(partition, &before));
    until("who has left has no log", || !has_log(&three, other));
    goes_on("records are taken where it was");
    stop.store(true, Ordering::Relaxed);
    let count = writer.join().unwrap();
    let expected: Vec<String> = (0..count).map(|number| format!("0-{number}")).collect();
    assert_eq!(read(&three, 0), expected);
    // Every replica has them: each leads in turn.
    for gone in &before {
        three.done(&["stop", &gone.to_string()]);
        three.until("the other leads", |partition| {
            partition.leader_id.0 >= 0 && partition.leader_id.0 != *gone
        });
        three.done(&["start", &gone.to_string()]);
        three.until("it is in sync", |partition| settled(partition, &before));
        assert_eq!(read(&three, 0), expected);
    }
}

#[test]
fn a_move_to_a_broker_that_is_away_waits_and_can_be_taken_back() {
    let three = Three::start();
    three.create_with(1, 2);
    let before = ids(&three.partitions()[0].replica_nodes);
    let other = (0..3).find(|id| !before.contains(id)).unwrap();
    let mut writer = Writer { id: 1, partition: 0, sequence: 0 };
    writer.write(&three);
    // NO_REASSIGNMENT_IN_PROGRESS, INVALID_REPLICA_ASSIGNMENT, UNKNOWN_TOPIC_OR_PARTITION
    assert_eq!(move_to(&three, 0, None), 85);
    for wrong in [&[][..], &[0, 0], &[9], &[-1]] {
        assert_eq!(move_to(&three, 0, Some(wrong)), 39, "{wrong:?}");
    }
    assert_eq!(move_to(&three, 1, Some(&before)), 3);
    three.done(&["stop", &other.to_string()]);
    let target = [before[0], other];
    assert_eq!(move_to(&three, 0, Some(&target)), 0);
    let answer = three.any().ask(0, &ListPartitionReassignmentsRequest::default());
    let listed = &answer.topics[0].partitions[0];
    assert_eq!(ids(&listed.replicas), [before[0], other, before[1]]);
    assert_eq!(
        (ids(&listed.adding_replicas), ids(&listed.removing_replicas)),
        (vec![other], vec![before[1]])
    );
    writer.write(&three);
    assert_eq!(move_to(&three, 0, None), 0);
    three.until("it is where it was", |partition| settled(partition, &before));
    assert_eq!(moving(&three), 0);
    three.done(&["start", &other.to_string()]);
    writer.write(&three);
    assert_eq!(read(&three, 0), ["0-0", "0-1", "0-2"]);
    assert!(!has_log(&three, other));
    // What leaves while its broker is away goes when that starts.
    three.done(&["stop", &before[1].to_string()]);
    three.until("it is alone", |partition| partition.isr_nodes.len() == 1);
    assert_eq!(move_to(&three, 0, Some(&target)), 0);
    three.until("it has moved", |partition| settled(partition, &target));
    assert!(has_log(&three, before[1]));
    three.done(&["start", &before[1].to_string()]);
    until("who has left has no log", || !has_log(&three, before[1]));
}

#[test]
fn one_replica_becomes_three_and_then_two() {
    let three = Three::start();
    three.create_with(2, 1);
    let mut writers = [0, 1].map(|partition| Writer { id: 7, partition, sequence: 0 });
    let mut write = || writers.iter_mut().for_each(|writer| writer.write(&three));
    write();
    let first: Vec<i32> = (0..2).map(|partition| three.leader(partition)).collect();
    let move_all = |replicas: &dyn Fn(usize) -> Vec<i32>| {
        let partition = |index: usize| {
            let replicas = replicas(index).into_iter().map(BrokerId).collect();
            let index = i32::try_from(index).unwrap();
            ReassignablePartition::default().with_partition_index(index).with_replicas(Some(replicas))
        };
        let partitions = (0..2).map(partition).collect();
        let topic = ReassignableTopic::default().with_name(name()).with_partitions(partitions);
        let request =
            AlterPartitionReassignmentsRequest::default().with_timeout_ms(10_000).with_topics(vec![topic]);
        let answer = three.any().ask(1, &request.clone().with_allow_replication_factor_change(false));
        // INVALID_REPLICATION_FACTOR
        assert!(answer.responses[0].partitions.iter().all(|partition| partition.error_code == 38));
        let answer = three.any().ask(1, &request.with_allow_replication_factor_change(true));
        assert!(
            answer.responses[0].partitions.iter().all(|partition| partition.error_code == 0),
            "{answer:?}"
        );
    };
    let all =
        |index: usize| [&[first[index]][..], &[(first[index] + 1) % 3, (first[index] + 2) % 3]].concat();
    move_all(&all);
    three.until("three are in sync", |partition| partition.isr_nodes.len() == 3);
    write();
    // Not one of two alone: a topic has one number of replicas.
    assert_eq!(move_to(&three, 0, Some(&all(0)[..2])), 38);
    move_all(&|index| all(index)[1..].to_vec());
    three.until("two are left", |partition| {
        partition.replica_nodes.len() == 2 && partition.isr_nodes.len() == 2
    });
    write();
    for partition in 0..2 {
        let expected: Vec<String> = (0..3).map(|number| format!("{partition}-{number}")).collect();
        assert_eq!(read(&three, partition), expected);
        let index = usize::try_from(partition).unwrap();
        assert_ne!(three.leader(index), first[index]);
    }
}
