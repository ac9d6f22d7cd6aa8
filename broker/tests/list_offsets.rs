//! ListOffsets and OffsetForLeaderEpoch: special timestamps, isolation, epochs, and their errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use bytes::Bytes;
use kafka_protocol::{
    ResponseError,
    messages::{
        DeleteRecordsRequest, FetchRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest,
        delete_records_request::*, fetch_request::*, list_offsets_request::*,
        list_offsets_response::ListOffsetsPartitionResponse, offset_for_leader_epoch_request::*,
    },
};
use milena_records::BatchBuilder;
use support::{Client, Process, create, name, produce};
use uuid::Uuid;

const NEWEST: i16 = 10;

fn batch_at(times: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new(0);
    times.iter().for_each(|time| builder.append(*time, None, Some(b"v"), &[]).unwrap());
    builder.build().unwrap()
}

fn list(
    client: &mut Client,
    version: i16,
    isolation: i8,
    times: &[i64],
) -> Vec<ListOffsetsPartitionResponse> {
    let ask = |time: &i64| {
        let asked = ListOffsetsPartition::default().with_timestamp(*time);
        let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default().with_isolation_level(isolation).with_topics(vec![topic]);
        client.ask(version, &request).topics.remove(0).partitions.remove(0)
    };
    times.iter().map(ask).collect()
}

fn offsets(found: &[ListOffsetsPartitionResponse]) -> Vec<(i64, i64, i32)> {
    found.iter().map(|one| (one.offset, one.timestamp, one.leader_epoch)).collect()
}

/// Offsets 0 to 4 with these times, of which the first two are deleted.
fn broker_with_records() -> (Process, Client, Uuid) {
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    let topic = create(&mut client, "t", 1);
    for times in [&[1_000, 2_000][..], &[5_000], &[3_000, 4_000]] {
        produce(&mut client, topic, 0, batch_at(times));
    }
    let partition = DeleteRecordsPartition::default().with_offset(2);
    let delete = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    client.ask(2, &DeleteRecordsRequest::default().with_topics(vec![delete]).with_timeout_ms(1_000));
    (broker, client, topic)
}

#[test]
fn times_and_special_times() {
    let (_broker, mut client, _) = broker_with_records();
    let found = list(&mut client, NEWEST, 0, &[-1, -2, -3, -4, -5]);
    assert!(found.iter().all(|one| one.error_code == 0), "{found:?}");
    assert_eq!(offsets(&found), [(5, -1, 0), (2, -1, 0), (2, 5_000, 0), (2, -1, 0), (-1, -1, -1)]);
    let found = list(&mut client, NEWEST, 0, &[0, 5_000, 5_001, 4_500]);
    assert_eq!(offsets(&found), [(2, 5_000, 0), (2, 5_000, 0), (-1, -1, -1), (2, 5_000, 0)]);
}

#[test]
fn each_special_time_has_its_version() {
    let (_broker, mut client, _) = broker_with_records();
    for (time, first) in [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11), (-7, 11)] {
        for version in 1..=NEWEST {
            let code = list(&mut client, version, 0, &[time])[0].error_code;
            let expected = if version >= first { 0 } else { ResponseError::UnsupportedVersion.code() };
            assert_eq!(code, expected, "{time} in version {version}");
        }
    }
}

#[test]
fn what_is_asked_twice_or_is_not_there() {
    let (_broker, mut client, _) = broker_with_records();
    let asked = |index| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(name("t"));
    let request = ListOffsetsRequest::default().with_topics(vec![topic.with_partitions(vec![
        asked(0),
        asked(1),
        asked(0),
    ])]);
    let codes: Vec<i16> =
        client.ask(NEWEST, &request).topics[0].partitions.iter().map(|p| p.error_code).collect();
    let (twice, missing) =
        (ResponseError::InvalidRequest.code(), ResponseError::UnknownTopicOrPartition.code());
    assert_eq!(codes, [twice, missing, twice]);
    let stale = asked(0).with_current_leader_epoch(7);
    let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![stale]);
    let answer = client.ask(NEWEST, &ListOffsetsRequest::default().with_topics(vec![topic]));
    assert_eq!(answer.topics[0].partitions[0].error_code, ResponseError::UnknownLeaderEpoch.code());
}

#[test]
fn an_open_transaction_hides_what_follows() {
    let (_broker, mut client, topic) = broker_with_records();
    let mut builder = BatchBuilder::new(0).producer(7, 0, 0).transactional();
    builder.append(9_000, None, Some(b"undecided"), &[]).unwrap();
    produce(&mut client, topic, 0, builder.build().unwrap());
    produce(&mut client, topic, 0, batch_at(&[9_500]));
    for (isolation, end, newest) in [(0, 7, (6, 9_500, 0)), (1, 5, (-1, -1, -1))] {
        let found = list(&mut client, NEWEST, isolation, &[-1, 9_500]);
        assert_eq!(offsets(&found), [(end, -1, 0), newest], "isolation {isolation}");
        let asked = FetchPartition::default().with_fetch_offset(2).with_partition_max_bytes(1 << 20);
        let request = FetchRequest::default()
            .with_max_bytes(1 << 20)
            .with_session_epoch(-1)
            .with_isolation_level(isolation)
            .with_topics(vec![FetchTopic::default().with_topic_id(topic).with_partitions(vec![asked])]);
        let answer = client.ask(16, &request);
        let data = &answer.responses[0].partitions[0];
        assert_eq!((data.high_watermark, data.last_stable_offset), (7, 5));
        let batches = milena_records::Batches::new(data.records.as_ref().unwrap());
        let last = batches.map(|batch| batch.unwrap().header.last_offset()).last();
        assert_eq!(last, Some(end - 1), "isolation {isolation}");
    }
}

#[test]
fn where_leader_epochs_end() {
    let (mut broker, client, _) = broker_with_records();
    drop(client);
    broker.kill_and_restart();
    let mut client = broker.connect();
    let current = list(&mut client, NEWEST, 0, &[-1])[0].leader_epoch;
    assert!(current > 0, "who restarts leads in a new epoch");
    for version in 2..=4 {
        let mut ask = |epoch, known| {
            let asked =
                OffsetForLeaderPartition::default().with_leader_epoch(epoch).with_current_leader_epoch(known);
            let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![asked]);
            let answer =
                client.ask(version, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic]));
            let answer = &answer.topics[0].partitions[0];
            (answer.error_code, answer.leader_epoch, answer.end_offset)
        };
        assert_eq!(ask(0, -1), (0, 0, 5));
        assert_eq!(ask(current, current), (0, current, 5));
        assert_eq!(ask(current + 1, -1), (0, -1, -1), "not known here");
        assert_eq!(ask(0, 0).0, ResponseError::FencedLeaderEpoch.code());
        assert_eq!(ask(0, current + 1).0, ResponseError::UnknownLeaderEpoch.code());
    }
}
