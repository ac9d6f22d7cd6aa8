//! Three brokers in one process: elections that a client asks for (ElectLeaders), and those that a setting allows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use kafka_protocol::{
    ResponseError,
    messages::{
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        elect_leaders_request::TopicPartitions,
        metadata_request::MetadataRequestTopic,
        metadata_response::MetadataResponsePartition,
        *,
    },
    protocol::StrBytes,
};
use support::{Client, Process, batch, name, produce};
use uuid::Uuid;

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// Three brokers on consecutive ports.
struct Three(Process);

impl Three {
    fn start(args: &[&str]) -> Three {
        let all: Vec<&str> = ["--brokers", "3"].iter().chain(args).copied().collect();
        Three(Process::start_several(3, &all))
    }

    fn connect(&self, broker: i32) -> Client {
        Client::connect(self.0.port + u16::try_from(broker).unwrap()).unwrap()
    }

    fn any(&self) -> Client {
        (0..3u16).find_map(|broker| Client::connect(self.0.port + broker).ok()).expect("a broker that serves")
    }

    fn order(&self, word: &str, broker: i32) {
        let broker = broker.to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_milena-broker"))
            .args([word, &broker, "--data-dir"])
            .arg(self.0.data.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{word} {broker}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn create(&self, topic: &str, partitions: i32, replicas: i16, config: &[(&str, &str)]) -> Uuid {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let config = config.iter().map(|(name, value)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        });
        let asked = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas)
            .with_configs(config.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![asked]).with_timeout_ms(10_000);
        let answer = self.any().ask(7, &request);
        assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
        answer.topics[0].topic_id
    }

    fn partitions(&self, topic: &str) -> Vec<MetadataResponsePartition> {
        let asked = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![asked]));
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // A broker that stops closes its connections, whatever was asked.
            if let Some(mut body) = self.any().ask_raw(9, &request) {
                let mut answer =
                    <MetadataResponse as kafka_protocol::protocol::Decodable>::decode(&mut body, 9).unwrap();
                let mut partitions = answer.topics.remove(0).partitions;
                partitions.sort_by_key(|partition| partition.partition_index);
                return partitions;
            }
            assert!(Instant::now() < deadline, "no broker answers");
        }
    }

    fn until(&self, topic: &str, what: &str, wanted: impl Fn(&MetadataResponsePartition) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.partitions(topic).iter().all(&wanted) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.partitions(topic));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks for elections; by partition the error.
    fn elect(&self, kind: i8, topic: Option<(&str, &[i32])>) -> Vec<(i32, Option<ResponseError>)> {
        let named = topic.map(|(topic, partitions)| {
            vec![TopicPartitions::default().with_topic(name(topic)).with_partitions(partitions.to_vec())]
        });
        let request = ElectLeadersRequest::default()
            .with_election_type(kind)
            .with_topic_partitions(named)
            .with_timeout_ms(20_000);
        let answer = self.any().ask(2, &request);
        assert_eq!(answer.error_code, 0);
        let results = answer.replica_election_results.into_iter().flat_map(|topic| topic.partition_result);
        results.map(|result| (result.partition_id, ResponseError::try_from_code(result.error_code))).collect()
    }
}

fn is_led_by_first(partition: &MetadataResponsePartition) -> bool {
    partition.leader_id == partition.replica_nodes[0]
}

#[test]
fn the_first_replica_leads_again_when_a_client_asks() {
    let three = Three::start(&[]);
    three.create("t", 3, 3, &[("min.insync.replicas", "2")]);
    three.until("t", "all in sync", |partition| partition.isr_nodes.len() == 3);
    three.order("stop", 0);
    let away: Vec<i32> = three
        .partitions("t")
        .iter()
        .filter(|partition| partition.replica_nodes[0] == 0)
        .map(|partition| partition.partition_index)
        .collect();
    assert!(!away.is_empty(), "broker 0 is somewhere first");
    let down = three.elect(PREFERRED, Some(("t", &away)));
    assert!(
        down.iter().all(|(_, error)| *error == Some(ResponseError::PreferredLeaderNotAvailable)),
        "{down:?}"
    );
    three.order("start", 0);
    three.until("t", "all in sync again", |partition| partition.isr_nodes.len() == 3);
    assert!(
        !three.partitions("t").iter().all(is_led_by_first),
        "leadership does not go back by itself so soon"
    );
    // Without names: every partition where one is due, and those alone.
    let elected = three.elect(PREFERRED, None);
    assert_eq!(elected, away.iter().map(|index| (*index, None)).collect::<Vec<_>>());
    assert!(three.partitions("t").iter().all(is_led_by_first));
    assert_eq!(three.elect(PREFERRED, None), []);
    assert_eq!(three.elect(PREFERRED, Some(("t", &[1]))), [(1, Some(ResponseError::ElectionNotNeeded))]);
    assert_eq!(three.elect(UNCLEAN, Some(("t", &[1]))), [(1, Some(ResponseError::ElectionNotNeeded))]);
    let unknown = Some(ResponseError::UnknownTopicOrPartition);
    assert_eq!(three.elect(PREFERRED, Some(("t", &[7]))), [(7, unknown)]);
    assert_eq!(three.elect(UNCLEAN, Some(("no", &[0]))), [(0, unknown)]);
    let other = ElectLeadersRequest::default().with_election_type(2).with_topic_partitions(None);
    assert_eq!(three.any().ask(2, &other).error_code, ResponseError::InvalidRequest.code());
    // The first version knows no other kind.
    let first = ElectLeadersRequest::default().with_topic_partitions(None).with_timeout_ms(1_000);
    assert!(three.any().ask(0, &first).replica_election_results.is_empty());
}

/// Leaves partition 0 of a topic with two replicas to the one that was not in sync; answers both.
fn lose_the_leader(three: &Three, topic: &str, id: Uuid) -> (i32, i32) {
    three.until(topic, "all in sync", |partition| partition.isr_nodes.len() == 2);
    let state = three.partitions(topic).remove(0);
    let leader = state.leader_id.0;
    let other = state.replica_nodes.iter().map(|id| id.0).find(|id| *id != leader).unwrap();
    three.order("stop", other);
    three.until(topic, "the follower left", |partition| partition.isr_nodes.len() == 1);
    produce(&mut three.connect(leader), id, 0, batch(10));
    three.order("stop", leader);
    (leader, other)
}

#[test]
fn an_unclean_election_is_held_only_when_a_client_asks() {
    let three = Three::start(&[]);
    let id = three.create("t", 1, 2, &[]);
    let (leader, other) = lose_the_leader(&three, "t", id);
    three.until("t", "nobody leads", |partition| partition.leader_id == -1);
    let nobody = Some(ResponseError::EligibleLeadersNotAvailable);
    assert_eq!(three.elect(UNCLEAN, Some(("t", &[0]))), [(0, nobody)]);
    three.order("start", other);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(three.partitions("t")[0].leader_id, -1, "it was not in sync");
    assert_eq!(three.elect(UNCLEAN, Some(("t", &[0]))), [(0, None)]);
    assert_eq!(three.partitions("t")[0].leader_id, other);
    produce(&mut three.connect(other), id, 0, batch(10));
    // The former leader follows, and cuts its log to fit.
    three.order("start", leader);
    three.until("t", "both in sync", |partition| partition.isr_nodes.len() == 2);
    assert_eq!(three.partitions("t")[0].leader_id, other);
}

#[test]
fn an_unclean_election_is_held_by_itself_where_the_topic_allows_it() {
    let three = Three::start(&[]);
    let id = three.create("t", 1, 2, &[("unclean.leader.election.enable", "true")]);
    let (_, other) = lose_the_leader(&three, "t", id);
    three.order("start", other);
    three.until("t", "the other leads", |partition| partition.leader_id == other);
    produce(&mut three.connect(other), id, 0, batch(10));
}

#[test]
fn leadership_goes_back_by_itself() {
    let three = Three::start(&["--config", "leader.imbalance.check.interval.seconds=1"]);
    three.create("t", 3, 3, &[]);
    three.until("t", "all in sync", |partition| partition.isr_nodes.len() == 3);
    three.order("stop", 0);
    three.until("t", "others lead", |partition| partition.leader_id.0 > 0);
    three.order("start", 0);
    three.until("t", "the first replicas lead", is_led_by_first);
}

/// The directories of the three brokers.
fn dirs(data: &Path) -> [PathBuf; 3] {
    [data.to_owned(), data.join("broker.1"), data.join("broker.2")]
}

/// The machine lost power: the directory was last open in another boot, and not closed in order.
fn lose_power(dir: &Path) {
    let path = dir.join("log-generation");
    let text = fs::read_to_string(&path).unwrap();
    let line = |line: &str| match line.split_once(".id=") {
        Some(("boot" | "recovered.boot", _)) => line.split_once('=').unwrap().0.to_owned() + "=another",
        _ => line.to_owned(),
    };
    fs::write(&path, text.lines().map(|text| line(text) + "\n").collect::<String>()).unwrap();
}

/// The last bytes of a log never reached the disk.
fn lose_bytes(dir: &Path, partition: &str, bytes: u64) {
    let path = dir.join(partition).join("00000000000000000000.log");
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
}

fn log_end(three: &Three, leader: i32, topic: &str) -> i64 {
    let partition = list_offsets_request::ListOffsetsPartition::default().with_timestamp(-1);
    let asked = list_offsets_request::ListOffsetsTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = three.connect(leader).ask(6, &request);
        let partition = &answer.topics[0].partitions[0];
        if partition.error_code == 0 {
            return partition.offset;
        }
        assert!(Instant::now() < deadline, "no latest offset: {}", partition.error_code);
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn after_a_power_cut_of_all_who_goes_furthest_leads() {
    let mut three = Three::start(&[]);
    let id = three.create("t", 1, 3, &[("min.insync.replicas", "2")]);
    three.until("t", "all in sync", |partition| partition.isr_nodes.len() == 3);
    let leader = three.partitions("t")[0].leader_id.0;
    (0..20).for_each(|_| produce(&mut three.connect(leader), id, 0, batch(100)));
    let length = |dir: &PathBuf| fs::metadata(dir.join("t-0/00000000000000000000.log")).unwrap().len();
    let all = dirs(three.0.data.path());
    let deadline = Instant::now() + Duration::from_secs(30);
    while all.iter().map(length).min() != all.iter().map(length).max() {
        assert!(Instant::now() < deadline, "the followers have it");
        thread::sleep(Duration::from_millis(10));
    }
    // Each lost something but one, which is no broker that an ordinary election would prefer.
    let furthest = three.partitions("t")[0].replica_nodes[2].0;
    three.0.kill_change_restart(|data| {
        for (broker, dir) in dirs(data).iter().enumerate() {
            lose_power(dir);
            if broker != usize::try_from(furthest).unwrap() {
                lose_bytes(dir, "t-0", 40 + 400 * u64::try_from(broker).unwrap());
            }
        }
    });
    three.until("t", "it leads", |partition| partition.leader_id == furthest);
    three.until("t", "all in sync again", |partition| partition.isr_nodes.len() == 3);
    assert_eq!(log_end(&three, furthest, "t"), 20, "nothing is lost that one disk kept");
    produce(&mut three.connect(furthest), id, 0, batch(100));
}

#[test]
fn after_a_power_cut_of_all_an_empty_disk_does_not_lead() {
    let mut three = Three::start(&[]);
    let id = three.create("t", 1, 3, &[]);
    three.until("t", "all in sync", |partition| partition.isr_nodes.len() == 3);
    let leader = three.partitions("t")[0].leader_id.0;
    produce(&mut three.connect(leader), id, 0, batch(100));
    three.0.kill_change_restart(|data| {
        dirs(data).iter().for_each(|dir| lose_power(dir));
        fs::remove_dir_all(data.join("broker.2")).unwrap();
    });
    three.until("t", "one with its disk leads", |partition| (0..2).contains(&partition.leader_id.0));
    three.until("t", "all in sync again", |partition| partition.isr_nodes.len() == 3);
}
