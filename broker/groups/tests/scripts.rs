//! Runs every script in `scripts/`: requests of named clients, and what each is answered and when.
//!
//! ```text
//! # a comment
//! set initial_delay=3000              settings, before anything else
//! at 3000                             time passes
//! join a p=range,rr => a: …           a request, then what is answered, in order, separated by "; "
//! ```
//!
//! A client's token is its name. A member id is the client's name or instance id and a number that counts the
//! JoinGroups of the script: `a-1`. Writes are answered at once, unless the script says `hold`; then `written`
//! and `failed` answer the oldest. `moved N` reads the log, and the first N writes under way, into another
//! coordinator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::HashMap;
use std::fmt::Write as _;

use bytes::Bytes;
use milena_groups::classic::{
    HeartbeatRequest, JoinRequest, JoinResponse, LeavingMember, Protocol, SyncRequest, SyncResponse,
};
use milena_groups::offsets::{CommitPartition, CommitRequest, CommitTopic, DeleteOffsetsRequest, FetchTopic};
use milena_groups::{Config, DeletedTopic, Error, Response};
use support::World;
use uuid::Uuid;

const GROUP: &str = "g";

macro_rules! scripts {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            run(include_str!(concat!("scripts/", stringify!($name), ".txt")));
        }
    )*};
}

scripts! {
    rebalances
    member_ids
    static_members
    failures
    limits
    offsets
    expiry
    moving
}

fn run(text: &str) {
    let mut script = Script::new();
    let mut wrong = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap().trim();
        if line.is_empty() {
            continue;
        }
        let (command, expected) = line.split_once("=>").unwrap_or((line, ""));
        let got = script.step(command.trim());
        if got != expected.trim() {
            writeln!(wrong, "line {number}: {command}\n  expected {}\n  got      {got}", expected.trim())
                .unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

struct Script {
    world: World<String>,
    joins: u128,
    hold: bool,
}

/// The words of a line: the first few by place, the others as `key=value`.
struct Words<'a> {
    by_place: Vec<&'a str>,
    by_name: HashMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        let mut words = Self { by_place: Vec::new(), by_name: HashMap::new() };
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) if !name.contains('/') => drop(words.by_name.insert(name, value)),
                _ => words.by_place.push(word),
            }
        }
        words
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.by_name.get(name).copied()
    }

    fn number(&self, name: &str, default: i64) -> i64 {
        self.get(name).map_or(default, |text| text.parse().expect("a number"))
    }

    fn int(&self, name: &str, default: i64) -> i32 {
        i32::try_from(self.number(name, default)).unwrap()
    }
}

impl Script {
    fn new() -> Self {
        let config = Config { initial_rebalance_delay_ms: 0, ..Config::default() };
        Self { world: World::new(config), joins: 0, hold: false }
    }

    fn step(&mut self, command: &str) -> String {
        let words = Words::new(command);
        let direct = match words.by_place.remove_first() {
            ("set", _) => self.set(&words),
            ("at", rest) => self.advance(rest[0]),
            ("join", rest) => self.join(rest[0], &words),
            ("sync", rest) => self.sync(rest, &words),
            ("beat", rest) => self.beat(rest, &words),
            ("leave", rest) => self.leave(rest),
            ("commit", rest) => self.commit(rest, &words),
            ("fetch", rest) => self.fetch(rest, &words),
            ("delete-offsets", rest) => self.delete_offsets(rest),
            ("delete-group", rest) => self.delete_group(rest[0]),
            ("delete-topic", rest) => self.delete_topic(rest[0], &words),
            ("hold", _) => self.hold(),
            ("written", _) => self.answer_write(None),
            ("failed", _) => self.answer_write(Some(Error::CoordinatorNotAvailable)),
            ("moved", rest) => self.moved(rest),
            ("state", _) => self.state(),
            (other, _) => panic!("no such command: {other}"),
        };
        if !self.hold {
            self.world.settle();
        }
        let mut answers: Vec<String> = direct.into_iter().collect();
        let replies = std::mem::take(&mut self.world.replies);
        answers
            .extend(replies.into_iter().map(|(client, response)| format!("{client}: {}", show(&response))));
        shorten(&answers.join("; "))
    }

    fn set(&mut self, words: &Words<'_>) -> Option<String> {
        let defaults = Config::default();
        self.world = World::new(Config {
            initial_rebalance_delay_ms: words.int("initial_delay", 0),
            max_size: usize::try_from(words.number("max_size", i64::MAX)).unwrap(),
            offsets_retention_ms: words.number("retention", defaults.offsets_retention_ms),
            offsets_retention_check_interval_ms: words.number("check", i64::MAX),
            ..defaults
        });
        None
    }

    fn advance(&mut self, to: &str) -> Option<String> {
        self.world.advance_to(to.parse().unwrap());
        None
    }

    fn join(&mut self, client: &str, words: &Words<'_>) -> Option<String> {
        self.joins += 1;
        let version = words.number("v", 9);
        let metadata = words.get("meta").unwrap_or("");
        let protocol = |name: &str| Protocol {
            name: name.to_owned(),
            metadata: Bytes::copy_from_slice(subscription(metadata).as_slice()),
        };
        let request = JoinRequest {
            group_id: GROUP.to_owned(),
            member_id: lengthen(words.get("id").unwrap_or("")),
            group_instance_id: words.get("inst").map(str::to_owned),
            client_id: client.to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: words.int("s", 10_000),
            rebalance_timeout_ms: words.int("r", 60_000),
            protocol_type: words.get("type").unwrap_or("consumer").to_owned(),
            protocols: words.get("p").unwrap_or("range").split(',').map(protocol).collect(),
            requires_known_member_id: version >= 4,
            supports_skip_assignment: version >= 9,
            member_id_suffix: Uuid::from_u128(self.joins),
        };
        let token = client.to_owned();
        self.world.act(|coordinator, now, effects| coordinator.join(request, token, now, effects));
        None
    }

    fn sync(&mut self, rest: &[&str], words: &Words<'_>) -> Option<String> {
        let assignments = rest[3..].iter().map(|pair| {
            let (member_id, assignment) = pair.split_once('/').expect("member/assignment");
            (lengthen(member_id), Bytes::copy_from_slice(assignment.as_bytes()))
        });
        let request = SyncRequest {
            group_id: GROUP.to_owned(),
            member_id: lengthen(rest[1]),
            generation_id: rest[2].parse().unwrap(),
            group_instance_id: words.get("inst").map(str::to_owned),
            protocol_type: words.get("type").map(str::to_owned),
            protocol_name: words.get("p").map(str::to_owned),
            assignments: assignments.collect(),
        };
        let token = rest[0].to_owned();
        self.world.act(|coordinator, now, effects| coordinator.sync(request, token, now, effects));
        None
    }

    fn beat(&mut self, rest: &[&str], words: &Words<'_>) -> Option<String> {
        let request = HeartbeatRequest {
            group_id: GROUP.to_owned(),
            member_id: lengthen(rest[0]),
            generation_id: rest[1].parse().unwrap(),
            group_instance_id: words.get("inst").map(str::to_owned),
        };
        let result = self.world.coordinator.heartbeat(&request, self.world.now_ms);
        Some(result.map_or_else(|error| format!("{error:?}"), |()| "ok".to_owned()))
    }

    /// Members by id, or by instance id as `@name`.
    fn leave(&mut self, rest: &[&str]) -> Option<String> {
        let member = |name: &&str| match name.split_once('@') {
            Some((id, instance)) => {
                LeavingMember { member_id: lengthen(id), group_instance_id: Some(instance.to_owned()) }
            }
            None => LeavingMember { member_id: lengthen(name), group_instance_id: None },
        };
        let members = rest.iter().map(member).collect();
        let left =
            self.world.act(|coordinator, now, effects| coordinator.leave(GROUP, members, now, effects));
        Some(match left {
            Ok(left) => left.iter().map(|left| outcome(left.error)).collect::<Vec<_>>().join(" "),
            Err(error) => format!("{error:?}"),
        })
    }

    /// `commit CLIENT ID GENERATION topic/partition=offset…`; a metadata text, a time, a retention for all.
    fn commit(&mut self, rest: &[&str], words: &Words<'_>) -> Option<String> {
        let topic = |text: &&str| {
            let (topic, partition, offset) = topic_partition(text);
            let partition = CommitPartition {
                partition,
                offset: offset.expect("an offset"),
                leader_epoch: words.int("epoch", -1),
                metadata: words.get("meta").map(str::to_owned),
                commit_timestamp_ms: words.get("time").map(|text| text.parse().unwrap()),
            };
            CommitTopic { name: topic, topic_id: topic_id(words), partitions: vec![partition] }
        };
        let request = CommitRequest {
            group_id: GROUP.to_owned(),
            member_id: lengthen(rest[1].trim_matches('-')),
            generation_id: rest[2].parse().unwrap(),
            group_instance_id: words.get("inst").map(str::to_owned),
            retention_time_ms: words.get("retention").map(|text| text.parse().unwrap()),
            knows_group_id_not_found: words.number("v", 9) >= 9,
            topics: rest[3..].iter().map(topic).collect(),
        };
        let token = rest[0].to_owned();
        self.world.act(|coordinator, now, effects| coordinator.commit(request, token, now, effects));
        None
    }

    fn fetch(&mut self, rest: &[&str], words: &Words<'_>) -> Option<String> {
        let stable = words.get("stable").is_some();
        let fetched = match rest {
            ["all"] => self.world.coordinator.fetch_all(GROUP, stable),
            _ => {
                let topic = |text: &&str| {
                    let (name, partition, _) = topic_partition(text);
                    FetchTopic { name, topic_id: topic_id(words), partitions: vec![partition] }
                };
                let topics: Vec<_> = rest.iter().map(topic).collect();
                self.world.coordinator.fetch(GROUP, &topics, stable)
            }
        };
        let mut shown = Vec::new();
        for topic in fetched {
            for offset in topic.partitions {
                let mut text = format!("{}/{}={}", topic.name, offset.partition, offset.offset);
                if offset.leader_epoch >= 0 {
                    write!(text, " epoch {}", offset.leader_epoch).unwrap();
                }
                if !offset.metadata.is_empty() {
                    write!(text, " {:?}", offset.metadata).unwrap();
                }
                if let Some(error) = offset.error {
                    write!(text, " {error:?}").unwrap();
                }
                shown.push(text);
            }
        }
        Some(if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") })
    }

    fn delete_offsets(&mut self, rest: &[&str]) -> Option<String> {
        let topic = |text: &&str| {
            let (topic, partition, _) = topic_partition(text);
            (topic, vec![partition])
        };
        let topics = rest[1..].iter().map(topic).collect();
        let request = DeleteOffsetsRequest { group_id: GROUP.to_owned(), topics };
        let token = rest[0].to_owned();
        self.world.act(|coordinator, now, effects| coordinator.delete_offsets(&request, token, now, effects));
        None
    }

    fn delete_group(&mut self, client: &str) -> Option<String> {
        let token = client.to_owned();
        self.world.act(|coordinator, now, effects| coordinator.delete_group(GROUP, token, now, effects));
        None
    }

    fn delete_topic(&mut self, name: &str, words: &Words<'_>) -> Option<String> {
        let topics = [DeletedTopic { name: name.to_owned(), topic_id: topic_id(words) }];
        self.world.act(|coordinator, now, effects| coordinator.topics_deleted(&topics, now, effects));
        None
    }

    fn hold(&mut self) -> Option<String> {
        self.hold = true;
        None
    }

    fn answer_write(&mut self, failure: Option<Error>) -> Option<String> {
        if self.world.writes.is_empty() {
            return Some("no write".to_owned());
        }
        self.world.write_done(failure);
        None
    }

    fn moved(&mut self, rest: &[&str]) -> Option<String> {
        let kept = rest.first().map_or(0, |text| text.parse().unwrap());
        self.world.move_coordinator(kept);
        self.hold = false;
        None
    }

    fn state(&mut self) -> Option<String> {
        Some(match self.world.coordinator.describe(GROUP) {
            None => "no group".to_owned(),
            Some(group) => {
                let mut text = group.state.to_owned();
                if let Some(current) = self.world.coordinator.group(GROUP) {
                    write!(text, " {}", current.generation_id()).unwrap();
                }
                if !group.protocol.is_empty() {
                    write!(text, " {}", group.protocol).unwrap();
                }
                for member in group.members {
                    let assignment = String::from_utf8(member.assignment.to_vec()).unwrap();
                    write!(text, " {}/{assignment}", member.member_id).unwrap();
                }
                text
            }
        })
    }
}

trait RemoveFirst<'a> {
    fn remove_first(&self) -> (&'a str, &[&'a str]);
}

impl<'a> RemoveFirst<'a> for Vec<&'a str> {
    fn remove_first(&self) -> (&'a str, &[&'a str]) {
        (self[0], &self[1..])
    }
}

fn topic_partition(text: &str) -> (String, i32, Option<i64>) {
    let (name, rest) = text.split_once('/').expect("topic/partition");
    let (partition, offset) = rest.split_once('=').unwrap_or((rest, ""));
    (name.to_owned(), partition.parse().unwrap(), offset.parse().ok())
}

fn topic_id(words: &Words<'_>) -> Option<Uuid> {
    words.get("topic-id").map(|text| Uuid::from_u128(text.parse().unwrap()))
}

/// Consumer metadata: version 0, topics separated by "+", no user data.
fn subscription(topics: &str) -> Vec<u8> {
    let topics: Vec<&str> = topics.split('+').filter(|topic| !topic.is_empty()).collect();
    let mut out = vec![0, 0];
    out.extend(u32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        out.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        out.extend(topic.as_bytes());
    }
    out.extend(u32::MAX.to_be_bytes());
    out
}

/// `a-1` in scripts is the member id of client or instance a with random bits 1.
fn lengthen(id: &str) -> String {
    match id.rsplit_once('-') {
        Some((name, number)) => match number.parse() {
            Ok(number) => format!("{name}-{}", Uuid::from_u128(number)),
            Err(_) => id.to_owned(),
        },
        None => id.to_owned(),
    }
}

fn shorten(text: &str) -> String {
    let mut text = text.to_owned();
    for number in (0..100_u128).rev() {
        text = text.replace(&Uuid::from_u128(number).to_string(), &number.to_string());
    }
    text
}

fn outcome(error: Option<Error>) -> String {
    error.map_or_else(|| "ok".to_owned(), |error| format!("{error:?}"))
}

fn show(response: &Response) -> String {
    match response {
        Response::Join(response) => show_join(response),
        Response::Sync(response) => show_sync(response),
        Response::Commit(Err(error)) | Response::DeleteOffsets(Err(error)) => format!("{error:?}"),
        Response::Commit(Ok(topics)) => {
            let errors = topics.iter().flat_map(|topic| &topic.partitions).map(|(_, error)| outcome(*error));
            format!("committed {}", errors.collect::<Vec<_>>().join(" "))
        }
        Response::DeleteOffsets(Ok(offsets)) => {
            let errors = offsets.iter().map(|offset| outcome(offset.error));
            format!("deleted {}", errors.collect::<Vec<_>>().join(" "))
        }
        Response::DeleteGroup(result) => format!("deleted {}", outcome(result.err())),
    }
}

fn show_join(response: &JoinResponse) -> String {
    if let Some(error) = response.error {
        return if response.member_id.is_empty() {
            format!("{error:?}")
        } else {
            format!("{error:?} {}", response.member_id)
        };
    }
    let protocol = response.protocol_name.as_deref().unwrap_or("no protocol");
    let mut text = format!("joined {} {} {protocol}", response.generation_id, response.member_id);
    if response.skip_assignment {
        text.push_str(" skip");
    }
    if response.members.is_empty() {
        write!(text, " under {}", response.leader).unwrap();
    } else {
        let members: Vec<_> = response.members.iter().map(|member| member.member_id.as_str()).collect();
        write!(text, " leads {}", members.join(" ")).unwrap();
    }
    text
}

fn show_sync(response: &SyncResponse) -> String {
    match response.error {
        Some(error) => format!("{error:?}"),
        None => format!("assigned {}", String::from_utf8_lossy(&response.assignment)).trim_end().to_owned(),
    }
}
