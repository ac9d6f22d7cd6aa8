//! Three brokers in one process, one of which stops and comes back: what was acknowledged is there, once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use kafka_protocol::{
    messages::{metadata_response::MetadataResponsePartition, produce_request::*, *},
    protocol::StrBytes,
};
use milena_records::BatchBuilder;
use support::three::{Three, Writer, name, read, read_from};

fn all_in_sync(partition: &MetadataResponsePartition) -> bool {
    partition.isr_nodes.len() == 3
}

#[test]
fn acknowledged_records_outlive_their_leader_and_none_is_there_twice() {
    let three = Arc::new(Three::start());
    three.create(3);
    let stop = Arc::new(AtomicBool::new(false));
    let written: Arc<[AtomicI32; 3]> = Arc::default();
    let writers: Vec<_> = (0..3)
        .map(|partition| {
            let (three, stop, written) = (three.clone(), stop.clone(), written.clone());
            thread::spawn(move || {
                let mut writer = Writer { id: 1_000 + i64::from(partition), partition, sequence: 0 };
                while !stop.load(Ordering::Relaxed) {
                    writer.write(&three);
                    written[usize::try_from(partition).unwrap()].store(writer.sequence, Ordering::Relaxed);
                }
                writer.sequence
            })
        })
        .collect();
    // Each broker leads one partition: each is stopped once, and comes back.
    for broker in ["0", "1", "2"] {
        let id: i32 = broker.parse().unwrap();
        three.until("all are in sync", all_in_sync);
        three.done(&["stop", broker]);
        three.until("others lead", |partition| partition.leader_id.0 != id && partition.leader_id.0 >= 0);
        three.until("it is out of the ISR", |partition| !partition.isr_nodes.contains(&BrokerId(id)));
        let before: Vec<i32> = written.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let deadline = Instant::now() + Duration::from_secs(20);
        while written.iter().zip(&before).any(|(now, before)| now.load(Ordering::Relaxed) < before + 3) {
            assert!(Instant::now() < deadline, "nothing is written while broker {id} is away");
            thread::sleep(Duration::from_millis(20));
        }
        three.done(&["start", broker]);
    }
    three.until("all are in sync again", all_in_sync);
    stop.store(true, Ordering::Relaxed);
    for (partition, writer) in (0..).zip(writers) {
        let count = writer.join().unwrap();
        assert!(count > 9, "{count}");
        let expected: Vec<String> = (0..count).map(|number| format!("{partition}-{number}")).collect();
        assert_eq!(read(&three, partition), expected);
    }
    // Every replica has the same: each leads in turn and is read.
    let values: BTreeMap<i32, Vec<String>> =
        (0..3).map(|partition| (partition, read(&three, partition))).collect();
    for gone in ["0", "1"] {
        three.done(&["stop", gone]);
        three.until("others lead", |partition| partition.leader_id.0 >= 0);
        for (partition, values) in &values {
            assert_eq!(&read(&three, *partition), values);
        }
        if gone == "0" {
            three.done(&["start", gone]);
            three.until("all are in sync", all_in_sync);
        }
    }
}

/// Clients that find only the connection closed learn of a new leader much later: librdkafka by seconds.
#[test]
fn who_stops_tells_its_clients_for_a_moment_that_another_leads() {
    // NOT_LEADER_OR_FOLLOWER
    const MOVED: i16 = 6;
    let three = Three::start();
    three.create(1);
    three.until("all are in sync", all_in_sync);
    let mut writer = Writer { id: 1, partition: 0, sequence: 0 };
    writer.write(&three);
    let leader = three.leader(0);
    let mut client = three.connect(leader).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| three.done(&["stop", &leader.to_string()]));
        let mut told = 0;
        // The connection is closed in the end.
        while let Some(code) = writer.attempt(&mut client) {
            assert!([0, MOVED].contains(&code), "{code}");
            writer.sequence += i32::from(code == 0);
            told += i32::from(code == MOVED);
            thread::sleep(Duration::from_millis(20));
        }
        assert!(told >= 10, "told {told} times");
    });
    writer.write(&three);
}

#[test]
fn too_few_replicas_take_no_records_and_the_last_broker_stays() {
    let three = Three::start();
    three.create(1);
    three.until("all are in sync", all_in_sync);
    let mut writer = Writer { id: 1, partition: 0, sequence: 0 };
    writer.write(&three);
    three.done(&["stop", "1"]);
    three.done(&["stop", "2"]);
    three.until("it is alone", |partition| partition.isr_nodes.len() == 1);
    let mut client = three.connect(0).unwrap();
    // NOT_ENOUGH_REPLICAS
    assert_eq!(writer.attempt(&mut client), Some(19));
    let refused = three.order(&["stop", "0"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the last one that runs"));
    assert!(!three.order(&["start", "0"]).status.success());
    three.done(&["start", "2"]);
    writer.write(&three);
    assert_eq!(read(&three, 0), ["0-0", "0-1"]);
}

#[test]
fn what_was_replicated_is_there_after_a_kill_of_all() {
    let mut three = Three::start();
    three.create(2);
    three.until("all are in sync", all_in_sync);
    let mut writers = [0, 1].map(|partition| Writer { id: 7, partition, sequence: 0 });
    for _ in 0..20 {
        writers.iter_mut().for_each(|writer| writer.write(&three));
    }
    three.process.kill_and_restart();
    three.until("all are in sync", all_in_sync);
    writers.iter_mut().for_each(|writer| writer.write(&three));
    for partition in 0..2 {
        let expected: Vec<String> = (0..21).map(|number| format!("{partition}-{number}")).collect();
        assert_eq!(read(&three, partition), expected);
    }
}

#[test]
fn an_emptied_volume_catches_up_and_only_then_counts() {
    let three = Three::start();
    three.create(1);
    three.until("all are in sync", all_in_sync);
    let mut writer = Writer { id: 1, partition: 0, sequence: 0 };
    let mut client = three.connect(three.leader(0)).unwrap();
    // One batch of ten records; the log will begin within it.
    let mut builder = BatchBuilder::new(0);
    for number in 0..10 {
        builder.append(1_000, None, Some(format!("first-{number}").as_bytes()), &[]).unwrap();
    }
    let data = PartitionProduceData::default().with_records(Some(builder.build().unwrap()));
    let topic = TopicProduceData::default().with_name(name()).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(5_000).with_topic_data(vec![topic]);
    assert_eq!(client.ask(9, &request).responses[0].partition_responses[0].error_code, 0);
    writer.write(&three);
    let delete = DeleteRecordsRequest::default().with_timeout_ms(5_000).with_topics(vec![
        delete_records_request::DeleteRecordsTopic::default().with_name(name()).with_partitions(vec![
            delete_records_request::DeleteRecordsPartition::default().with_partition_index(0).with_offset(5),
        ]),
    ]);
    let deleted = client.ask(2, &delete).topics.into_iter().next().unwrap().partitions;
    assert_eq!((deleted[0].error_code, deleted[0].low_watermark), (0, 5));

    three.done(&["stop", "2"]);
    std::fs::remove_dir_all(three.process.data.path().join("broker.2")).unwrap();
    three.done(&["start", "2"]);
    three.until("all are in sync", all_in_sync);
    three.done(&["stop", "0"]);
    writer.write(&three);
    three.done(&["start", "0"]);
    three.until("all are in sync", all_in_sync);
    three.done(&["stop", "1"]);
    three.done(&["stop", "0"]);
    three.until("broker 2 leads", |partition| partition.leader_id.0 == 2);
    let values = read_from(&three, 0, 5);
    let first: Vec<String> = (5..10).map(|number| format!("first-{number}")).collect();
    assert_eq!(values.iter().filter(|value| first.contains(value)).count(), 5, "{values:?}");
    assert_eq!(values[values.len() - 2..], ["0-0", "0-1"]);
}

/// The offset that a group has committed for partition 0, as its coordinator tells; none where it cannot yet.
fn committed(three: &Three, group: &str) -> Option<i64> {
    let mut client = three.connect(coordinator(three, group)?)?;
    let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
        .with_name(name())
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
        .with_topics(Some(vec![topic]));
    let answer = client.ask(5, &request);
    let partition = answer.topics.first()?.partitions.first()?;
    (answer.error_code == 0 && partition.error_code == 0).then_some(partition.committed_offset)
}

fn coordinator(three: &Three, group: &str) -> Option<i32> {
    let request = FindCoordinatorRequest::default().with_key(StrBytes::from_string(group.to_owned()));
    let answer = three.any().ask(2, &request);
    (answer.error_code == 0).then_some(answer.node_id.0)
}

#[test]
fn committed_offsets_follow_the_leader_of_their_partition() {
    let three = Three::start();
    three.create(1);
    let commit = |group: &str, offset: i64| -> Option<i16> {
        let mut client = three.connect(coordinator(&three, group)?)?;
        let partition = offset_commit_request::OffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(offset);
        let topic = offset_commit_request::OffsetCommitRequestTopic::default()
            .with_name(name())
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(group.to_owned())))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        Some(client.ask(7, &request).topics[0].partitions[0].error_code)
    };
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < deadline, "{what}");
            thread::sleep(Duration::from_millis(20));
        }
    };
    // Some group for each broker as coordinator.
    let groups: Vec<String> = (0..9).map(|number| format!("group-{number}")).collect();
    for (offset, group) in (0..).zip(&groups) {
        until("an offset is committed", &|| commit(group, offset) == Some(0));
    }
    for broker in ["0", "1", "2"] {
        three.done(&["stop", broker]);
        for (offset, group) in (0..).zip(&groups) {
            until("another coordinator knows the offset", &|| committed(&three, group) == Some(offset));
        }
        three.done(&["start", broker]);
        three.until("all are in sync", all_in_sync);
        // The internal topic's replicas catch up, too, before the next one stops.
        thread::sleep(Duration::from_millis(700));
    }
}
