//! What a request costs does not grow with what else there is: topics, partitions, connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest,
    create_topics_request::CreatableTopic, fetch_request::*, list_offsets_request::*,
    metadata_request::MetadataRequestTopic,
};
use support::{Client, Process, batch, create, name, produce};
use uuid::Uuid;

const REQUESTS: u32 = 2_000;
const TOPICS: usize = 3_000;

/// Processor time of the broker, in ticks of 10 ms.
fn ticks(broker: &Process) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", broker.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn cost(broker: &Process, what: impl FnMut(u32)) -> u64 {
    let before = ticks(broker);
    (0..REQUESTS).for_each(what);
    ticks(broker) - before
}

/// By kind of request.
fn costs(broker: &Process, client: &mut Client, topic: Uuid) -> Vec<(&'static str, u64)> {
    let asked = FetchPartition::default().with_fetch_offset(0).with_partition_max_bytes(1 << 10);
    let fetch = FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![FetchTopic::default().with_topic_id(topic).with_partitions(vec![asked])]);
    let by_name = MetadataRequestTopic::default().with_name(Some(name("one")));
    let metadata = MetadataRequest::default().with_topics(Some(vec![by_name]));
    let latest = ListOffsetsPartition::default().with_timestamp(-1);
    let list = ListOffsetsTopic::default().with_name(name("one")).with_partitions(vec![latest]);
    let list = ListOffsetsRequest::default().with_topics(vec![list]);
    let sent = batch(100);
    vec![
        ("Produce", cost(broker, |_| produce(client, topic, 0, sent.clone()))),
        ("Fetch", cost(broker, |_| drop(client.ask(16, &fetch)))),
        ("Metadata", cost(broker, |_| drop(client.ask(12, &metadata)))),
        ("ListOffsets", cost(broker, |_| drop(client.ask(8, &list)))),
    ]
}

#[test]
fn requests_for_one_topic_beside_thousands() {
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    let topic = create(&mut client, "one", 1);
    costs(&broker, &mut client, topic);
    let few = costs(&broker, &mut client, topic);
    let topics: Vec<CreatableTopic> = (0..TOPICS)
        .map(|number| {
            let named = CreatableTopic::default().with_name(name(&format!("other-{number}")));
            named.with_num_partitions(1).with_replication_factor(1)
        })
        .collect();
    let request = CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(60_000);
    client.stream.set_read_timeout(Some(std::time::Duration::from_secs(120))).unwrap();
    let answer = client.ask(7, &request);
    assert!(answer.topics.iter().all(|topic| topic.error_code == 0));
    let held: Vec<Client> = (0..1_000).map(|_| broker.connect()).collect();
    let many = costs(&broker, &mut client, topic);
    for ((what, few), (_, many)) in few.iter().zip(&many) {
        println!("{what}: {few}0 ms alone, {many}0 ms beside {TOPICS} topics, for {REQUESTS} requests");
        // What a broker does beside requests, and what the clock cannot tell, is allowed for.
        assert!(*many <= few * 2 + 30, "{what}: {few}0 ms alone, {many}0 ms beside {TOPICS} topics");
    }
    drop(held);
}
