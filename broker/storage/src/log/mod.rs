//! The log of one partition: the writer's side.

mod append;
mod flush;
mod open;
mod preallocation;
mod recover;
mod replay;
mod retention;
mod roll;
mod shared;
mod snapshots;
mod truncate;
mod turn;
mod wipe;

pub(crate) use replay::marker_of;
pub(crate) use shared::Shared;

pub use append::{AppendInfo, InMemory};
pub use flush::FlushTask;
pub use open::{LogStart, OpenMode, RecoveryReport};
pub use retention::Garbage;

use std::{path::Path, sync::Arc};

use uuid::Uuid;

use crate::{
    config::LogConfig,
    epochs::{EpochEnd, EpochEntry},
    error::StorageError,
    metadata,
    producer::ProducerState,
    reader::LogReader,
    segment::Segment,
    tail::TailBudget,
};

use preallocation::Preallocation;
use roll::RollClock;
use snapshots::Snapshots;

/// The log of one partition. Whoever appends holds it by `&mut`; readers go by [`Log::reader`] and wait for
/// nobody.
#[derive(Debug)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Arc<LogConfig>,
    topic_id: Option<Uuid>,
    active: Arc<Segment>,
    pub(crate) producers: ProducerState,
    /// Records below it have been compacted, as far as this process knows.
    pub(crate) first_dirty: i64,
    snapshots: Snapshots,
    clock: RollClock,
    preallocation: Preallocation,
}

impl Log {
    /// A reader of this log. Clones are cheap.
    pub fn reader(&self) -> LogReader {
        LogReader::new(self.shared.clone())
    }

    /// The log's directory.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The topic's id, where `partition.metadata` names it.
    pub fn topic_id(&self) -> Option<Uuid> {
        self.topic_id
    }

    /// Writes down which topic the log belongs to, where that is not known: a power cut may have taken the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_topic_id(&mut self, id: Uuid) -> Result<(), StorageError> {
        if self.topic_id.is_none() {
            metadata::write(&self.shared.dir, id)?;
            self.topic_id = Some(id);
        }
        Ok(())
    }

    /// The settings in force.
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Replaces the settings; they hold from the next append or retention on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
        if self.config.cleanup_compact {
            self.shared.tail.clear();
        }
        if self.unflushed_records() > 0 {
            self.ask_for_flush();
        }
    }

    /// The first offset that may be read.
    pub fn log_start_offset(&self) -> i64 {
        self.shared.log_start_offset()
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> i64 {
        self.shared.log_end_offset()
    }

    /// Everything below this offset is on disk, not only with the operating system.
    pub fn recovery_point(&self) -> i64 {
        *self.shared.recovery_point.lock()
    }

    /// Bytes of all segments.
    pub fn size_in_bytes(&self) -> u64 {
        self.shared.segments().iter().map(|segment| segment.size()).sum()
    }

    /// What producers wrote last.
    pub fn producers(&self) -> &ProducerState {
        &self.producers
    }

    /// Forgets idle producers (`producer.id.expiration.ms`).
    pub fn expire_producers(&mut self, now_ms: i64) {
        self.producers.expire(now_ms, self.config.producer_id_expiration_ms);
    }

    /// The newest leader epoch that wrote to the log.
    pub fn latest_epoch(&self) -> Option<EpochEntry> {
        self.shared.epochs.read().latest()
    }

    /// Where a leader epoch ends; none where nothing is known about it.
    pub fn epoch_end_offset(&self, epoch: i32) -> Option<EpochEnd> {
        self.shared.epoch_end_offset(epoch)
    }

    /// The leader epoch that wrote `offset`.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.shared.epochs.read().epoch_at(offset)
    }

    /// Notes that `epoch` leads from the log's end on, before its first record.
    ///
    /// # Errors
    /// The checkpoint cannot be written.
    pub fn assign_epoch(&mut self, epoch: i32) -> Result<(), StorageError> {
        self.shared.check_writable()?;
        self.note_epoch(epoch, self.log_end_offset())
    }

    /// Keeps its last batches in memory within that budget, while somebody reads at its end. The first budget stays.
    pub fn share_tail_budget(&self, budget: &Arc<TailBudget>) {
        self.shared.tail.share(budget);
    }

    /// The budget for its last batches, where it has one.
    pub fn tail_budget(&self) -> Option<&Arc<TailBudget>> {
        self.shared.tail.budget()
    }

    /// Closes files that nobody used since the last call, and lets go of last batches that nobody has read.
    pub fn close_idle_files(&self) {
        self.shared.segments().iter().for_each(|segment| segment.close_if_idle());
        self.shared.tail.clear_if_idle();
    }
}
