//! What a leader knows of its followers, and the high watermark that follows from it (rules 3, 4 and 10).

mod isr;

use milena_crds::partition::{Generation, Member, PartitionState};

use crate::exchange::{Answer, FollowerFetch, LogView, Refusal};
use crate::rules::{Rule, holds};
use isr::Pending;

pub use isr::{Belief, Change, Outcome};

/// How a broker came to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// It was made leader in this epoch while it ran.
    Elected,
    /// It restarted within an epoch in which it had led before: a proposal of its former life may be on its
    /// way, so it proposes nothing and waits for every replica of the partition (rule 10).
    Resumed,
}

/// The leader's side of one partition in one leader epoch.
#[derive(Clone, Debug)]
pub struct Leader {
    me: i32,
    leadership: Leadership,
    min_in_sync: usize,
    /// The newest state that is known to be in force.
    state: PartitionState,
    /// A change of the ISR whose outcome is not known.
    pending: Option<Pending>,
    followers: Vec<(i32, Position)>,
    /// Log end, and the time in milliseconds, when this epoch's leadership began.
    start: i64,
    start_ms: i64,
    log_end: i64,
    /// Up to where the leader's own log counts: less than its end where `flush.messages` asks for the disk.
    durable_end: i64,
    high_watermark: i64,
}

/// How far a follower has come in this leader epoch.
#[derive(Clone, Copy, Debug)]
struct Position {
    generation: Generation,
    log_end: i64,
    /// When it last had everything, in milliseconds.
    caught_up_ms: i64,
    /// When it fetched last, and what the leader's log end was then.
    fetched_ms: i64,
    leader_end: i64,
    /// It has fetched since its removal was last proposed.
    fresh: bool,
    /// It has said that it cannot append what comes next ([`Leader::cannot_append`]).
    stuck: bool,
}

/// What came of a follower's fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// What it is told.
    pub answer: Answer,
    /// The high watermark moved.
    pub moved: bool,
    /// It may join the ISR: ask [`Leader::propose`].
    pub may_join: bool,
}

/// How an append with acks=all stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// Every in-sync replica has it.
    Yes,
    /// Some in-sync replica does not have it yet.
    NotYet,
    /// The ISR is below `min.insync.replicas`; nothing is acknowledged until it grows
    /// (NOT_ENOUGH_REPLICAS_AFTER_APPEND for who cannot wait).
    NotEnoughReplicas,
}

impl Leader {
    /// Begins to lead: `log_end` and `high_watermark` are those of the log as it is, `min_in_sync` is
    /// `min.insync.replicas`. None where `state` does not make `me` of that generation the leader (rule 3).
    pub fn new(
        me: Member,
        state: &PartitionState,
        leadership: Leadership,
        min_in_sync: usize,
        log_end: i64,
        high_watermark: i64,
        now_ms: i64,
    ) -> Option<Leader> {
        let named = state.isr.contains(&me) || !holds(Rule::OwnGeneration);
        if state.leader != Some(me.broker) || !named {
            return None;
        }
        let mut leader = Leader {
            me: me.broker,
            leadership,
            min_in_sync,
            state: state.clone(),
            pending: None,
            followers: Vec::new(),
            start: log_end,
            start_ms: now_ms,
            log_end,
            durable_end: log_end,
            high_watermark: high_watermark.min(log_end),
        };
        leader.advance();
        Some(leader)
    }

    /// The leader epoch of this leadership.
    pub fn epoch(&self) -> i32 {
        self.state.leader_epoch
    }

    /// The newest state that is known to be in force.
    pub fn state(&self) -> &PartitionState {
        &self.state
    }

    /// The high watermark: everything below is on every in-sync replica.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// Whether the latest offset may be told: from here on it never goes back (rule 4).
    pub fn tells_latest(&self) -> bool {
        self.high_watermark >= self.start || !holds(Rule::TellsFromStart)
    }

    /// Whether acks=all can be promised: enough replicas are in sync. As in Kafka, a topic with fewer
    /// replicas than `min.insync.replicas` needs all of them.
    pub fn has_enough_in_sync(&self) -> bool {
        self.spare_in_sync() >= 0
    }

    /// How many members the committed ISR has beyond those that acks=all needs; below zero that many are lacking.
    pub fn spare_in_sync(&self) -> i64 {
        let count = |all: usize| i64::try_from(all).unwrap_or(i64::MAX);
        count(self.state.isr.len()).saturating_sub(count(self.state.needed_in_sync(self.min_in_sync)))
    }

    /// How an append whose last record is at `last_offset` stands.
    pub fn acknowledges(&self, last_offset: i64) -> Acknowledged {
        match (self.high_watermark > last_offset, self.has_enough_in_sync()) {
            (true, _) => Acknowledged::Yes,
            (false, true) => Acknowledged::NotYet,
            (false, false) => Acknowledged::NotEnoughReplicas,
        }
    }

    /// `min.insync.replicas` changed; answers whether the high watermark moved.
    pub fn set_min_in_sync(&mut self, min_in_sync: usize) -> bool {
        self.min_in_sync = min_in_sync;
        self.advance()
    }

    /// The leader's own log ends at `log_end` now, and is as durable as the topic asks up to `durable_end`; answers
    /// whether the high watermark moved.
    pub fn appended(&mut self, log_end: i64, durable_end: i64, now_ms: i64) -> bool {
        // Who had everything until now is behind from now on: a follower need not ask for what is idle.
        for (_, position) in &mut self.followers {
            if position.log_end >= self.log_end {
                position.caught_up_ms = position.caught_up_ms.max(now_ms);
            }
        }
        self.log_end = log_end;
        self.durable_end = durable_end;
        self.advance()
    }

    /// A follower fetches. `log` is the leader's own. A position counts only in this epoch and for the generation that
    /// sent it, and only where the follower's log is the beginning of this one (rules 2, 3 and 6).
    pub fn fetch(&mut self, fetch: &FollowerFetch, log: &impl LogView, now_ms: i64) -> Served {
        let nothing = |answer| Served { answer, moved: false, may_join: false };
        let current = self.epoch();
        let broker = fetch.replica.broker;
        if broker == self.me || !self.state.replicas.contains(&broker) {
            return nothing(Answer::Refused(Refusal::NotReplica));
        }
        if fetch.leader_epoch < current && holds(Rule::RefuseLower) {
            return nothing(Answer::Refused(Refusal::LowerEpoch { current }));
        }
        if fetch.leader_epoch > current {
            return nothing(Answer::Refused(Refusal::HigherEpoch { current }));
        }
        if let Some(answer) = difference(fetch, log) {
            return nothing(answer);
        }
        self.note(fetch, now_ms);
        let moved = self.advance();
        let (high_watermark, log_start) = (self.high_watermark, log.log_start());
        Served {
            answer: Answer::Records { high_watermark, log_start },
            moved,
            may_join: self.may_join(broker).is_some(),
        }
    }

    fn note(&mut self, fetch: &FollowerFetch, now_ms: i64) {
        let (log_end, leader_end) = (fetch.offset.min(self.log_end), self.log_end);
        let generation = fetch.replica.generation;
        let at = self.followers.iter().position(|(id, _)| *id == fetch.replica.broker);
        let known = at.and_then(|at| self.followers.get_mut(at)).filter(|(_, p)| p.generation == generation);
        let Some((_, position)) = known else {
            self.followers.retain(|(id, _)| *id != fetch.replica.broker);
            let caught_up_ms = if log_end >= leader_end { now_ms } else { self.start_ms };
            let position = Position {
                generation,
                log_end,
                caught_up_ms,
                fetched_ms: now_ms,
                leader_end,
                fresh: true,
                stuck: false,
            };
            self.followers.push((fetch.replica.broker, position));
            return;
        };
        // To ask again for what it could not append says nothing new.
        position.stuck &= log_end <= position.log_end && log_end < leader_end;
        // Requests may be late or repeated: within an epoch a position never goes back.
        position.log_end = position.log_end.max(log_end);
        if log_end >= leader_end {
            position.caught_up_ms = position.caught_up_ms.max(now_ms);
        } else if log_end >= position.leader_end {
            position.caught_up_ms = position.caught_up_ms.max(position.fetched_ms);
        }
        position.fetched_ms = now_ms;
        position.leader_end = leader_end;
        position.fresh = true;
    }

    /// Moves the high watermark to what every member of the maximal ISR has. While somebody is in the ELR, who may be
    /// elected, it stands still: `min.insync.replicas` may have come down to what the ISR has (KIP-966).
    fn advance(&mut self) -> bool {
        if !self.has_enough_in_sync() && holds(Rule::WaitsBelowMin) {
            return false;
        }
        if !self.state.elr.is_empty() && holds(Rule::WaitsForElr) && holds(Rule::WaitsBelowMin) {
            return false;
        }
        let Some(reached) = self.reached() else { return false };
        let moved = reached > self.high_watermark;
        self.high_watermark = self.high_watermark.max(reached);
        moved
    }

    /// What everybody has who may be in sync: committed members, and those of a change whose outcome is unknown. None
    /// where somebody's position is unknown.
    fn reached(&self) -> Option<i64> {
        let pending = || self.pending.iter().map(|pending| &pending.change.new);
        let proposed = pending().filter(|_| holds(Rule::MaximalIsr)).flat_map(|new| &new.isr);
        let removed = |member: &&Member| pending().any(|new| new.in_isr(member.broker).is_none());
        let committed = self.state.isr.iter().filter(|m| holds(Rule::ShrinkSucceeds) || !removed(m));
        let mut reached = self.durable_end;
        for member in committed.chain(proposed) {
            reached = reached.min(self.position(*member)?);
        }
        if self.leadership == Leadership::Resumed {
            for replica in self.state.replicas.iter().filter(|id| **id != self.me) {
                reached = reached.min(self.known(*replica)?.log_end);
            }
        }
        Some(reached)
    }

    fn known(&self, broker: i32) -> Option<&Position> {
        self.followers.iter().find(|(id, _)| *id == broker).map(|(_, position)| position)
    }

    /// The log end of a member; none where it is unknown, or known of another generation only.
    fn position(&self, member: Member) -> Option<i64> {
        if member.broker == self.me {
            return Some(self.durable_end);
        }
        let position = self.known(member.broker)?;
        let same = position.generation == member.generation || !holds(Rule::FetchGeneration);
        same.then_some(position.log_end)
    }

    /// How far a follower of that id has come in this epoch, whatever its generation; for metrics.
    pub fn follower_end(&self, broker: i32) -> Option<i64> {
        self.known(broker).map(|position| position.log_end)
    }
}

/// What keeps a follower's log from being the beginning of this one.
fn difference(fetch: &FollowerFetch, log: &impl LogView) -> Option<Answer> {
    let (log_start, log_end) = (log.log_start(), log.log_end());
    if fetch.last_epoch < 0 {
        // An empty log contradicts nobody, but it must begin where this one can continue it.
        let fits = (log_start..=log_end).contains(&fetch.offset);
        return (!fits).then_some(Answer::StartsLater { log_start });
    }
    if fetch.offset < log_start {
        return Some(Answer::StartsLater { log_start });
    }
    let (epoch, end_offset) = log.epoch_end(fetch.last_epoch).unwrap_or((-1, log_start));
    let fits = epoch == fetch.last_epoch && fetch.offset <= end_offset;
    (!fits).then_some(Answer::Diverging { epoch, end_offset })
}
