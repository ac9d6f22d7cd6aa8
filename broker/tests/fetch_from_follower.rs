//! Consumers that read from followers (KIP-392).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use kafka_protocol::messages::{FetchRequest, fetch_request::*};
use support::{Client, Process, batch, name, produce};
use uuid::Uuid;

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
        let broker = Process::start_several(3, args);
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
            let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
            let unknown = kafka_protocol::ResponseError::UnknownTopicOrPartition.code();
            let code = loop {
                match fetch_at(port(follower), 10, topic, 10, 0).0 {
                    code if code == unknown => {
                        assert!(std::time::Instant::now() < until, "never heard of it")
                    }
                    code => break code,
                }
            };
            assert_eq!(code, not_leader, "a client without a rack");
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
