//! A log as far as replication is concerned: what the page cache holds of it, and what the disk holds.

use super::rng::Rng;
use crate::LogView;

/// A record: the leader epoch that wrote it, and a value that no other write has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    pub epoch: i32,
    pub value: u32,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    start: i64,
    records: Vec<Record>,
    /// Where leader epochs began, as `leader-epoch-checkpoint` has it.
    epochs: Vec<(i32, i64)>,
    /// What a power cut leaves for certain, from `start` on.
    durable: Vec<Record>,
}

impl Log {
    pub fn record(&self, offset: i64) -> Option<Record> {
        self.records.get(usize::try_from(offset - self.start).ok()?).copied()
    }

    pub fn append(&mut self, record: Record) {
        self.assign_epoch(record.epoch);
        self.records.push(record);
    }

    /// That leader epoch writes from the end on.
    pub fn assign_epoch(&mut self, epoch: i32) {
        let end = self.log_end();
        let known = |(last, start): (i32, i64)| last == epoch && start <= end;
        while self.epochs.last().is_some_and(|last| !known(*last) && (last.0 >= epoch || last.1 >= end)) {
            self.epochs.pop();
        }
        if !self.epochs.last().is_some_and(|last| known(*last)) {
            self.epochs.push((epoch, end));
        }
    }

    /// The newest leader epoch that is known here, -1 for none.
    pub fn latest_epoch(&self) -> i32 {
        self.epochs.last().map_or(-1, |(epoch, _)| *epoch)
    }

    /// Cuts the log down to `end`; the cut is on the disk if it is `synced`.
    pub fn truncate(&mut self, end: i64, synced: bool) {
        if end < self.start {
            return self.start_at(end);
        }
        let keep = usize::try_from(end - self.start).unwrap();
        self.records.truncate(keep);
        if synced {
            self.durable.truncate(keep);
        }
        self.epochs.retain(|(_, start)| *start < end);
    }

    /// Drops everything, and begins anew at `offset`.
    pub fn start_at(&mut self, offset: i64) {
        *self = Log { start: offset, ..Log::default() };
    }

    /// Retention: what is below `offset` goes.
    pub fn drop_below(&mut self, offset: i64) {
        let offset = offset.min(self.log_end());
        let Some(gone) = usize::try_from(offset - self.start).ok().filter(|gone| *gone > 0) else { return };
        self.records.drain(..gone);
        self.durable.drain(..gone.min(self.durable.len()));
        self.start = offset;
        let covered = self.epochs.partition_point(|(_, start)| *start <= offset);
        if let Some(first) = covered.checked_sub(1) {
            self.epochs[first].1 = self.epochs[first].1.max(offset);
            self.epochs.drain(..first);
        }
    }

    /// Everything is on the disk.
    pub fn sync(&mut self) {
        self.durable.clone_from(&self.records);
    }

    /// The machine loses power: what was written and not synced is there or not, up to some point.
    pub fn lose_power(&mut self, rng: &mut Rng) {
        let same = self.durable.iter().zip(&self.records).take_while(|(a, b)| a == b).count();
        if same < self.durable.len() && rng.percent(50) {
            // A cut that was not synced is undone, as far as what was written since is not on the disk either.
            let until = same + rng.below(self.durable.len() - same + 1);
            let mut all = self.durable[..until].to_vec();
            all.extend(self.records.get(until..).unwrap_or_default());
            self.records.clear();
            self.epochs.clear();
            all.into_iter().for_each(|record| self.append(record));
            return self.sync();
        }
        let keep = same + rng.below(self.records.len() - same + 1);
        self.truncate(self.start + i64::try_from(keep).unwrap(), true);
        self.sync();
    }
}

impl LogView for Log {
    fn log_start(&self) -> i64 {
        self.start
    }

    fn log_end(&self) -> i64 {
        self.start + i64::try_from(self.records.len()).unwrap()
    }

    fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        if epoch < 0 {
            return None;
        }
        if self.latest_epoch() == epoch {
            return Some((epoch, self.log_end()));
        }
        let above = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let (_, end) = self.epochs.get(above)?;
        let floor = above.checked_sub(1).map_or(epoch, |at| self.epochs[at].0);
        Some((floor, *end))
    }

    fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.record(offset).map(|record| record.epoch)
    }
}
