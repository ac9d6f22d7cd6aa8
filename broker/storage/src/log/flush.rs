//! Making a log durable.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Log, shared::Shared};
use crate::{
    epochs,
    error::StorageError,
    fs::{self, Durability, not_synced},
    index::{IndexTable, OffsetEntry, TimeEntry},
    segment::Segment,
};

/// A flush that can run without the log's lock.
#[derive(Debug)]
#[must_use = "nothing is durable before it has run"]
pub struct FlushTask {
    shared: Arc<Shared>,
    /// Those with unflushed records, the active one last.
    segments: Vec<Arc<Segment>>,
    up_to: i64,
    truncations: u64,
}

impl FlushTask {
    /// What of a log is to be synced; none if everything is on disk, or nothing can be written any more.
    pub(crate) fn of(shared: &Arc<Shared>) -> Option<FlushTask> {
        let truncations = shared.truncations();
        let point = *shared.recovery_point.lock();
        let up_to = shared.log_end_offset();
        if point >= up_to || shared.check_writable().is_err() {
            return None;
        }
        let segments = shared.segments();
        // One that ends at the recovery point may have got its indexes since.
        let first = segments.partition_point(|segment| segment.base_offset < point).saturating_sub(1);
        let segments = segments.get(first..).unwrap_or_default().to_vec();
        Some(FlushTask { shared: shared.clone(), segments, up_to, truncations })
    }

    /// Number of segments to sync.
    pub(crate) fn files(&self) -> usize {
        self.segments.len()
    }

    /// Syncs the files. The answer is the recovery point: everything below it is on disk.
    ///
    /// # Errors
    /// A sync failed. The log takes no more writes: what the kernel dropped cannot be known.
    pub fn run(self) -> Result<i64, StorageError> {
        let synced = self.sync();
        self.settle(synced)
    }

    /// Writes what is to be synced and is only in memory, for who syncs the whole file system next.
    pub(crate) fn prepare(&self) -> Result<(), StorageError> {
        self.segments.iter().try_for_each(|segment| segment.write_aborted())?;
        let epochs = self.shared.epochs.write().take_unsynced();
        if let Some(content) = epochs {
            epochs::store(&self.shared.dir, &content, Durability::Process)?;
        }
        self.shared.dir_changed.store(false, Ordering::Release);
        self.shared.dir_synced.store(true, Ordering::Release);
        Ok(())
    }

    /// Notes how the sync ended. The answer is the recovery point.
    pub(crate) fn settle(self, synced: Result<(), StorageError>) -> Result<i64, StorageError> {
        match synced {
            // A truncation or the topic's deletion took the files: nothing of them is promised any more.
            Ok(()) | Err(StorageError::Deleted { .. }) => {}
            Err(error) => {
                self.shared.sync_failed(&error);
                return Err(error);
            }
        }
        let mut point = self.shared.recovery_point.lock();
        if self.shared.truncations() == self.truncations && self.shared.check_readable().is_ok() {
            *point = self.up_to.max(*point);
        }
        Ok(*point)
    }

    fn sync(&self) -> Result<(), StorageError> {
        let Some((active, sealed)) = self.segments.split_last() else { return Ok(()) };
        for segment in sealed {
            let synced = sync_log(segment).and_then(|()| {
                IndexTable::<OffsetEntry>::sync(segment.dir(), segment.base_offset)?;
                IndexTable::<TimeEntry>::sync(segment.dir(), segment.base_offset)?;
                segment.sync_aborted()
            });
            // Retention may have taken it meanwhile.
            match synced {
                Err(StorageError::Deleted { .. }) => {}
                other => other?,
            }
        }
        sync_log(active)?;
        active.sync_aborted()?;
        let epochs = self.shared.epochs.write().take_unsynced();
        if let Some(content) = epochs {
            epochs::store(&self.shared.dir, &content, Durability::Machine)?;
        }
        if self.shared.dir_changed.swap(false, Ordering::AcqRel) {
            fs::sync_dir(&self.shared.dir)?;
        }
        if !self.shared.dir_synced.swap(true, Ordering::AcqRel)
            && let Some(parent) = self.shared.dir.parent()
        {
            crate::metadata::sync(&self.shared.dir)?;
            fs::sync_dir(parent)?;
        }
        Ok(())
    }
}

fn sync_log(segment: &Segment) -> Result<(), StorageError> {
    fs::sync_data(&*segment.file()?).map_err(not_synced("sync", &segment.path()))
}

impl Log {
    /// What is to be synced; none if everything is on disk. Take it under the log's lock, run it without.
    pub fn flush_task(&self) -> Option<FlushTask> {
        FlushTask::of(&self.shared)
    }

    /// Asks for a flush where `flush.messages` or `flush.ms` call for one. It happens in the background, together
    /// with those of other logs of the directory; who waits for it listens ([`Log::on_flush`]).
    pub fn ask_for_flush(&self) {
        let (messages, ms) = (self.config.flush_messages, self.config.flush_ms);
        if (messages, ms) == (i64::MAX, i64::MAX) {
            return;
        }
        let Some(disk) = self.shared.disk.get() else { return };
        if self.unflushed_records() >= messages {
            disk.flush(&self.shared);
        } else if ms != i64::MAX {
            let delay = u64::try_from(ms).unwrap_or(0);
            disk.flush_in(&self.shared, Duration::from_millis(delay));
        }
    }

    /// Asks for a flush where a sealed segment is not known to be on disk. The recovery point follows the segments, so
    /// that a start after a power cut reads few of them.
    pub fn flush_sealed(&self) {
        if let Some(disk) = self.shared.disk.get().filter(|_| self.recovery_point() < self.active.base_offset)
        {
            disk.flush(&self.shared);
        }
    }

    /// Who is told that a flush has ended, well or badly, from the thread that does it. The first one stays.
    pub fn on_flush(&self, listener: impl Fn() + Send + Sync + 'static) {
        self.shared.flush.listen(Box::new(listener));
    }

    /// Records below are as durable as the topic asks: on disk where `flush.messages` calls for that, with the
    /// operating system else.
    pub fn durable_end(&self) -> i64 {
        let end = self.log_end_offset();
        if self.config.flush_messages == i64::MAX {
            return end;
        }
        let point = self.recovery_point();
        if end.saturating_sub(point) >= self.config.flush_messages { point } else { end }
    }

    /// Syncs the log now. The answer is the recovery point.
    ///
    /// # Errors
    /// As [`FlushTask::run`].
    pub fn flush(&mut self) -> Result<i64, StorageError> {
        self.shared.check_writable()?;
        self.flush_task().map_or(Ok(self.recovery_point()), FlushTask::run)
    }

    /// Records that are not on disk yet, for `flush.messages`.
    pub fn unflushed_records(&self) -> i64 {
        self.log_end_offset().saturating_sub(self.recovery_point())
    }

    /// Writes what the next start needs to scan nothing, and takes no more writes. Nothing is synced: that is done
    /// for all logs together ([`LogDir::mark_clean_shutdown`](crate::LogDir::mark_clean_shutdown)). The answer is
    /// the recovery point of before.
    ///
    /// # Errors
    /// Something could not be written; the data directory must not be marked as cleanly shut down then.
    pub fn close_clean(&mut self) -> Result<i64, StorageError> {
        self.shared.check_writable()?;
        self.write_index()?;
        self.release_space();
        let changes = self.shared.epochs.write().take_changes();
        if let Some(changes) = changes {
            epochs::store_changes(&self.shared.dir, &changes, Durability::Process)?;
        }
        let end = self.log_end_offset();
        if end > 0 && !self.snapshots.contains(end) {
            self.take_snapshot(end);
        }
        self.shared.mark_closed();
        Ok(self.recovery_point())
    }

    /// The log's directory is about to be deleted: nobody reads or writes it any more.
    pub fn delete(&mut self) {
        self.shared.mark_deleted();
        self.shared.segments().iter().for_each(|segment| segment.mark_removed());
    }
}
