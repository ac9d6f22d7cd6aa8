//! Members that follow the protocol, in any order, with sessions that end, writes that fail or are late, and
//! coordinators that move: whatever happens, the promises of a group hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use milena_groups::classic::{
    HeartbeatRequest, JoinRequest, JoinResponse, LeavingMember, Protocol, SyncRequest, SyncResponse,
};
use milena_groups::offsets::{CommitPartition, CommitRequest, CommitTopic, FetchTopic};
use milena_groups::{Config, Error, Response};
use proptest::prelude::*;
use support::World;
use uuid::Uuid;

const CLIENTS: usize = 4;
const SESSION_MS: i32 = 10_000;
/// No rebalance ends for want of a member while the test runs: only sessions end.
const REBALANCE_MS: i32 = 3_600_000;

#[derive(Debug, Clone, Copy)]
enum Op {
    /// A client does what comes next.
    Act(usize),
    /// A client asks again what it has asked already, on a new connection.
    Repeat(usize),
    /// A client is started anew and has forgotten its member id.
    Restart(usize),
    Leave(usize),
    Commit(usize),
    Advance(i64),
    Written,
    WriteFails,
    /// The coordinator moves; so many writes under way have reached the log.
    Move(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let client = 0..CLIENTS;
    prop_oneof![
        24 => client.clone().prop_map(Op::Act),
        2 => client.clone().prop_map(Op::Repeat),
        1 => client.clone().prop_map(Op::Restart),
        1 => client.clone().prop_map(Op::Leave),
        3 => client.prop_map(Op::Commit),
        4 => (1..4_000_i64).prop_map(Op::Advance),
        8 => Just(Op::Written),
        1 => Just(Op::WriteFails),
        1 => (0..3_usize).prop_map(Op::Move),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Join,
    Joining,
    Sync { leads: Vec<String> },
    Syncing { leads: Vec<String> },
    Stable,
}

/// A consumer as clients implement it.
#[derive(Debug)]
struct Client {
    name: String,
    instance: Option<String>,
    version: i16,
    member_id: String,
    generation: i32,
    protocol: String,
    step: Step,
    /// The request whose answer counts.
    token: Option<u64>,
    /// Until when the coordinator owes this member its place; nothing while a request waits there.
    alive_until_ms: Option<i64>,
    /// Whether the coordinator may not know the member, for the log does not.
    may_be_unknown: bool,
}

impl Client {
    fn new(index: usize) -> Self {
        Self {
            name: format!("c{index}"),
            instance: (index == 1).then(|| "static".to_owned()),
            version: if index == 2 { 3 } else { 9 },
            member_id: String::new(),
            generation: -1,
            protocol: String::new(),
            step: Step::Join,
            token: None,
            alive_until_ms: Some(0),
            may_be_unknown: true,
        }
    }

    /// The name that its member ids begin with.
    fn prefix(&self) -> &str {
        self.instance.as_deref().unwrap_or(&self.name)
    }

    fn heard(&mut self, now_ms: i64) {
        self.alive_until_ms = Some(now_ms + i64::from(SESSION_MS));
    }

    fn join_again(&mut self) {
        self.step = Step::Join;
        self.token = None;
    }

    fn forget(&mut self) {
        self.member_id.clear();
        self.generation = -1;
        self.may_be_unknown = true;
        self.join_again();
    }
}

struct Sim {
    world: World<u64>,
    clients: Vec<Client>,
    /// Whose request each token is; gone once answered.
    tokens: HashMap<u64, usize>,
    next_token: u64,
    /// How often the coordinator has moved: generations are counted anew from what the log has.
    moves: usize,
    /// Who led each generation, and with which protocol.
    leaders: HashMap<(usize, i32), (String, String)>,
    /// What each client has committed, acknowledged and asked for.
    acknowledged: BTreeMap<usize, i64>,
    asked: BTreeMap<u64, (usize, i64)>,
    next_offset: i64,
}

impl Sim {
    fn new() -> Self {
        let config = Config { initial_rebalance_delay_ms: 500, ..Config::default() };
        Self {
            world: World::new(config),
            clients: (0..CLIENTS).map(Client::new).collect(),
            tokens: HashMap::new(),
            next_token: 0,
            moves: 0,
            leaders: HashMap::new(),
            acknowledged: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_offset: 0,
        }
    }

    fn token(&mut self, index: usize) -> u64 {
        self.next_token += 1;
        self.tokens.insert(self.next_token, index);
        self.next_token
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Act(index) => self.act(index),
            Op::Repeat(index) => {
                self.clients[index].step = match self.clients[index].step.clone() {
                    Step::Joining => Step::Join,
                    Step::Syncing { leads } => Step::Sync { leads },
                    other => other,
                };
                self.act(index);
            }
            Op::Restart(index) => self.clients[index].forget(),
            Op::Leave(index) => self.leave(index),
            Op::Commit(index) => self.commit(index),
            Op::Advance(by_ms) => self.advance(by_ms),
            Op::Written if !self.world.writes.is_empty() => self.world.write_done(None),
            Op::WriteFails if !self.world.writes.is_empty() => {
                self.world.write_done(Some(Error::CoordinatorNotAvailable));
            }
            Op::Written | Op::WriteFails => {}
            Op::Move(kept) => {
                self.moves += 1;
                self.world.move_coordinator(kept);
                for client in &mut self.clients {
                    client.may_be_unknown = true;
                }
            }
        }
        self.take_replies();
        self.check_offsets();
    }

    /// Answers are heard when they are given, not when the time is up.
    fn advance(&mut self, by_ms: i64) {
        let until_ms = self.world.now_ms + by_ms;
        while self.world.now_ms < until_ms {
            let next_ms = self.world.coordinator.next_deadline().clamp(self.world.now_ms, until_ms);
            self.world.advance_to(next_ms);
            self.take_replies();
        }
    }

    fn act(&mut self, index: usize) {
        match self.clients[index].step.clone() {
            Step::Join => self.join(index),
            Step::Sync { leads } => self.sync(index, &leads),
            Step::Stable => self.beat(index),
            Step::Joining | Step::Syncing { .. } => {}
        }
    }

    fn join(&mut self, index: usize) {
        let token = self.token(index);
        let suffix = Uuid::from_u128(u128::from(token));
        let client = &mut self.clients[index];
        client.step = Step::Joining;
        client.token = Some(token);
        let offers = if index.is_multiple_of(2) { ["range", "sticky"] } else { ["sticky", "range"] };
        let protocol = |name: &str| Protocol { name: name.to_owned(), metadata: Bytes::new() };
        let request = JoinRequest {
            group_id: "g".to_owned(),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            client_id: client.name.clone(),
            client_host: "/h".to_owned(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            protocol_type: "consumer".to_owned(),
            protocols: offers.map(protocol).to_vec(),
            requires_known_member_id: client.version >= 4,
            supports_skip_assignment: client.version >= 9,
            member_id_suffix: suffix,
        };
        self.world.act(|coordinator, now, effects| coordinator.join(request, token, now, effects));
    }

    fn sync(&mut self, index: usize, leads: &[String]) {
        let token = self.token(index);
        let client = &mut self.clients[index];
        client.step = Step::Syncing { leads: leads.to_vec() };
        client.token = Some(token);
        let assign = |member_id: &String| (member_id.clone(), assignment(client.generation, member_id));
        let request = SyncRequest {
            group_id: "g".to_owned(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some(client.protocol.clone()),
            assignments: leads.iter().map(assign).collect(),
        };
        self.world.act(|coordinator, now, effects| coordinator.sync(request, token, now, effects));
    }

    fn beat(&mut self, index: usize) {
        let now_ms = self.world.now_ms;
        let client = &mut self.clients[index];
        let request = HeartbeatRequest {
            group_id: "g".to_owned(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
        };
        match self.world.coordinator.heartbeat(&request, now_ms) {
            Ok(()) => client.heard(now_ms),
            Err(Error::RebalanceInProgress) => {
                client.heard(now_ms);
                client.join_again();
            }
            Err(error) => self.refused(index, error),
        }
    }

    fn leave(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let member =
            LeavingMember { member_id: client.member_id.clone(), group_instance_id: client.instance.clone() };
        client.forget();
        self.world
            .act(|coordinator, now, effects| coordinator.leave("g", vec![member], now, effects))
            .expect("the group is not being deleted");
    }

    fn commit(&mut self, index: usize) {
        if self.clients[index].step != Step::Stable {
            return;
        }
        let token = self.token(index);
        self.next_offset += 1;
        self.asked.insert(token, (index, self.next_offset));
        let client = &self.clients[index];
        let partition = CommitPartition {
            partition: i32::try_from(index).unwrap(),
            offset: self.next_offset,
            leader_epoch: -1,
            metadata: Some(format!("by {}", client.name)),
            commit_timestamp_ms: None,
        };
        let request = CommitRequest {
            group_id: "g".to_owned(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            retention_time_ms: None,
            knows_group_id_not_found: true,
            topics: vec![CommitTopic { name: "t".to_owned(), topic_id: None, partitions: vec![partition] }],
        };
        self.world.act(|coordinator, now, effects| coordinator.commit(request, token, now, effects));
    }

    fn take_replies(&mut self) {
        for (token, response) in std::mem::take(&mut self.world.replies) {
            let index = self.tokens.remove(&token).expect("answered once");
            match response {
                Response::Commit(outcome) => self.committed(token, outcome.is_ok()),
                _ if self.clients[index].token != Some(token) => {}
                Response::Join(response) => self.joined(index, response),
                Response::Sync(response) => self.synced(index, &response),
                other => panic!("nobody asked for {other:?}"),
            }
        }
    }

    fn joined(&mut self, index: usize, response: JoinResponse) {
        let now_ms = self.world.now_ms;
        self.clients[index].token = None;
        match response.error {
            None => {}
            Some(Error::MemberIdRequired) => {
                let client = &mut self.clients[index];
                client.member_id = response.member_id;
                client.may_be_unknown = false;
                client.heard(now_ms);
                return client.join_again();
            }
            Some(error) => return self.refused(index, error),
        }
        let generation = (self.moves, response.generation_id);
        let leader = self.owner(&response.leader);
        let protocol = response.protocol_name.expect("a protocol");
        let agreed = (leader.clone(), protocol.clone());
        let known = self.leaders.entry(generation).or_insert_with(|| agreed.clone());
        assert_eq!(*known, agreed, "generation {generation:?} does not agree");
        let client = &mut self.clients[index];
        let leads = response.leader == response.member_id;
        assert_eq!(response.members.is_empty(), !leads, "only the leader sees the members");
        assert!(response.member_id.starts_with(client.prefix()));
        client.member_id = response.member_id;
        client.generation = response.generation_id;
        client.protocol = protocol;
        client.may_be_unknown = false;
        client.heard(now_ms);
        let members = response.members.into_iter().map(|member| member.member_id);
        let leads = if response.skip_assignment { Vec::new() } else { members.collect() };
        client.step = Step::Sync { leads };
    }

    fn synced(&mut self, index: usize, response: &SyncResponse) {
        let now_ms = self.world.now_ms;
        let client = &mut self.clients[index];
        client.token = None;
        match response.error {
            None => {
                let owner = client.prefix().to_owned();
                let expected = assignment(client.generation, &format!("{owner}-"));
                assert_eq!(response.assignment, expected, "{owner} got another's assignment, or none");
                client.step = Step::Stable;
                client.heard(now_ms);
            }
            Some(Error::RebalanceInProgress | Error::CoordinatorNotAvailable) => {
                client.heard(now_ms);
                client.join_again();
            }
            Some(error) => self.refused(index, error),
        }
    }

    /// What a client does on an error; and whether it deserved it.
    fn refused(&mut self, index: usize, error: Error) {
        let now_ms = self.world.now_ms;
        let client = &mut self.clients[index];
        match error {
            Error::UnknownMemberId => {
                let in_session = client.alive_until_ms.is_some_and(|until_ms| now_ms < until_ms);
                assert!(
                    client.may_be_unknown || !in_session,
                    "{} is unknown within its session",
                    client.name
                );
                client.forget();
            }
            // Another life of the same client has its place.
            Error::FencedInstanceId => client.forget(),
            Error::IllegalGeneration => client.join_again(),
            Error::NotCoordinator | Error::CoordinatorNotAvailable | Error::RebalanceInProgress => {
                client.join_again();
            }
            other => panic!("{} was told {other:?}", client.name),
        }
    }

    fn committed(&mut self, token: u64, acknowledged: bool) {
        let (index, offset) = self.asked.remove(&token).expect("a commit");
        if acknowledged {
            let last = self.acknowledged.entry(index).or_default();
            *last = offset.max(*last);
        }
    }

    /// What was acknowledged is there, with its metadata; what is there was asked for.
    fn check_offsets(&self) {
        for (index, acknowledged) in &self.acknowledged {
            let partition = i32::try_from(*index).unwrap();
            let topic = FetchTopic { name: "t".to_owned(), topic_id: None, partitions: vec![partition] };
            let fetched = self.world.coordinator.fetch("g", &[topic], false);
            let found = &fetched[0].partitions[0];
            assert!(found.offset >= *acknowledged, "{index}: {} < {acknowledged}", found.offset);
            assert!(found.offset <= self.next_offset);
            assert_eq!(found.metadata, format!("by c{index}"));
        }
    }

    fn owner(&self, member_id: &str) -> String {
        let owner = self.clients.iter().find(|client| member_id.starts_with(client.prefix()));
        owner.expect("a member").prefix().to_owned()
    }

    /// Left alone, the members that are there agree before long.
    fn calm_down(&mut self) {
        for _ in 0..60 {
            for index in 0..CLIENTS {
                self.act(index);
                self.take_replies();
            }
            self.world.settle();
            self.take_replies();
            self.advance(500);
        }
        for client in &self.clients {
            assert_eq!(client.step, Step::Stable, "{client:?}");
            assert_eq!(client.generation, self.clients[0].generation, "{client:?}");
        }
    }
}

/// What a leader assigns: to each member its own name in its own generation, so that no other can pass for it.
fn assignment(generation: i32, member_id: &str) -> Bytes {
    let owner = member_id.split('-').next().unwrap_or_default();
    Bytes::from(format!("{generation}/{owner}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_group_keeps_its_promises(ops in proptest::collection::vec(op(), 1..250)) {
        let mut sim = Sim::new();
        for op in ops {
            sim.apply(op);
        }
        sim.calm_down();
        sim.apply(Op::Move(usize::MAX));
        prop_assert!(sim.tokens.is_empty(), "never answered: {:?}", sim.tokens);
    }
}
