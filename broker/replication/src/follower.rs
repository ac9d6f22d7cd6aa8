//! The follower's side of one partition in one leader epoch (rules 2, 3 and 6).

use milena_crds::partition::Member;

use crate::exchange::{Answer, FollowerFetch, LogView};
use crate::rules::{Rule, holds};

/// A replica that follows a leader.
#[derive(Clone, Debug)]
pub struct Follower {
    me: Member,
    leader: i32,
    epoch: i32,
    high_watermark: i64,
}

/// What a follower does with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerStep {
    /// Nothing: it answers a question of another epoch or of another moment, or it is a refusal.
    Ignore,
    /// Cut the log down to that end and sync it, before the next fetch; where it begins later, it begins anew there.
    /// Then call [`Follower::truncated`].
    Truncate(i64),
    /// Drop the whole log and begin at that offset. Then call [`Follower::truncated`].
    StartAt(i64),
    /// Append the batches, then call [`Follower::appended`].
    Append,
}

impl Follower {
    pub(crate) fn new(me: Member, leader: i32, epoch: i32, high_watermark: i64) -> Follower {
        Follower { me, leader, epoch, high_watermark }
    }

    /// Whom it follows.
    pub fn leader(&self) -> i32 {
        self.leader
    }

    /// In which leader epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// What it knows to be committed of its own log.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// What to ask the leader next.
    pub fn next_fetch(&self, log: &impl LogView) -> FollowerFetch {
        FollowerFetch {
            replica: self.me,
            leader_epoch: self.epoch,
            offset: log.log_end(),
            last_epoch: log.last_epoch(),
        }
    }

    /// Takes the answer to `asked`. One that is late or repeated, or that a leader of another epoch gave, is ignored.
    pub fn take(&mut self, asked: &FollowerFetch, answer: &Answer, log: &impl LogView) -> FollowerStep {
        let asks = self.next_fetch(log);
        let leader_epoch = if holds(Rule::RefuseLower) { asks.leader_epoch } else { asked.leader_epoch };
        if *asked != (FollowerFetch { leader_epoch, ..asks }) {
            return FollowerStep::Ignore;
        }
        match *answer {
            Answer::Refused(_) => FollowerStep::Ignore,
            Answer::Records { .. } => FollowerStep::Append,
            Answer::StartsLater { log_start } if log_start > log.log_end() || asked.last_epoch < 0 => {
                // What a leader has let go of was committed.
                self.high_watermark = self.high_watermark.max(log_start);
                FollowerStep::StartAt(log_start)
            }
            Answer::StartsLater { .. } => FollowerStep::Ignore,
            Answer::Diverging { epoch, end_offset } => {
                let own = log.epoch_end(epoch).map_or(log.log_start(), |(_, end)| end);
                // The last record is not the leader's: it goes at least, or the same answer would come for ever.
                let last = log.log_end().saturating_sub(1);
                FollowerStep::Truncate(own.min(end_offset).min(last).max(0))
            }
        }
    }

    /// The log was cut and ends at `log_end` now.
    pub fn truncated(&mut self, log_end: i64) {
        self.high_watermark = self.high_watermark.min(log_end);
    }

    /// The log ends at `log_end`, and the leader has said that its high watermark is `high_watermark`. Answers whether
    /// what is known to be committed has grown.
    pub fn appended(&mut self, log_end: i64, high_watermark: i64) -> bool {
        let known = high_watermark.min(log_end);
        let moved = known > self.high_watermark;
        self.high_watermark = self.high_watermark.max(known);
        moved
    }
}
