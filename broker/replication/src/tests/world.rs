//! A log that is a list of leader epochs, and short ways to say things.

use milena_crds::partition::{Member, PartitionState};

use crate::{Belief, Conditions, Follower, FollowerFetch, FollowerStep, Leader, Leadership, LogView, Served};

/// The leader epoch of each record, from `start` on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FakeLog {
    pub start: i64,
    pub epochs: Vec<i32>,
}

impl FakeLog {
    pub fn of(epochs: &[i32]) -> FakeLog {
        FakeLog { start: 0, epochs: epochs.to_vec() }
    }

    /// What a follower does to its log by what it was told.
    pub fn carry_out(&mut self, step: FollowerStep, from: &FakeLog) {
        match step {
            FollowerStep::Ignore => {}
            FollowerStep::StartAt(offset) => *self = FakeLog { start: offset, epochs: Vec::new() },
            FollowerStep::Truncate(end) if end < self.start => {
                *self = FakeLog { start: end, epochs: Vec::new() };
            }
            FollowerStep::Truncate(end) => self.epochs.truncate(usize::try_from(end - self.start).unwrap()),
            FollowerStep::Append => {
                let at = usize::try_from(self.log_end() - from.start).unwrap();
                self.epochs.extend(from.epochs.get(at..).unwrap().first());
            }
        }
    }
}

impl LogView for FakeLog {
    fn log_start(&self) -> i64 {
        self.start
    }

    fn log_end(&self) -> i64 {
        self.start + i64::try_from(self.epochs.len()).unwrap()
    }

    fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        match self.epochs.iter().rposition(|of| *of <= epoch) {
            Some(at) => Some((self.epochs[at], self.start + i64::try_from(at).unwrap() + 1)),
            // Older than all that is kept: it ended at the latest where the log begins.
            None => self.epochs.first().map(|_| (epoch, self.start)),
        }
    }

    fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.epochs.get(usize::try_from(offset - self.start).ok()?).copied()
    }
}

pub fn state(text: &str) -> PartitionState {
    text.parse().unwrap()
}

pub fn member(text: &str) -> Member {
    text.parse().unwrap()
}

pub const ME: &str = "0.0000000a-1";
pub const B: &str = "1.0000000b-1";
pub const C: &str = "2.0000000c-1";

/// A state of three replicas, leader 0 in epoch 3, with that partition epoch and ISR.
pub fn three(partition_epoch: i32, isr: &[&str]) -> PartitionState {
    state(&format!(
        "replicas=0,1,2 leader=0 leaderEpoch=3 partitionEpoch={partition_epoch} isr={} elr=",
        isr.join(",")
    ))
}

/// The leader's own log: ten records.
pub fn log() -> FakeLog {
    FakeLog::of(&[1, 1, 1, 1, 1, 2, 2, 2, 2, 2])
}

pub fn lead_at(state: &PartitionState, leadership: Leadership, min: usize, now_ms: i64) -> Leader {
    Leader::new(member(ME), state, leadership, min, 10, 0, now_ms).unwrap()
}

pub fn lead(state: &PartitionState, min: usize) -> Leader {
    lead_at(state, Leadership::Elected, min, 0)
}

/// A fetch of a follower whose log is the beginning of the leader's.
pub fn fetch(who: &str, offset: i64) -> FollowerFetch {
    let last_epoch = match offset {
        0 => -1,
        1..=5 => 1,
        6..=10 => 2,
        _ => 3,
    };
    FollowerFetch { replica: member(who), leader_epoch: 3, offset, last_epoch }
}

pub fn fetched(leader: &mut Leader, who: &str, offset: i64) -> Served {
    fetched_at(leader, who, offset, 0)
}

pub fn fetched_at(leader: &mut Leader, who: &str, offset: i64, now_ms: i64) -> Served {
    let mut log = log();
    log.epochs.extend([3; 10]);
    leader.fetch(&fetch(who, offset), &log, now_ms)
}

pub fn nobody(_: i32) -> Belief {
    Belief::Well
}

/// Believes those dead.
pub fn dead(who: impl Fn(i32) -> bool) -> impl Fn(i32) -> Belief {
    move |id| if who(id) { Belief::Dead } else { Belief::Well }
}

pub fn conditions(log_end: i64) -> Conditions {
    Conditions { log_end, high_watermark: 0, min_in_sync: 2, now_ms: 0 }
}

pub fn follow(who: &str) -> Follower {
    Follower::new(member(who), 0, 3, 0)
}
