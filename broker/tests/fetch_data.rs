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

/// What was appended last comes from memory, where it lies as the producer sent it, and with it what the log has put
/// into its header.
#[test]
fn what_was_appended_last_is_read_as_it_lies_in_the_log() {
    let figures = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broker = Process::start(&["--http-listen", &figures.to_string()]);
    let (mut producer, mut consumer) = (broker.connect(), broker.connect());
    let topic = create(&mut producer, "t", 1);
    let mut random = StdRng::seed_from_u64(7);
    let mut expected = Expected(Vec::new());
    for round in 0..150 {
        let from = expected.0.len();
        for _ in 0..random.random_range(1..4) {
            let sent = batch(random.random_range(1..120_000));
            expected.push(&sent);
            produce(&mut producer, topic, 0, sent);
        }
        let version = random.random_range(4..=18);
        let asked = FetchPartition::default()
            .with_fetch_offset(i64::try_from(from).unwrap())
            .with_partition_max_bytes(i32::MAX);
        let named = match version {
            13.. => FetchTopic::default().with_topic_id(topic),
            _ => FetchTopic::default().with_topic(name("t")),
        };
        let request = FetchRequest::default()
            .with_max_bytes(i32::MAX)
            .with_session_epoch(-1)
            .with_topics(vec![named.with_partitions(vec![asked])]);
        let answer = consumer.ask(version, &request);
        let records = answer.responses[0].partitions[0].records.clone().unwrap();
        assert!(records == expected.0[from..].concat(), "round {round}, version {version}");
    }
    let held = held_bytes(figures);
    assert!((1_000_000..=16 << 20).contains(&held), "{held} bytes are in memory for readers at the end");
}

/// `milena_fetch_tail_bytes`, once it has been counted.
fn held_bytes(figures: std::net::SocketAddr) -> usize {
    use std::io::{Read, Write};
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let mut stream = std::net::TcpStream::connect(figures).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let held = text.lines().find_map(|line| line.strip_prefix("milena_fetch_tail_bytes "));
        let held = held.and_then(|number| number.parse().ok()).unwrap_or(0);
        if held > 0 || std::time::Instant::now() > until {
            return held;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
