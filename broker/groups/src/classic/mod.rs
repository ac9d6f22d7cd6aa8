//! Groups of the classic protocol: members join, a leader assigns, all hear their part by SyncGroup.
//!
//! ```text
//!            join                    all joined, or time is up             leader's assignment committed
//!   Empty ---------> PreparingRebalance ------------> CompletingRebalance ------------------------> Stable
//!     ^                |   ^                             | join, leave, expiry                        |
//!     |  nobody left   |   +-----------------------------+--------------------------------------------+
//!     +----------------+
//! ```
//!
//! The rules are those of Kafka's group coordinator (KIP-62, KIP-345, KIP-394, KIP-814).

mod describe;
mod join;
mod leave;
mod liveness;
mod member;
mod members;
mod offsets;
mod rebalance;
mod record;
mod requests;
mod static_member;
mod subscription;
mod sync;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use member::{Member, NEVER};
use rebalance::JoinTimer;

pub use requests::{
    DescribedMember, Description, HeartbeatRequest, JoinRequest, JoinResponse, JoinedMember, LeavingMember,
    LeftMember, Protocol, SyncRequest, SyncResponse,
};
pub(crate) use static_member::StaticMemberWrite;
pub(crate) use sync::AssignmentWrite;

use crate::effects::{Event, Outbox, Response};
use crate::{Config, Error};

/// The protocol type of consumers.
pub(crate) const CONSUMER: &str = "consumer";

/// Where a classic group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody is in it; it may have committed offsets.
    Empty,
    /// Members are asked to join the next generation.
    PreparingRebalance,
    /// The generation's members are known; the leader's assignment is awaited.
    CompletingRebalance,
    /// Everyone has an assignment.
    Stable,
    /// It is being deleted.
    Dead,
}

impl State {
    /// Kafka's name of the state.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// What a group needs to know, and where it puts what it wants done.
pub(crate) struct Context<'a, R> {
    pub(crate) config: &'a Config,
    pub(crate) now_ms: i64,
    pub(crate) out: &'a mut Outbox<R>,
}

/// One classic group.
#[derive(Debug)]
pub struct Group<R> {
    group_id: Arc<str>,
    state: State,
    previous_state: State,
    /// When the state was entered, unless an old record did not say.
    state_timestamp_ms: Option<i64>,
    generation_id: i32,
    protocol_type: Option<String>,
    protocol_name: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member<R>>,
    /// Member ids by instance id.
    static_members: HashMap<String, String>,
    /// Member ids given out that nobody has joined with yet, and when they lapse.
    pending_members: BTreeMap<String, i64>,
    /// How many members offer each protocol.
    offers: HashMap<String, usize>,
    /// How many members have a JoinGroup waiting.
    awaiting_join: usize,
    /// Members of this generation that have not sent their SyncGroup yet.
    pending_sync: BTreeSet<String>,
    /// What consumers subscribe to, where their metadata says so.
    subscribed_topics: Option<BTreeSet<String>>,
    /// Whether someone joined since the last extension of the initial delay.
    new_member_added: bool,
    join_timer: Option<JoinTimer>,
    sync_deadline_ms: Option<i64>,
    /// No deadline of the group is earlier than this.
    wake_at_ms: i64,
    /// Whether the log has, or will have, a record of this group.
    persisted: bool,
}

impl<R> Group<R> {
    /// A group that nobody is in.
    pub(crate) fn new(group_id: Arc<str>, now_ms: i64) -> Self {
        Self {
            group_id,
            state: State::Empty,
            previous_state: State::Dead,
            state_timestamp_ms: Some(now_ms),
            generation_id: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: HashMap::new(),
            pending_members: BTreeMap::new(),
            offers: HashMap::new(),
            awaiting_join: 0,
            pending_sync: BTreeSet::new(),
            subscribed_topics: None,
            new_member_added: false,
            join_timer: None,
            sync_deadline_ms: None,
            wake_at_ms: NEVER,
            persisted: false,
        }
    }

    /// Where the group stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The current generation.
    #[must_use]
    pub fn generation_id(&self) -> i32 {
        self.generation_id
    }

    /// Whether the group is in state Empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Whether nothing would be lost if the group were forgotten: it has no member, nor will soon, nor a record.
    pub(crate) fn is_unused(&self) -> bool {
        self.is_empty() && self.pending_members.is_empty() && !self.persisted
    }

    /// When [`Self::tick`] is next of use.
    pub(crate) fn wake_at_ms(&self) -> i64 {
        self.wake_at_ms
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    fn transition_to(&mut self, state: State, now_ms: i64) {
        self.previous_state = self.state;
        self.state = state;
        self.state_timestamp_ms = Some(now_ms);
    }

    /// Makes sure that the group is looked after at `deadline_ms`.
    fn arm(&mut self, deadline_ms: i64) {
        self.wake_at_ms = self.wake_at_ms.min(deadline_ms);
    }

    /// The deletion begins: no one may join any more.
    pub(crate) fn mark_dead(&mut self, now_ms: i64) {
        self.transition_to(State::Dead, now_ms);
    }

    /// The deletion failed.
    pub(crate) fn revive(&mut self, now_ms: i64) {
        if self.state == State::Dead {
            self.transition_to(State::Empty, now_ms);
        }
    }

    /// Whether clean-up may take the group away: nobody is in it, nor about to be.
    pub(crate) fn is_deletable(&self) -> bool {
        self.is_empty() && self.pending_members.is_empty() && self.persisted
    }

    /// The group's id.
    pub(crate) fn group_id(&self) -> &Arc<str> {
        &self.group_id
    }

    /// Everyone that waits is told to look for another coordinator.
    pub(crate) fn unload(self, replies: &mut Vec<(R, Response)>) {
        let error = Error::NotCoordinator;
        for member in self.members.into_values() {
            let member_id = member.member_id;
            let join =
                member.join.map(|token| (token, Response::Join(JoinResponse::failed(error, member_id))));
            let sync = member.sync.map(|token| (token, Response::Sync(SyncResponse::failed(error))));
            replies.extend(join.into_iter().chain(sync));
        }
    }

    fn removed_event(&self, member_id: &str, reason: &'static str) -> Event {
        Event::MemberRemoved { group_id: self.group_id.to_string(), member_id: member_id.to_owned(), reason }
    }
}
