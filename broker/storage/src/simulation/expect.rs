//! What a log must hold, and what it may hold after a crash.

use super::{batches::Sent, faults::Crash};

/// The list that a log is held against.
#[derive(Debug, Default)]
pub(super) struct Expect {
    /// All that is in the log, in order, and what was before its start.
    pub(super) batches: Vec<Sent>,
    /// Sent behind them, and not acknowledged: each may be found at the next start, unless one before it is not.
    pub(super) doubtful: Vec<Sent>,
    /// Where the log began when it was last emptied.
    pub(super) origin: i64,
    /// Records below it survive the process. It is the log's end, unless a truncation may have been done.
    pub(super) floor: i64,
    /// Records below it survive the machine.
    pub(super) durable: i64,
    /// Log start offset.
    pub(super) start: i64,
    /// The largest log start offset that there ever was. Of what is below, producers may have been forgotten, and a crash
    /// may have taken the deletion back.
    pub(super) seen_start: i64,
    /// The log start offset that a checkpoint has.
    pub(super) kept_start: i64,
    /// A power cut took the end of a transaction, by which compaction may have gone. Its coordinator writes it again.
    pub(super) lost_marker: bool,
    /// A truncation of everything failed half way: nothing is promised of the log.
    pub(super) given_up: bool,
}

/// What a log shows when it was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Expect {
    /// Whether a truncation was begun, and not done.
    pub(super) fn is_being_cut(&self) -> bool {
        self.given_up || self.floor < self.end()
    }

    pub(super) fn end(&self) -> i64 {
        self.batches.last().map_or(self.origin, Sent::end)
    }

    /// Batches that are to be read.
    pub(super) fn live(&self) -> impl DoubleEndedIterator<Item = &Sent> {
        self.batches.iter().filter(|batch| batch.end() > self.start)
    }

    /// A batch is acknowledged.
    pub(super) fn acknowledged(&mut self, batch: Sent) {
        assert!(self.doubtful.is_empty(), "appended behind what is not known");
        assert_eq!(batch.header.base_offset, self.end());
        self.batches.push(batch);
        self.floor = self.end();
    }

    /// Everything is with the operating system, and on disk.
    pub(super) fn flushed(&mut self) {
        self.durable = self.end();
    }

    /// All records from `offset` on went.
    pub(super) fn truncated(&mut self, offset: i64) {
        self.batches.retain(|batch| batch.end() <= offset);
        if self.batches.is_empty() {
            self.origin = self.origin.min(offset);
        }
        self.may_be_truncated(offset);
    }

    /// All records from `offset` on may go.
    pub(super) fn may_be_truncated(&mut self, offset: i64) {
        let kept = self.batches.iter().filter(|batch| batch.end() <= offset).map(Sent::end);
        let kept = kept.max().unwrap_or(self.origin);
        self.floor = self.floor.min(kept);
        self.durable = self.durable.min(kept);
    }

    /// Nothing is left; the log goes on at `offset`.
    pub(super) fn restarted(&mut self, offset: i64) {
        let (kept_start, seen_start) = (self.kept_start, self.seen_start);
        *self = Expect {
            origin: offset,
            floor: offset,
            start: offset,
            kept_start,
            seen_start,
            ..Expect::default()
        };
    }

    /// The log after a crash. True where something acknowledged is gone.
    pub(super) fn reopened(&mut self, crash: Crash, opened: Opened) -> bool {
        let least = if crash == Crash::Machine { self.durable.min(self.floor) } else { self.floor };
        let (before, promised, origin) = (self.end(), self.floor, self.origin);
        let mut found = std::mem::take(&mut self.batches);
        found.append(&mut self.doubtful);
        self.lost_marker |= found.iter().any(|batch| batch.end() > opened.end && batch.header.is_control());
        found.retain(|batch| batch.end() <= opened.end);
        let end = found.last().map_or(origin, Sent::end);
        // A log whose end is before its start holds nothing that may be read, and begins anew.
        let anew = opened.start == opened.end && opened.end > end;
        if self.given_up && opened.start == opened.end {
            return false;
        }
        assert!(
            end == opened.end || (anew && opened.end <= self.start.max(self.kept_start)),
            "ends at {}, where no batch ends that was sent; the last one before ends at {end}",
            opened.end
        );
        assert!(
            opened.end >= least || self.given_up,
            "acknowledged up to {before}, must keep up to {least} after {crash:?}, ends at {}",
            opened.end
        );
        assert!(
            opened.start >= self.kept_start,
            "start went back from {} to {}",
            self.kept_start,
            opened.start
        );
        assert!(
            opened.start <= self.start.max(self.kept_start) || self.given_up,
            "start jumped from {} to {}",
            self.start,
            opened.start
        );
        self.batches = found;
        if anew {
            self.batches.clear();
            self.origin = opened.end;
        }
        self.start = opened.start;
        self.floor = self.end();
        self.durable = self.durable.min(self.end());
        !std::mem::take(&mut self.given_up) && self.end() < promised
    }
}
