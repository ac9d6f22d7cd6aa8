//! The checkpoints of all logs of a data directory: one line `topic partition offset` a log.

use std::{collections::BTreeMap, path::Path};

use super::{LogDir, TopicPartition};
use crate::{
    checkpoint,
    error::StorageError,
    fs::{Durability, read_small, write_atomic},
    log::LogStart,
};

pub(super) const RECOVERY_POINT: &str = "recovery-point-offset-checkpoint";
pub(super) const LOG_START_OFFSET: &str = "log-start-offset-checkpoint";
pub(super) const HIGH_WATERMARK: &str = "replication-offset-checkpoint";

/// Reads a checkpoint. One that is missing or malformed has no entries: each of them is a bound that may be lower.
pub(super) fn read(dir: &Path, name: &str) -> Result<BTreeMap<TopicPartition, i64>, StorageError> {
    let path = dir.join(name);
    let Some(bytes) = read_small(&path)? else { return Ok(BTreeMap::new()) };
    let parsed = checkpoint::parse(&bytes, |line| {
        let mut fields = line.split_whitespace();
        let topic = fields.next()?;
        let partition = fields.next()?.parse().ok()?;
        let offset = fields.next()?.parse().ok()?;
        fields.next().is_none().then(|| (TopicPartition::new(topic, partition), offset))
    });
    match parsed {
        Ok(entries) => Ok(entries.into_iter().collect()),
        Err(reason) => {
            tracing::warn!(path = %path.display(), reason, "checkpoint is malformed; going on without it");
            Ok(BTreeMap::new())
        }
    }
}

fn write<'a>(
    dir: &Path,
    name: &str,
    entries: impl Iterator<Item = (&'a TopicPartition, i64)>,
) -> Result<(), StorageError> {
    let lines = entries.map(|(tp, offset)| format!("{} {} {offset}", tp.topic(), tp.partition()));
    write_atomic(&dir.join(name), &checkpoint::format(lines), Durability::Machine)
}

impl LogDir {
    /// What the checkpoints say of a log.
    pub fn log_start(&self, tp: &TopicPartition) -> LogStart {
        LogStart {
            mode: self.open_mode(),
            recovery_point: self.recovery_points.get(tp).copied().unwrap_or(0).max(0),
            log_start_offset: self.log_start_offsets.get(tp).copied().unwrap_or(0).max(0),
        }
    }

    /// The high watermark that was last written down for a log; 0 for none.
    pub fn high_watermark(&self, tp: &TopicPartition) -> i64 {
        self.high_watermarks.get(tp).copied().unwrap_or(0).max(0)
    }

    /// Writes the recovery points of all logs, durably and whole.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub fn write_recovery_points<'a>(
        &self,
        entries: impl Iterator<Item = (&'a TopicPartition, i64)>,
    ) -> Result<(), StorageError> {
        write(&self.path, RECOVERY_POINT, entries)
    }

    /// Writes the log start offsets of logs from which records were deleted.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub fn write_log_start_offsets<'a>(
        &self,
        entries: impl Iterator<Item = (&'a TopicPartition, i64)>,
    ) -> Result<(), StorageError> {
        write(&self.path, LOG_START_OFFSET, entries)
    }

    /// Writes the high watermarks of all logs.
    ///
    /// # Errors
    /// The file cannot be written; the old one stays.
    pub fn write_high_watermarks<'a>(
        &self,
        entries: impl Iterator<Item = (&'a TopicPartition, i64)>,
    ) -> Result<(), StorageError> {
        write(&self.path, HIGH_WATERMARK, entries)
    }
}
