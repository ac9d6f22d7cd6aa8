//! A compacted topic keeps the newest record of each key, and shrinks.
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
    time::{Duration, Instant},
};

use kafka_protocol::{
    messages::{
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        fetch_request::*,
        produce_request::*,
        *,
    },
    protocol::StrBytes,
};
use milena_records::{BatchBuilder, Batches};
use support::{Client, Process};

const ROUNDS: usize = 400;
const KEYS: usize = 10;

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str("compacted"))
}

fn create(client: &mut Client) {
    let config = |(name, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_static_str(value)))
    };
    let configs =
        [("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")];
    let topic = CreatableTopic::default()
        .with_name(name())
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(configs.map(config).to_vec());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
    let answer = client.ask(7, &request);
    assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
}

fn produce(client: &mut Client, round: usize) {
    let mut builder = BatchBuilder::new(0);
    for key in 0..KEYS {
        let value = format!("{round:04}{}", "x".repeat(2_000));
        builder.append(1_000, Some(key.to_string().as_bytes()), Some(value.as_bytes()), &[]).unwrap();
    }
    let data = PartitionProduceData::default().with_records(Some(builder.build().unwrap()));
    let topic = TopicProduceData::default().with_name(name()).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(5_000).with_topic_data(vec![topic]);
    assert_eq!(client.ask(9, &request).responses[0].partition_responses[0].error_code, 0);
}

/// Every record that can be read: the value's round by key, and how many there are.
fn read(client: &mut Client) -> (BTreeMap<String, usize>, usize) {
    let (mut newest, mut count, mut offset) = (BTreeMap::new(), 0, 0);
    loop {
        let asked = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic(name()).with_partitions(vec![asked]);
        let request =
            FetchRequest::default().with_max_wait_ms(1).with_max_bytes(1 << 20).with_topics(vec![topic]);
        let answer = client.ask(12, &request);
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        let records = partition.records.clone().unwrap_or_default();
        if records.is_empty() {
            return (newest, count);
        }
        for batch in Batches::new(&records) {
            let batch = batch.unwrap();
            for record in &batch.records(1 << 24).unwrap() {
                let record = record.unwrap();
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
                newest.insert(text(record.key), text(record.value)[..4].parse().unwrap());
                count += 1;
            }
            offset = batch.header.next_offset();
        }
    }
}

#[test]
fn the_newest_record_of_each_key_stays() {
    let mut broker = Process::start(&["--config", "log.cleaner.backoff.ms=100"]);
    let mut client = broker.connect();
    create(&mut client);
    for round in 0..ROUNDS {
        produce(&mut client, round);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (newest, count) = read(&mut client);
        assert_eq!(newest.len(), KEYS);
        assert!(newest.values().all(|round| *round == ROUNDS - 1), "a newest record is lost: {newest:?}");
        if count < ROUNDS * KEYS / 2 {
            break;
        }
        assert!(Instant::now() < deadline, "still {count} records");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(client);
    broker.kill_and_restart();
    let (newest, _) = read(&mut broker.connect());
    assert!(newest.len() == KEYS && newest.values().all(|round| *round == ROUNDS - 1), "{newest:?}");
}
