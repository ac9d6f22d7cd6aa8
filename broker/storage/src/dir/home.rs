//! What a log needs of the directory that it is in.

use std::{path::PathBuf, sync::Arc};

use super::{TopicPartition, checkpoints::Checkpoints, sync_failed};
use crate::error::StorageError;

/// The data directory of a log.
#[derive(Debug)]
pub(crate) struct Home {
    pub(super) dir: PathBuf,
    pub(super) checkpoints: Arc<Checkpoints>,
    /// The log's name there.
    pub(super) tp: TopicPartition,
}

impl Home {
    /// The log is about to be cut to `offset`, and to get other records behind it, which are neither on disk nor
    /// committed.
    pub(crate) fn lower_checkpoints(&self, offset: i64) -> Result<(), StorageError> {
        self.checkpoints.lower(&self.tp, offset)
    }

    /// As [`Home::note_failed_sync`], where the error may be that.
    pub(super) fn note_if_sync_failed(&self, error: &StorageError) {
        if matches!(error, StorageError::Io { .. }) && !error.leaves_log_intact() {
            self.note_failed_sync();
        }
    }

    /// A sync failed: the next start must not believe what memory has of the files.
    pub(crate) fn note_failed_sync(&self) {
        sync_failed::note(&self.dir);
    }
}
