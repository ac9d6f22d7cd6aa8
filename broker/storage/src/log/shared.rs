//! What a log and its readers share.

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::turn::FlushTurn;
use crate::{dir::Disk, epochs::LeaderEpochs, error::StorageError, segment::Segment};

/// Segments in the order of their base offsets. There is always one.
pub(crate) type Segments = Arc<Vec<Arc<Segment>>>;

/// The state of a log that readers see. The log alone changes it.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The log's directory.
    pub(crate) dir: Arc<Path>,
    segments: RwLock<Segments>,
    log_start_offset: AtomicI64,
    log_end_offset: AtomicI64,
    /// Counts truncations: bytes below the size that a reader saw may have changed if it has moved.
    truncations: AtomicU64,
    deleted: AtomicBool,
    closed: AtomicBool,
    poison: OnceLock<String>,
    /// The data directory that the log lies in; none for a log by itself.
    pub(crate) disk: OnceLock<Arc<Disk>>,
    /// Its place among the logs to sync.
    pub(crate) flush: FlushTurn,
    /// Leader epochs.
    pub(crate) epochs: RwLock<LeaderEpochs>,
    /// Everything below is on disk.
    pub(crate) recovery_point: Mutex<i64>,
    /// Files came or went in the directory since it was last synced.
    pub(crate) dir_changed: AtomicBool,
    /// The directory itself is on disk.
    pub(crate) dir_synced: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        dir: Arc<Path>,
        segments: Vec<Arc<Segment>>,
        offsets: Offsets,
        epochs: LeaderEpochs,
    ) -> Shared {
        Shared {
            dir,
            segments: RwLock::new(Arc::new(segments)),
            log_start_offset: AtomicI64::new(offsets.log_start),
            log_end_offset: AtomicI64::new(offsets.log_end),
            truncations: AtomicU64::new(0),
            deleted: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            poison: OnceLock::new(),
            disk: OnceLock::new(),
            flush: FlushTurn::default(),
            epochs: RwLock::new(epochs),
            recovery_point: Mutex::new(offsets.recovery_point),
            dir_changed: AtomicBool::new(true),
            dir_synced: AtomicBool::new(false),
        }
    }

    pub(crate) fn segments(&self) -> Segments {
        self.segments.read().clone()
    }

    /// Replaces the list of segments.
    pub(crate) fn set_segments(&self, segments: Vec<Arc<Segment>>) {
        *self.segments.write() = Arc::new(segments);
    }

    pub(crate) fn log_start_offset(&self) -> i64 {
        self.log_start_offset.load(Ordering::Acquire)
    }

    pub(crate) fn set_log_start_offset(&self, offset: i64) {
        self.log_start_offset.store(offset, Ordering::Release);
    }

    pub(crate) fn log_end_offset(&self) -> i64 {
        self.log_end_offset.load(Ordering::Acquire)
    }

    pub(crate) fn set_log_end_offset(&self, offset: i64) {
        self.log_end_offset.store(offset, Ordering::Release);
    }

    pub(crate) fn truncations(&self) -> u64 {
        self.truncations.load(Ordering::SeqCst)
    }

    pub(crate) fn count_truncation(&self) {
        self.truncations.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    pub(crate) fn mark_closed(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Takes no more writes. The first reason stays. Where the disk failed, the whole directory goes out of service.
    pub(crate) fn poison(&self, reason: &StorageError) {
        if self.poison.set(reason.to_string()).is_ok() {
            tracing::error!(log = %self.dir.display(), %reason, "the log takes no more writes");
        }
        if let Some(disk) = self.disk.get().filter(|_| reason.is_failed_disk()) {
            disk.fail(&reason.to_string());
        }
    }

    /// An error where the log is deleted.
    pub(crate) fn check_readable(&self) -> Result<(), StorageError> {
        if self.deleted.load(Ordering::Acquire) {
            return Err(StorageError::Deleted { path: self.dir.to_path_buf() });
        }
        Ok(())
    }

    /// An error where the log is deleted, closed or poisoned, or its directory is out of service.
    pub(crate) fn check_writable(&self) -> Result<(), StorageError> {
        self.check_readable()?;
        self.disk.get().map_or(Ok(()), |disk| disk.check())?;
        if self.closed.load(Ordering::Acquire) {
            return Err(StorageError::Closed { path: self.dir.to_path_buf() });
        }
        match self.poison.get() {
            Some(reason) => {
                Err(StorageError::Poisoned { path: self.dir.to_path_buf(), reason: reason.clone() })
            }
            None => Ok(()),
        }
    }

    /// Poisons the log on errors after which it may not be what it was.
    pub(crate) fn guard<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &result
            && !error.leaves_log_intact()
        {
            self.poison(error);
        }
        result
    }
}

/// Offsets that a log starts with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offsets {
    pub(crate) log_start: i64,
    pub(crate) log_end: i64,
    pub(crate) recovery_point: i64,
}
