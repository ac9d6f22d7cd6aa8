//! Reading a log, by as many as like, while one writes it.

mod lookup;
mod read;
mod timestamp;

pub use read::{FileSlice, ReadSlice};
pub use timestamp::TimestampOffset;

use std::{path::Path, sync::Arc};

use crate::{
    epochs::{EpochEnd, EpochEntry},
    error::StorageError,
    log::Shared,
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

    /// The first offset that may be read.
    pub fn log_start_offset(&self) -> i64 {
        self.shared.log_start_offset()
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> i64 {
        self.shared.log_end_offset()
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
        self.shared.epochs.read().end_offset(epoch, self.log_end_offset())
    }
}
