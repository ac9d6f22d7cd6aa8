//! Reading a log, by as many as like, while one writes it.

mod lookup;
mod read;
mod tail;
mod timestamp;

use lookup::Place;
pub use read::{FileSlice, ReadSlice};
pub use timestamp::TimestampOffset;

use std::{path::Path, sync::Arc};

use crate::{
    epochs::{EpochEnd, EpochEntry},
    error::StorageError,
    log::Shared,
    num::to_u64,
    transactions::{self, AbortedTransaction},
};

/// A reader of one log. Clones are cheap; no lock is held while a file is read.
#[derive(Clone, Debug)]
pub struct LogReader {
    shared: Arc<Shared>,
}

impl LogReader {
    pub(crate) fn new(shared: Arc<Shared>) -> LogReader {
        LogReader { shared }
    }

    /// The log's directory.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Why nothing can be appended any more, if so.
    ///
    /// # Errors
    /// The log is deleted or closed, a write to it failed, or its directory is out of service.
    pub fn check_writable(&self) -> Result<(), StorageError> {
        self.shared.check_writable()
    }

    /// Counts truncations: what was read before one may not be there any more.
    pub fn truncations(&self) -> u64 {
        self.shared.truncations()
    }

    /// The first offset that may be read.
    pub fn log_start_offset(&self) -> i64 {
        self.shared.log_start_offset()
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> i64 {
        self.shared.log_end_offset()
    }

    /// Everything below it is decided: the high watermark, or where an open transaction began before it. An end of
    /// a transaction counts once the high watermark has passed it.
    pub fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        self.shared.last_stable_offset(high_watermark)
    }

    /// Aborted transactions with records in `from..to`, by their markers.
    ///
    /// # Errors
    /// A transaction index cannot be read.
    pub fn aborted(&self, from: i64, to: i64) -> Result<Vec<AbortedTransaction>, StorageError> {
        self.attempt(None, || {
            let segments = self.shared.segments();
            let first = segments.partition_point(|segment| segment.base_offset <= from).saturating_sub(1);
            let mut found: Vec<AbortedTransaction> = Vec::new();
            for segment in segments.get(first..).unwrap_or_default() {
                let entries = segment.aborted()?;
                // While segments are compacted into one, an entry may be in both.
                let known = found.last().map_or(-1, |last| last.last_offset);
                let new = entries.partition_point(|entry| entry.last_offset <= known);
                if !transactions::within(entries.get(new..).unwrap_or_default(), from, to, &mut found) {
                    break;
                }
            }
            Ok(found)
        })
    }

    /// As [`LogReader::aborted`], of a read from `from` on that has found `len` bytes.
    ///
    /// # Errors
    /// An index cannot be read.
    pub fn aborted_in_read(
        &self,
        from: i64,
        len: usize,
        to: i64,
    ) -> Result<Vec<AbortedTransaction>, StorageError> {
        let segments = self.shared.segments();
        let above = segments.partition_point(|segment| segment.base_offset <= from).max(1);
        let later = segments.get(above.saturating_sub(1)..).unwrap_or_default();
        // Most logs have no transactions, and no read goes beyond the segment in which it ends.
        let Some(first) = later.first().filter(|_| len > 0) else { return Ok(Vec::new()) };
        if later.len() == 1 && first.aborted()?.is_empty() {
            return Ok(Vec::new());
        }
        let Some(Place { segment, batch, .. }) = self.find(from)? else { return Ok(Vec::new()) };
        let end = batch.position.saturating_add(to_u64(len));
        let next = later.iter().find(|later| later.base_offset > segment.base_offset);
        let to = next.map_or(to, |next| next.base_offset.min(to));
        self.aborted(from, segment.offset_behind(end)?.map_or(to, |offset| offset.min(to)))
    }

    /// Bytes of all segments.
    pub fn size_in_bytes(&self) -> u64 {
        self.shared.segments().iter().map(|segment| segment.size()).sum()
    }

    /// The newest leader epoch that wrote to the log.
    pub fn latest_epoch(&self) -> Option<EpochEntry> {
        self.shared.epochs.read().latest()
    }

    /// The leader epoch that wrote `offset`.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.shared.epochs.read().epoch_at(offset)
    }

    /// Where a leader epoch ends; none where nothing is known about it.
    pub fn epoch_end_offset(&self, epoch: i32) -> Option<EpochEnd> {
        self.shared.epoch_end_offset(epoch)
    }
}
