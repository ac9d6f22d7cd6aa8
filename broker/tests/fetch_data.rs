//! What was produced comes out again: from files and from memory, within any limits, in any version.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use bytes::Bytes;
use kafka_protocol::messages::{FetchRequest, fetch_request::*};
use rand::{Rng, SeedableRng, rngs::StdRng};
use support::{Client, Process, batch, create, name, produce};
use uuid::Uuid;

const PARTITIONS: i32 = 3;

/// The batches of a partition as the log has them, with the offset behind each: one record a batch.
struct Expected(Vec<Vec<u8>>);

impl Expected {
    fn push(&mut self, sent: &Bytes) {
        let mut stored = sent.to_vec();
        let offset = i64::try_from(self.0.len()).unwrap();
        stored[..8].copy_from_slice(&offset.to_be_bytes());
        // The leader epoch is the broker's, and 0 for a new topic.
        stored[12..16].copy_from_slice(&0_i32.to_be_bytes());
        self.0.push(stored);
    }
}

fn fill(client: &mut Client, topic: Uuid, random: &mut StdRng) -> Vec<Expected> {
    let mut all: Vec<Expected> = (0..PARTITIONS).map(|_| Expected(Vec::new())).collect();
    for _ in 0..60 {
        let partition = random.random_range(0..PARTITIONS);
        let size = match random.random_range(0..3) {
            0 => random.random_range(1..500),
            1 => random.random_range(500..40_000),
            _ => random.random_range(40_000..400_000),
        };
        let batch = batch(size);
        all[usize::try_from(partition).unwrap()].push(&batch);
        produce(client, topic, partition, batch);
    }
    all
}

fn check_one_fetch(client: &mut Client, topic: Uuid, expected: &[Expected], random: &mut StdRng) {
    let version = random.random_range(4..=18);
    let max_bytes = random.random_range(1..3_000_000);
    let asked: Vec<FetchPartition> = (0..PARTITIONS)
        .zip(expected)
        .map(|(partition, batches)| {
            FetchPartition::default()
                .with_partition(partition)
                .with_fetch_offset(random.random_range(0..=i64::try_from(batches.0.len()).unwrap()))
                .with_partition_max_bytes(random.random_range(1..2_000_000))
        })
        .collect();
    let named = match version {
        13.. => FetchTopic::default().with_topic_id(topic),
        _ => FetchTopic::default().with_topic(name("t")),
    };
    let request = FetchRequest::default()
        .with_max_bytes(max_bytes)
        .with_session_epoch(-1)
        .with_topics(vec![named.with_partitions(asked.clone())]);
    let answer = client.ask(version, &request);
    let mut left = usize::try_from(max_bytes).unwrap();
    let mut is_first = true;
    for ((asked, told), batches) in asked.iter().zip(&answer.responses[0].partitions).zip(expected) {
        assert_eq!((told.error_code, told.high_watermark), (0, i64::try_from(batches.0.len()).unwrap()));
        let limit = left.min(usize::try_from(asked.partition_max_bytes).unwrap());
        let mut wanted: Vec<u8> = Vec::new();
        for batch in &batches.0[usize::try_from(asked.fetch_offset).unwrap()..] {
            if wanted.len() + batch.len() > limit && !(is_first && wanted.is_empty()) {
                break;
            }
            wanted.extend_from_slice(batch);
        }
        let records = told.records.clone().unwrap();
        assert_eq!(records.len(), wanted.len(), "{asked:?} in version {version}, {left} bytes left");
        assert!(records == wanted);
        is_first &= wanted.is_empty();
        left = left.saturating_sub(wanted.len());
    }
}

#[test]
fn whole_batches_within_the_limits() {
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    for seed in 0..8 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut named = broker.connect();
        let topic = create(&mut client, "t", PARTITIONS);
        let expected = fill(&mut client, topic, &mut random);
        for fetch in 0..40 {
            let context = format!("seed {seed}, fetch {fetch}");
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                check_one_fetch(&mut named, topic, &expected, &mut random);
            }))
            .unwrap_or_else(|_| panic!("{context}"));
        }
        delete(&mut client);
    }
}

fn delete(client: &mut Client) {
    use kafka_protocol::messages::{DeleteTopicsRequest, delete_topics_request::DeleteTopicState};
    let state = DeleteTopicState::default().with_name(Some(name("t")));
    client.ask(6, &DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(5_000));
}

#[test]
fn an_offset_within_a_batch_gives_the_whole_batch() {
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    let topic = create(&mut client, "t", 1);
    for _ in 0..3 {
        let mut builder = milena_records::BatchBuilder::new(0);
        for _ in 0..10 {
            builder.append(1_000, None, Some(&[7; 5_000]), &[]).unwrap();
        }
        produce(&mut client, topic, 0, builder.build().unwrap());
    }
    let asked = FetchPartition::default().with_fetch_offset(15).with_partition_max_bytes(1);
    let request = FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![FetchTopic::default().with_topic_id(topic).with_partitions(vec![asked])]);
    let records = client.ask(16, &request).responses[0].partitions[0].records.clone().unwrap();
    assert_eq!(i64::from_be_bytes(records[..8].try_into().unwrap()), 10);
    assert!(records.len() > 50_000 && records.len() < 60_000, "one batch: {} bytes", records.len());
}

const RACK_AWARE: &str = "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// One fetch of partition 0 from its start at that broker: error, high watermark, bytes.
fn fetch_at(port: u16, version: i16, topic: Uuid, wait_ms: i32, offset: i64) -> (i16, i64, usize) {
    let asked = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = match version {
        13.. => FetchTopic::default().with_topic_id(topic),
        _ => FetchTopic::default().with_topic(name("copied")),
    };
    let request = FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_min_bytes(1)
        .with_max_wait_ms(wait_ms)
        .with_session_epoch(-1)
        .with_topics(vec![topic.with_partitions(vec![asked])]);
    let mut client = Client::connect(port).unwrap();
    let data = client.ask(version, &request).responses.remove(0).partitions.remove(0);
    (data.error_code, data.high_watermark, data.records.map_or(0, |records| records.len()))
}

#[test]
fn followers_serve_consumers_where_racks_count() {
    use kafka_protocol::messages::{CreateTopicsRequest, create_topics_request::CreatableTopic};
    let not_leader = kafka_protocol::ResponseError::NotLeaderOrFollower.code();
    for (args, serves) in
        [(&["--brokers", "3", "--config", RACK_AWARE][..], true), (&["--brokers", "3"][..], false)]
    {
        let broker = Process::start(args);
        let asked = CreatableTopic::default().with_name(name("copied")).with_num_partitions(1);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![asked.with_replication_factor(3)])
            .with_timeout_ms(10_000);
        let answer = broker.connect().ask(7, &request);
        assert_eq!(answer.topics[0].error_code, 0);
        let topic = answer.topics[0].topic_id;
        let leader = leader_of(&broker);
        let port = |broker_id: i32| broker.port + u16::try_from(broker_id).unwrap();
        produce(&mut Client::connect(port(leader)).unwrap(), topic, 0, batch(1_000));
        for follower in (0..3).filter(|id| *id != leader) {
            assert_eq!(fetch_at(port(follower), 10, topic, 10, 0).0, not_leader, "a client without a rack");
            let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
            loop {
                let (code, high_watermark, bytes) = fetch_at(port(follower), 16, topic, 500, 0);
                if !serves {
                    assert_eq!(code, not_leader);
                    break;
                }
                assert_eq!(code, 0);
                if high_watermark == 1 {
                    assert!(bytes > 1_000);
                    break;
                }
                assert!(std::time::Instant::now() < until, "the follower never learns what is committed");
            }
        }
    }
}

fn leader_of(broker: &Process) -> i32 {
    use kafka_protocol::messages::{MetadataRequest, metadata_request::MetadataRequestTopic};
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let asked = MetadataRequestTopic::default().with_name(Some(name("copied")));
        let answer = broker.connect().ask(12, &MetadataRequest::default().with_topics(Some(vec![asked])));
        let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
        match partition.map(|partition| partition.leader_id.0) {
            Some(leader) if leader >= 0 => return leader,
            _ => assert!(std::time::Instant::now() < until, "no leader"),
        }
    }
}
