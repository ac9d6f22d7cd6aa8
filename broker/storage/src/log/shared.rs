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
use crate::{
    dir::{Disk, Home},
    epochs::{self, EpochEnd, LeaderEpochs},
    error::StorageError,
    fs::Durability,
    producer::{EndedTransaction, ProducerState},
    segment::Segment,
    tail::TailSlot,
    transactions::Undecided,
};

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
    truncations: Arc<AtomicU64>,
    deleted: AtomicBool,
    closed: AtomicBool,
    poison: OnceLock<String>,
    /// The data directory that the log lies in; none for a log by itself.
    pub(crate) disk: OnceLock<Arc<Disk>>,
    /// Its place among the logs to sync.
    pub(crate) flush: FlushTurn,
    /// Leader epochs.
    pub(crate) epochs: RwLock<LeaderEpochs>,
    undecided: Mutex<Undecided>,
    /// Whether there is anything in it: most logs have no transactions.
    has_undecided: AtomicBool,
    /// Everything below is on disk.
    pub(crate) recovery_point: Mutex<i64>,
    /// Files came or went in the directory since it was last synced.
    pub(crate) dir_changed: AtomicBool,
    /// The directory itself is on disk.
    pub(crate) dir_synced: AtomicBool,
    /// The data directory that the log is in, if it is in one.
    home: OnceLock<Home>,
    /// Its last batches, while somebody reads at its end.
    pub(crate) tail: TailSlot,
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
            truncations: Arc::default(),
            deleted: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            poison: OnceLock::new(),
            disk: OnceLock::new(),
            flush: FlushTurn::default(),
            epochs: RwLock::new(epochs),
            undecided: Mutex::default(),
            has_undecided: AtomicBool::new(false),
            recovery_point: Mutex::new(offsets.recovery_point),
            dir_changed: AtomicBool::new(true),
            dir_synced: AtomicBool::new(false),
            home: OnceLock::new(),
            tail: TailSlot::default(),
        }
    }

    /// The log is one of a data directory.
    pub(crate) fn keep_in(&self, home: Home) {
        let _ = self.home.set(home);
    }

    /// Lowers the recovery point, and the high watermark that was written down, durably: records above `offset` are about
    /// to be cut.
    pub(crate) fn lower_recovery_point(&self, offset: i64) -> Result<(), StorageError> {
        {
            let mut point = self.recovery_point.lock();
            *point = offset.min(*point);
        }
        self.home.get().map_or(Ok(()), |home| home.lower_checkpoints(offset))
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

    /// Writes the checkpoint of leader epochs, if it is behind. With a full disk it stays so until the next time.
    pub(crate) fn write_epochs(&self, durability: Durability) -> Result<(), StorageError> {
        match self.keep_epochs(durability) {
            Err(error) if error.leaves_log_intact() => Ok(()),
            other => other,
        }
    }

    /// As [`Shared::write_epochs`], where it must not stay behind.
    pub(crate) fn keep_epochs(&self, durability: Durability) -> Result<(), StorageError> {
        let changes = self.epochs.write().take_changes();
        let Some(changes) = changes else { return Ok(()) };
        self.guard(epochs::store_changes(&self.dir, &changes, durability)).inspect_err(|error| {
            if error.leaves_log_intact() {
                self.epochs.write().mark_dirty();
            }
        })
    }

    /// Where a leader epoch ends, not before the log starts.
    pub(crate) fn epoch_end_offset(&self, epoch: i32) -> Option<EpochEnd> {
        let end = self.epochs.read().end_offset(epoch, self.log_end_offset())?;
        Some(EpochEnd { end_offset: end.end_offset.max(self.log_start_offset()), ..end })
    }

    pub(crate) fn truncations(&self) -> u64 {
        self.truncations.load(Ordering::SeqCst)
    }

    /// The count itself, for slices of files that outlive a read.
    pub(crate) fn changes(&self) -> Arc<AtomicU64> {
        self.truncations.clone()
    }

    pub(crate) fn count_truncation(&self) {
        self.truncations.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
        self.tail.clear();
    }

    pub(crate) fn mark_closed(&self) {
        self.closed.store(true, Ordering::Release);
        self.tail.clear();
    }

    /// Transactions are as producers have them, and no end of one waits for the high watermark.
    pub(crate) fn set_undecided(&self, producers: &ProducerState) {
        self.change_undecided(|undecided| *undecided = Undecided::of(producers));
    }

    /// A transaction may have begun.
    pub(crate) fn show_open(&self, producers: &ProducerState) {
        self.change_undecided(|undecided| undecided.set_open(producers));
    }

    /// A transaction has ended.
    pub(crate) fn show_end(&self, ended: &EndedTransaction, producers: &ProducerState) {
        self.change_undecided(|undecided| {
            undecided.end(ended.first_offset, ended.marker);
            undecided.set_open(producers);
        });
    }

    fn change_undecided<T>(&self, change: impl FnOnce(&mut Undecided) -> T) -> T {
        let mut undecided = self.undecided.lock();
        let answer = change(&mut undecided);
        self.has_undecided.store(!undecided.is_empty(), Ordering::Release);
        answer
    }

    /// Everything below it is decided: the high watermark, or where an open transaction began before it.
    pub(crate) fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        if !self.has_undecided.load(Ordering::Acquire) {
            return high_watermark;
        }
        let first = self.change_undecided(|undecided| undecided.first(high_watermark));
        first.map_or(high_watermark, |first| first.min(high_watermark))
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

    /// Takes the directory out of service where a read failed because the disk did: it would go on leading what it
    /// cannot give to anybody.
    pub(crate) fn note_failed_read(&self, error: &StorageError) {
        if let Some(disk) = self.disk.get().filter(|_| error.is_failed_read()) {
            disk.fail(&error.to_string());
        }
    }

    /// A sync failed. Even with a full disk: the kernel may have forgotten what it could not write.
    pub(crate) fn sync_failed(&self, error: &StorageError) {
        self.poison(error);
        if let Some(home) = self.home.get() {
            home.note_failed_sync();
        }
    }

    /// Poisons the log on any error: something was begun that is to be done whole, and durably.
    pub(crate) fn guard_all<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        result.inspect_err(|error| self.sync_failed(error))
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
