//! Deleting old records: whole segments from the start of the log.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use super::{Log, open::Listing};
use crate::{
    error::StorageError,
    fs,
    segment::{Segment, file_name},
};

/// The files that make a segment.
const SUFFIXES: [&str; 4] = ["log", "index", "timeindex", TXNINDEX];
const TXNINDEX: &str = "txnindex";

/// Files of deleted segments, renamed to `.deleted`. [`Garbage::remove`] can be slow and needs no lock.
#[derive(Debug, Default)]
#[must_use = "the files stay until they are removed or the log is opened again"]
pub struct Garbage {
    paths: Vec<std::path::PathBuf>,
    segments: usize,
}

impl Garbage {
    /// Number of segments deleted.
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Takes a segment's files out of the log. The log goes first: an index without one is removed at the next start.
    /// `replaced`: the transaction index stays, for the segment that takes its place.
    pub(crate) fn take(&mut self, dir: &Path, base_offset: i64, replaced: bool) -> Result<(), StorageError> {
        for suffix in SUFFIXES.into_iter().filter(|suffix| !replaced || *suffix != TXNINDEX) {
            let path = dir.join(file_name(base_offset, suffix));
            let deleted = path.with_extension(format!("{suffix}.deleted"));
            fs::rename(&path, &deleted)?;
            self.paths.push(deleted);
        }
        self.segments = self.segments.saturating_add(1);
        Ok(())
    }

    /// Removes the files.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(self) -> Result<(), StorageError> {
        self.paths.iter().try_for_each(|path| fs::remove(path))
    }
}

/// Removes all files of a segment. The log goes first: an index without a log is removed at the next start.
pub(super) fn remove_files(dir: &Path, base_offset: i64) -> Result<(), StorageError> {
    SUFFIXES.iter().try_for_each(|suffix| fs::remove(&dir.join(file_name(base_offset, suffix))))
}

impl Log {
    /// Deletes segments that `retention.ms`, `retention.bytes` or the log start offset no longer keep. What the
    /// high watermark has not passed stays.
    ///
    /// # Errors
    /// Files cannot be renamed, or the log takes no writes.
    pub fn retention(&mut self, now_ms: i64, high_watermark: i64) -> Result<Garbage, StorageError> {
        self.shared.check_writable()?;
        let mut count = self.below_log_start();
        if self.config.cleanup_delete {
            count = count.max(self.older_than_retention(now_ms, high_watermark)?);
            count = count.max(self.beyond_retention_bytes(high_watermark));
        }
        if count == 0 {
            return Ok(Garbage::default());
        }
        if count == self.shared.segments().len() {
            // The log always has a segment to write to.
            self.roll(now_ms)?;
        }
        self.delete_first(count)
    }

    /// Moves the log start offset up to `offset` (DeleteRecords); the caller checks the high watermark. Segments
    /// below it go with the next retention. The answer is the log start offset.
    ///
    /// # Errors
    /// [`StorageError::OffsetOutOfRange`] for an offset behind the log's end.
    pub fn delete_records(&mut self, offset: i64) -> Result<i64, StorageError> {
        self.shared.check_writable()?;
        let (start, end) = (self.log_start_offset(), self.log_end_offset());
        if !(0..=end).contains(&offset) {
            return Err(StorageError::OffsetOutOfRange { offset, start, end });
        }
        if offset > start {
            self.shared.set_log_start_offset(offset);
        }
        Ok(start.max(offset))
    }

    fn below_log_start(&self) -> usize {
        let start = self.log_start_offset();
        let segments = self.shared.segments();
        segments.iter().skip(1).take_while(|next| next.base_offset <= start).count()
    }

    /// Segments from the start whose every record the high watermark has passed, with their end offsets.
    fn deletable(&self, high_watermark: i64) -> Vec<Arc<Segment>> {
        let segments = self.shared.segments();
        let ends = segments.iter().skip(1).map(|next| next.base_offset).chain([self.log_end_offset()]);
        segments
            .iter()
            .zip(ends)
            .take_while(|(segment, end)| *end <= high_watermark && *end > segment.base_offset)
            .map(|(segment, _)| segment.clone())
            .collect()
    }

    fn older_than_retention(&self, now_ms: i64, high_watermark: i64) -> Result<usize, StorageError> {
        if self.config.retention_ms < 0 {
            return Ok(0);
        }
        let mut count = 0usize;
        for segment in self.deletable(high_watermark) {
            let newest = match segment.max_timestamp()?.timestamp {
                -1 => segment.modified_ms()?,
                timestamp => timestamp,
            };
            if now_ms.saturating_sub(newest) <= self.config.retention_ms {
                break;
            }
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    fn beyond_retention_bytes(&self, high_watermark: i64) -> usize {
        let Ok(limit) = u64::try_from(self.config.retention_bytes) else { return 0 };
        let mut excess = self.size_in_bytes().saturating_sub(limit);
        let mut count = 0usize;
        for segment in self.deletable(high_watermark) {
            let Some(left) = excess.checked_sub(segment.size()) else { break };
            excess = left;
            count = count.saturating_add(1);
        }
        count
    }

    fn delete_first(&mut self, count: usize) -> Result<Garbage, StorageError> {
        let segments = self.shared.segments();
        let (gone, kept) = segments.split_at(count.min(segments.len().saturating_sub(1)));
        let Some(first) = kept.first().map(|segment| segment.base_offset) else {
            return Ok(Garbage::default());
        };
        // First nobody may read there any more, then the files may go.
        self.shared.set_log_start_offset(self.log_start_offset().max(first));
        self.shared.set_segments(kept.to_vec());
        self.shared.dir_changed.store(true, Ordering::Release);
        let mut garbage = Garbage::default();
        gone.iter().for_each(|segment| segment.mark_removed());
        // Those, too, whose deletion failed before, the oldest first: what is left must have no gap, behind which a
        // recovery would cut the log.
        let files = self.shared.guard(Listing::read(&self.shared.dir))?;
        for base_offset in files.logs.into_keys().take_while(|base_offset| *base_offset < first) {
            self.shared.guard(garbage.take(&self.shared.dir, base_offset, false))?;
        }
        self.snapshots.remove_where(&self.shared.dir, |offset| offset < first)?;
        tracing::info!(log = %self.shared.dir.display(), segments = gone.len(), log_start_offset = first, "deleted old segments");
        Ok(garbage)
    }
}
