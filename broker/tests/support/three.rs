//! Three brokers in one process, a producer that counts what is acknowledged, and a reader.

use std::{
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use kafka_protocol::{
    messages::{
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        fetch_request::*,
        list_offsets_request::*,
        metadata_request::MetadataRequestTopic,
        metadata_response::MetadataResponsePartition,
        produce_request::*,
        *,
    },
    protocol::StrBytes,
};
use milena_records::{BatchBuilder, Batches};

use super::{Client, Process};

const BROKERS: i32 = 3;

/// The topic that is written to.
pub fn name() -> TopicName {
    TopicName(StrBytes::from_static_str("replicated"))
}

/// Three brokers on consecutive ports.
pub struct Three {
    pub process: Process,
}

impl Three {
    pub fn start() -> Three {
        Three { process: Process::start_several(3, &["--brokers", "3"]) }
    }

    pub fn connect(&self, broker: i32) -> Option<Client> {
        let port = self.process.port + u16::try_from(broker).unwrap();
        Client::connect(port).ok()
    }

    pub fn any(&self) -> Client {
        (0..BROKERS).find_map(|broker| self.connect(broker)).expect("a broker that serves")
    }

    pub fn order(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_milena-broker"))
            .args(words)
            .arg("--data-dir")
            .arg(self.process.data.path())
            .output()
            .unwrap()
    }

    pub fn done(&self, words: &[&str]) {
        let output = self.order(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes the topic with three replicas, two of which have to have what is acknowledged.
    pub fn create(&self, partitions: i32) {
        self.create_with(partitions, 3);
    }

    /// The same with another number of replicas.
    pub fn create_with(&self, partitions: i32, replicas: i16) {
        let config = CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("min.insync.replicas"))
            .with_value(Some(StrBytes::from_static_str("2")));
        let topic = CreatableTopic::default()
            .with_name(name())
            .with_num_partitions(partitions)
            .with_replication_factor(replicas)
            .with_configs(vec![config]);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let answer = self.any().ask(7, &request);
        assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
    }

    pub fn partitions(&self) -> Vec<MetadataResponsePartition> {
        let topic = MetadataRequestTopic::default().with_name(Some(name()));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // A broker that stops closes its connections, whatever was asked.
            if let Some(mut body) = self.any().ask_raw(9, &request) {
                let mut answer =
                    <MetadataResponse as kafka_protocol::protocol::Decodable>::decode(&mut body, 9).unwrap();
                return answer.topics.remove(0).partitions;
            }
            assert!(Instant::now() < deadline, "no broker answers");
        }
    }

    /// Waits until the partitions are as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&MetadataResponsePartition) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.partitions().iter().all(&wanted) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.partitions());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn leader(&self, partition: usize) -> i32 {
        let mut partitions = self.partitions();
        partitions.sort_by_key(|partition| partition.partition_index);
        partitions[partition].leader_id.0
    }
}

/// An idempotent producer of one partition with acks=all, which tries again until it hears that a record is safe.
pub struct Writer {
    pub id: i64,
    pub partition: i32,
    pub sequence: i32,
}

impl Writer {
    pub fn write(&mut self, three: &Three) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let leader = three.leader(usize::try_from(self.partition).unwrap());
            let code = three.connect(leader).and_then(|mut client| self.attempt(&mut client));
            if code == Some(0) {
                self.sequence += 1;
                return;
            }
            assert!(Instant::now() < deadline, "partition {} takes no records: {code:?}", self.partition);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The error code; none where the connection broke.
    pub fn attempt(&self, client: &mut Client) -> Option<i16> {
        let value = format!("{}-{}", self.partition, self.sequence);
        let mut builder = BatchBuilder::new(0).producer(self.id, 0, self.sequence);
        builder.append(1_000, None, Some(value.as_bytes()), &[]).unwrap();
        let data = PartitionProduceData::default()
            .with_index(self.partition)
            .with_records(Some(builder.build().unwrap()));
        let topic = TopicProduceData::default().with_name(name()).with_partition_data(vec![data]);
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(5_000).with_topic_data(vec![topic]);
        let mut body = client.ask_raw(9, &request)?;
        let answer = <ProduceResponse as kafka_protocol::protocol::Decodable>::decode(&mut body, 9).unwrap();
        Some(answer.responses[0].partition_responses[0].error_code)
    }
}

/// Every value of a partition, as a consumer reads it from its leader.
pub fn read(three: &Three, partition: i32) -> Vec<String> {
    read_from(three, partition, 0)
}

/// Every value from the batch of an offset on, up to the latest offset. One that has just begun to lead knows that one only
/// once it has heard from its followers (OFFSET_NOT_AVAILABLE), and shows less until then.
pub fn read_from(three: &Three, partition: i32, offset: i64) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let leader = three.leader(usize::try_from(partition).unwrap());
        let values = three.connect(leader).and_then(|mut client| {
            let latest = latest(&mut client, partition)?;
            values(&mut client, partition, offset, latest)
        });
        if let Some(values) = values {
            return values;
        }
        assert!(Instant::now() < deadline, "partition {partition} cannot be read");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Where the next record goes that is acknowledged; none while this broker does not lead, or does not know it yet.
fn latest(client: &mut Client, partition: i32) -> Option<i64> {
    let wanted = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_current_leader_epoch(-1)
        .with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(name()).with_partitions(vec![wanted]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let mut body = client.ask_raw(5, &request)?;
    let answer = <ListOffsetsResponse as kafka_protocol::protocol::Decodable>::decode(&mut body, 5).unwrap();
    let found = &answer.topics[0].partitions[0];
    (found.error_code == 0).then_some(found.offset)
}

/// The values from an offset up to `latest`; none where this broker does not lead any more.
fn values(client: &mut Client, partition: i32, mut offset: i64, latest: i64) -> Option<Vec<String>> {
    let mut values = Vec::new();
    while offset < latest {
        let from = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(offset)
            .with_current_leader_epoch(-1)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic(name()).with_partitions(vec![from]);
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(0)
            .with_max_bytes(1 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let mut body = client.ask_raw(11, &request)?;
        let mut answer =
            <FetchResponse as kafka_protocol::protocol::Decodable>::decode(&mut body, 11).unwrap();
        let found = answer.responses.remove(0).partitions.remove(0);
        // NOT_LEADER_OR_FOLLOWER
        if found.error_code == 6 {
            return None;
        }
        assert_eq!(found.error_code, 0);
        let records = found.records.unwrap_or_default();
        assert!(!records.is_empty(), "the latest offset is {latest}, and at {offset} there is nothing");
        for batch in Batches::new(&records) {
            let batch = batch.unwrap();
            for record in batch.records(1 << 20).unwrap().iter() {
                values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
            }
            offset = batch.header.last_offset() + 1;
        }
    }
    Some(values)
}
