//! What a follower and its leader say to each other, whatever carries it.

use milena_crds::partition::Member;

/// A log as far as replication looks at it.
pub trait LogView {
    /// First offset that is kept.
    fn log_start(&self) -> i64;

    /// Offset that the next record gets.
    fn log_end(&self) -> i64;

    /// The greatest leader epoch up to `epoch` of which something is known, and where it ends; none where nothing is
    /// known (KIP-101, KIP-279).
    fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)>;

    /// The leader epoch that wrote the record at `offset`; none where there is no record.
    fn epoch_at(&self, offset: i64) -> Option<i32>;

    /// Leader epoch of the last record, -1 for an empty log. An epoch that has begun and written nothing is none.
    fn last_epoch(&self) -> i32 {
        let last = self.log_end().checked_sub(1).filter(|last| *last >= self.log_start());
        last.and_then(|last| self.epoch_at(last)).unwrap_or(-1)
    }
}

/// A follower asks for what comes next. It says by this that it has everything below `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FollowerFetch {
    /// Who asks, with the generation of its log (rule 3).
    pub replica: Member,
    /// The leader epoch that it knows.
    pub leader_epoch: i32,
    /// Its log end.
    pub offset: i64,
    /// Leader epoch of its last record, -1 for an empty log (KIP-595).
    pub last_epoch: i32,
}

/// What a leader answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Nothing is served.
    Refused(Refusal),
    /// The logs differ: cut down to where the leader's `epoch` ends, or to where the follower's own does (rule 6).
    Diverging {
        /// The leader's greatest epoch up to that of the follower's last record, -1 where it knows none.
        epoch: i32,
        /// Where that epoch ends in the leader's log.
        end_offset: i64,
    },
    /// The follower ends before the leader's log begins: start anew there.
    StartsLater {
        /// First offset of the leader's log.
        log_start: i64,
    },
    /// Batches from the offset on, which may be none.
    Records {
        /// The leader's high watermark.
        high_watermark: i64,
        /// First offset of the leader's log.
        log_start: i64,
    },
}

/// Why a leader serves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// This broker does not lead.
    #[error("not the leader")]
    NotLeader,
    /// The follower knows an older leader epoch (rule 2).
    #[error("a lower leader epoch than {current}")]
    LowerEpoch {
        /// The leader's epoch.
        current: i32,
    },
    /// The follower knows a newer leader epoch: who is asked steps down (rule 2).
    #[error("a higher leader epoch than {current}")]
    HigherEpoch {
        /// The epoch of who is asked.
        current: i32,
    },
    /// No replica of this partition.
    #[error("not a replica")]
    NotReplica,
}
