//! The checkpoints of all logs of a data directory: one line `topic partition offset` a log.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::{LogDir, TopicPartition};
use crate::{
    checkpoint,
    error::StorageError,
    fs::{Durability, read_small, write_atomic},
    log::LogStart,
};

/// The checkpoint files.
#[derive(Debug)]
pub(super) struct Checkpoints {
    recovery_points: Checkpoint,
    log_start_offsets: Checkpoint,
    high_watermarks: Checkpoint,
    /// First offsets that have not been through a cleaning.
    cleaner_offsets: Checkpoint,
}

impl Checkpoints {
    pub(super) fn load(dir: &Path) -> Result<Checkpoints, StorageError> {
        Ok(Checkpoints {
            recovery_points: Checkpoint::load(dir.join("recovery-point-offset-checkpoint"))?,
            log_start_offsets: Checkpoint::load(dir.join("log-start-offset-checkpoint"))?,
            high_watermarks: Checkpoint::load(dir.join("replication-offset-checkpoint"))?,
            cleaner_offsets: Checkpoint::load(dir.join("cleaner-offset-checkpoint"))?,
        })
    }

    /// Notes a log that comes from another directory, before all are written the next time. Of an older log of that name
    /// the high watermark says nothing.
    pub(super) fn note(
        &self,
        tp: &TopicPartition,
        recovery_point: i64,
        log_start_offset: i64,
    ) -> Result<(), StorageError> {
        self.high_watermarks.forget(tp)?;
        self.recovery_points.note(tp, recovery_point)?;
        self.log_start_offsets.note(tp, log_start_offset)
    }

    /// A log is about to be cut to `offset`, or ends there, and to get other records behind it, which are neither on
    /// disk nor committed.
    pub(super) fn lower(&self, tp: &TopicPartition, offset: i64) -> Result<(), StorageError> {
        self.high_watermarks.lower(tp, offset)?;
        self.recovery_points.lower(tp, offset)
    }

    /// Forgets what was known to be committed.
    pub(super) fn forget_high_watermarks(&self) -> Result<(), StorageError> {
        self.high_watermarks.replace(BTreeMap::new())
    }

    /// Forgets a log that is about to be made: what the files say is about an older one of the same name. Its log
    /// start offset, for one, would hide the records of the new one.
    pub(super) fn forget(&self, tp: &TopicPartition) -> Result<(), StorageError> {
        [&self.recovery_points, &self.log_start_offsets, &self.high_watermarks, &self.cleaner_offsets]
            .into_iter()
            .try_for_each(|checkpoint| checkpoint.forget(tp))
    }
}

/// One file, and what is in it.
#[derive(Debug)]
struct Checkpoint {
    path: PathBuf,
    entries: Mutex<BTreeMap<TopicPartition, i64>>,
    /// Entries that were lowered since all were last written. What is written next may have been collected before.
    lowered: Mutex<BTreeMap<TopicPartition, i64>>,
}

impl Checkpoint {
    /// A file that is missing or malformed has no entries: each of them is a bound that may be lower.
    fn load(path: PathBuf) -> Result<Checkpoint, StorageError> {
        let parsed = match read_small(&path)? {
            Some(bytes) => checkpoint::parse(&bytes, entry),
            None => Ok(Vec::new()),
        };
        let entries = parsed.unwrap_or_else(|reason| {
            tracing::warn!(path = %path.display(), reason, "checkpoint is malformed; going on without it");
            Vec::new()
        });
        let entries = Mutex::new(entries.into_iter().collect());
        Ok(Checkpoint { path, entries, lowered: Mutex::default() })
    }

    fn get(&self, tp: &TopicPartition) -> i64 {
        self.entries.lock().get(tp).copied().unwrap_or(0).max(0)
    }

    fn replace(&self, mut entries: BTreeMap<TopicPartition, i64>) -> Result<(), StorageError> {
        let mut current = self.entries.lock();
        for (tp, bound) in std::mem::take(&mut *self.lowered.lock()) {
            entries.entry(tp).and_modify(|offset| *offset = bound.min(*offset));
        }
        if *current != entries {
            self.store(&entries)?;
            *current = entries;
        }
        Ok(())
    }

    fn note(&self, tp: &TopicPartition, offset: i64) -> Result<(), StorageError> {
        let mut current = self.entries.lock();
        current.insert(tp.clone(), offset);
        self.store(&current)
    }

    fn lower(&self, tp: &TopicPartition, offset: i64) -> Result<(), StorageError> {
        let mut current = self.entries.lock();
        self.lowered.lock().insert(tp.clone(), offset);
        if let Some(entry) = current.get_mut(tp).filter(|entry| **entry > offset) {
            *entry = offset;
            self.store(&current)?;
        }
        Ok(())
    }

    fn forget(&self, tp: &TopicPartition) -> Result<(), StorageError> {
        let mut current = self.entries.lock();
        if current.remove(tp).is_some() {
            self.store(&current)?;
        }
        Ok(())
    }

    fn store(&self, entries: &BTreeMap<TopicPartition, i64>) -> Result<(), StorageError> {
        let lines = entries.iter().map(|(tp, offset)| format!("{} {} {offset}", tp.topic(), tp.partition()));
        write_atomic(&self.path, &checkpoint::format(lines), Durability::Machine)
    }
}

fn entry(line: &str) -> Option<(TopicPartition, i64)> {
    let mut fields = line.split_whitespace();
    let topic = fields.next()?;
    let partition = fields.next()?.parse().ok()?;
    let offset = fields.next()?.parse().ok()?;
    fields.next().is_none().then(|| (TopicPartition::new(topic, partition), offset))
}

fn collected<'a>(entries: impl Iterator<Item = (&'a TopicPartition, i64)>) -> BTreeMap<TopicPartition, i64> {
    entries.map(|(tp, offset)| (tp.clone(), offset)).collect()
}

impl LogDir {
    /// What the checkpoints say of a log.
    pub fn log_start(&self, tp: &TopicPartition) -> LogStart {
        LogStart {
            mode: self.open_mode(),
            recovery_point: self.checkpoints.recovery_points.get(tp),
            log_start_offset: self.checkpoints.log_start_offsets.get(tp),
            may_have_gaps: self.kafka_metadata().is_some(),
        }
    }

    /// The high watermark that was last written down for a log; 0 for none, and where a start cannot tell that the log
    /// still has everything below it. A log that is cut lowers it first.
    pub fn high_watermark(&self, tp: &TopicPartition) -> i64 {
        self.checkpoints.high_watermarks.get(tp)
    }

    /// The first offset of a log that was not cleaned when that was last written down; 0 for none.
    pub(super) fn cleaner_offset(&self, tp: &TopicPartition) -> i64 {
        self.checkpoints.cleaner_offsets.get(tp)
    }

    /// Writes how far compacted logs have been cleaned, likewise. One that was truncated meanwhile may be written down
    /// too high until then: what it got since is then cleaned with its next new keys only.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub fn write_cleaner_offsets<'a>(
        &self,
        entries: impl Iterator<Item = (&'a TopicPartition, i64)>,
    ) -> Result<(), StorageError> {
        self.checkpoints.cleaner_offsets.replace(collected(entries))
    }

    /// Writes the recovery points of all logs, durably and whole, if they have changed.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub fn write_recovery_points<'a>(
        &self,
        entries: impl Iterator<Item = (&'a TopicPartition, i64)>,
    ) -> Result<(), StorageError> {
        self.checkpoints.recovery_points.replace(collected(entries))
    }

    /// Writes the log start offsets of all logs, likewise.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub fn write_log_start_offsets<'a>(
        &self,
        entries: impl Iterator<Item = (&'a TopicPartition, i64)>,
    ) -> Result<(), StorageError> {
        self.checkpoints.log_start_offsets.replace(collected(entries))
    }

    /// Writes the high watermarks of all logs, likewise.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub fn write_high_watermarks<'a>(
        &self,
        entries: impl Iterator<Item = (&'a TopicPartition, i64)>,
    ) -> Result<(), StorageError> {
        self.checkpoints.high_watermarks.replace(collected(entries))
    }
}
