//! Making a log durable.

use std::sync::{Arc, atomic::Ordering};

use super::{Log, shared::Shared};
use crate::{
    epochs,
    error::StorageError,
    fs::{self, Durability, failed},
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
    /// Syncs the files. The answer is the recovery point: everything below it is on disk.
    ///
    /// # Errors
    /// A sync failed. The log takes no more writes: what the kernel dropped cannot be known.
    pub fn run(self) -> Result<i64, StorageError> {
        match self.sync() {
            // A truncation or the topic's deletion took the files: nothing of them is promised any more.
            Ok(()) | Err(StorageError::Deleted { .. }) => {}
            Err(error) => {
                // Even a full disk: after a failed sync the kernel may have forgotten what it could not write.
                self.shared.poison(&error);
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
                IndexTable::<TimeEntry>::sync(segment.dir(), segment.base_offset)
            });
            // Retention may have taken it meanwhile.
            match synced {
                Err(StorageError::Deleted { .. }) => {}
                other => other?,
            }
        }
        sync_log(active)?;
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
    fs::sync_data(&*segment.file()?).map_err(failed("sync", &segment.path()))
}

impl Log {
    /// What is to be synced; none if everything is on disk. Take it under the log's lock, run it without.
    pub fn flush_task(&self) -> Option<FlushTask> {
        let point = self.recovery_point();
        let up_to = self.log_end_offset();
        if point >= up_to || self.shared.check_writable().is_err() {
            return None;
        }
        let segments = self.shared.segments();
        let first = segments.partition_point(|segment| segment.base_offset <= point).saturating_sub(1);
        Some(FlushTask {
            shared: self.shared.clone(),
            segments: segments.get(first..).unwrap_or_default().to_vec(),
            up_to,
            truncations: self.shared.truncations(),
        })
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
        if let Some(content) = changes {
            epochs::store(&self.shared.dir, &content, Durability::Process)?;
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
