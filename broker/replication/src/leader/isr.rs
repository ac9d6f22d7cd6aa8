//! Changes of the ISR that a leader proposes, and what is known of their outcome (rules 1, 5, 7, 10 and 14).

use milena_crds::partition::{Member, PartitionState};

use super::{Leader, Leadership, Position};
use crate::exchange::FollowerFetch;
use crate::rules::{Rule, holds};

/// A change of a partition's state, to be made by compare-and-swap: it succeeds only where `old` is what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The state that the change was decided on.
    pub old: PartitionState,
    /// The state that it leads to.
    pub new: PartitionState,
}

/// How an attempt to make a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in force.
    Succeeded,
    /// Something else is stored. It still counts until the newer state has been seen: hand that to
    /// [`crate::Replica::learn`].
    Conflict,
    /// Nobody knows: the request or its answer was lost.
    Unknown,
}

/// What a leader believes of another broker: a hint, and never more (rule 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Belief {
    /// Nothing speaks against it.
    #[default]
    Well,
    /// Nothing was heard from it for some time: whoever is behind for so many milliseconds need not be waited for.
    Silent {
        /// How long it may be behind.
        patience_ms: i64,
    },
    /// It is gone, or cannot serve its replica.
    Dead,
}

/// A change whose outcome is not known.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) change: Change,
    /// It has been handed out, and no answer has come.
    sent: bool,
}

impl Leader {
    /// The change of the ISR that is due, if one is: a change whose outcome is unknown again, else removals, else
    /// members that have caught up, else an ELR that the ISR is large enough to be without, else the end of a move. What
    /// is handed out counts as proposed until [`Leader::answered`] or [`Leader::committed`] says otherwise; meanwhile
    /// there is no other.
    ///
    /// Removed are those that are believed dead (by the operator, rule 7, or by the leader itself), and those that have
    /// been behind for more than `max_lag_ms` (`replica.lag.time.max.ms`). Who only holds the others up leaves before that
    /// where enough of them remain: who has said that it cannot append, and who is silent and behind.
    pub fn propose(
        &mut self,
        now_ms: i64,
        max_lag_ms: i64,
        belief: impl Fn(i32) -> Belief,
    ) -> Option<Change> {
        if self.leadership == Leadership::Resumed {
            return None;
        }
        if let Some(pending) = &mut self.pending {
            let again = !pending.sent;
            pending.sent = true;
            return again.then(|| pending.change.clone());
        }
        let dead = |broker| belief(broker) == Belief::Dead;
        let gone = |member: &Member| {
            member.broker != self.me && (dead(member.broker) || self.is_behind(*member, now_ms, max_lag_ms))
        };
        let needed = self.state.needed_in_sync(self.min_in_sync);
        let (mut removed, mut isr): (Vec<Member>, Vec<Member>) = self.state.isr.iter().partition(|m| gone(m));
        let (slow, quick): (Vec<Member>, Vec<Member>) =
            isr.iter().partition(|member| self.holds_up(**member, now_ms, belief(member.broker)));
        if !slow.is_empty() && quick.len() >= needed {
            removed.extend(slow);
            isr = quick;
        }
        if removed.is_empty() {
            let joining: Vec<Member> = self
                .state
                .replicas
                .iter()
                .filter(|id| !dead(**id))
                .filter_map(|id| self.may_join(*id))
                .collect();
            isr.retain(|member| joining.iter().all(|new| new.broker != member.broker));
            isr.extend(joining);
        }
        let changed = self.state.change_isr(self.epoch(), isr, needed).ok();
        let new = changed.or_else(|| self.arrived(dead))?;
        for (id, position) in &mut self.followers {
            position.fresh &= removed.iter().all(|member| member.broker != *id);
        }
        let change = Change { old: self.state.clone(), new };
        self.pending = Some(Pending { change: change.clone(), sent: true });
        Some(change)
    }

    /// The state without the replicas that leave, once all that stay are in sync in this epoch (rule 14).
    fn arrived(&self, dead: impl Fn(i32) -> bool) -> Option<PartitionState> {
        let target = self.state.target();
        let here = |member: &&Member| target.contains(&member.broker) && !dead(member.broker);
        let in_sync = |member: &&Member| {
            member.broker == self.me || self.position(**member).is_some_and(|end| self.has_reached(end))
        };
        let count = self.state.isr.iter().filter(here).filter(in_sync).count();
        (count == target.len()).then(|| self.state.complete(self.epoch()).ok())?
    }

    /// A follower says that it cannot append what comes after what it has: its disk is full, or worse. It need not be
    /// waited for, and does not join before it has come further. Answers whether that is news.
    pub fn cannot_append(&mut self, fetch: &FollowerFetch) -> bool {
        let current = fetch.leader_epoch == self.epoch();
        let is_it = |(id, position): &&mut (i32, Position)| {
            *id == fetch.replica.broker && position.generation == fetch.replica.generation
        };
        let known = self.followers.iter_mut().find(is_it).filter(|_| current);
        let Some((_, position)) = known.filter(|(_, position)| position.log_end <= fetch.offset) else {
            return false;
        };
        !std::mem::replace(&mut position.stuck, true)
    }

    /// An attempt to make the change that [`Leader::propose`] gave has ended. Answers whether the high watermark moved.
    pub fn answered(&mut self, change: &Change, outcome: Outcome) -> bool {
        if outcome == Outcome::Succeeded {
            return self.committed(&change.new);
        }
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.change == *change) {
            pending.sent = false;
            if !holds(Rule::KeepProposal) {
                self.pending = None;
                return self.advance();
            }
        }
        false
    }

    /// The store has newer state of this same epoch. Answers whether the high watermark moved.
    pub fn committed(&mut self, state: &PartitionState) -> bool {
        if state.leader_epoch != self.epoch() || state.partition_epoch <= self.state.partition_epoch {
            return false;
        }
        self.state.clone_from(state);
        let seen = state.partition_epoch;
        if self.pending.as_ref().is_some_and(|pending| seen > pending.change.old.partition_epoch) {
            self.pending = None;
        }
        self.followers.retain(|(id, _)| self.state.replicas.contains(id));
        self.advance()
    }

    /// Whether a change of the ISR is under way.
    pub fn has_pending_change(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether there may be something for [`Leader::propose`] as time passes: a change has to be repeated, somebody in
    /// sync is behind, somebody may join, or the ELR may go. What is idle need not be looked at.
    pub fn needs_a_look(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| !pending.sent)
            || self.others().any(|member| self.position(*member).is_none_or(|end| end < self.log_end))
            || self.state.replicas.iter().any(|id| self.may_join(*id).is_some())
            || (!self.state.elr.is_empty() && self.has_enough_in_sync())
            || (self.pending.is_none() && self.state.has_arrived())
    }

    /// Whether a follower whose log ends there has the high watermark and the start of this leader epoch.
    fn has_reached(&self, log_end: i64) -> bool {
        (log_end >= self.high_watermark || !holds(Rule::JoinsAtWatermark))
            && (log_end >= self.start || !holds(Rule::JoinsAtStart))
    }

    /// The entry of a follower that is not in the ISR with its generation, and has reached the high watermark and the
    /// start of this leader epoch, in this epoch (rule 5).
    pub(super) fn may_join(&self, broker: i32) -> Option<Member> {
        let position = self.known(broker).filter(|position| position.fresh && !position.stuck)?;
        let reached = self.has_reached(position.log_end);
        let new = self.state.in_isr(broker) != Some(position.generation);
        let joins = reached && new && self.leadership == Leadership::Elected;
        joins.then_some(Member { broker, generation: position.generation })
    }

    /// Whether the others wait for a member that cannot say when it will have what they have.
    fn holds_up(&self, member: Member, now_ms: i64, belief: Belief) -> bool {
        if member.broker == self.me {
            return false;
        }
        let known = self.known(member.broker).filter(|position| position.generation == member.generation);
        let silent = match belief {
            Belief::Silent { patience_ms } => self.is_behind(member, now_ms, patience_ms),
            Belief::Well | Belief::Dead => false,
        };
        silent || known.is_some_and(|position| position.stuck)
    }

    fn others(&self) -> impl Iterator<Item = &Member> {
        self.state.isr.iter().filter(|member| member.broker != self.me)
    }

    fn is_behind(&self, member: Member, now_ms: i64, max_lag_ms: i64) -> bool {
        let position = self.known(member.broker).filter(|position| position.generation == member.generation);
        let since = match position {
            Some(position) if position.log_end >= self.log_end => return false,
            Some(position) => position.caught_up_ms,
            None => self.start_ms,
        };
        now_ms.saturating_sub(since) > max_lag_ms
    }
}
