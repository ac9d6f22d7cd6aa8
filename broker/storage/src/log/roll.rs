//! When a segment is full or old, it is sealed and a new one begins.

use std::sync::{Arc, atomic::Ordering};

use milena_records::BatchHeader;

use super::{Log, preallocation::Preallocation};
use crate::{
    error::StorageError,
    index::{IndexTable, OffsetEntry, TimeEntry},
    segment::Segment,
};

/// What decides on rolling by time.
#[derive(Clone, Copy, Debug)]
pub(super) struct RollClock {
    created_ms: i64,
    /// Largest timestamp of the first batch, once known.
    first_timestamp: Option<i64>,
    jitter: u64,
}

impl RollClock {
    /// The active segment was made or opened now.
    pub(super) fn new(now_ms: i64) -> RollClock {
        RollClock { created_ms: now_ms, first_timestamp: None, jitter: rand::random() }
    }

    /// Notes a batch at `position` of the active segment.
    pub(super) fn note(&mut self, position: u64, max_timestamp: i64) {
        if position == 0 {
            self.first_timestamp = Some(max_timestamp);
        }
    }

    /// A part of `segment.jitter.ms` that stays the same for a segment.
    fn jitter_ms(&self, limit_ms: i64) -> i64 {
        let limit = u64::try_from(limit_ms).unwrap_or(0);
        self.jitter.checked_rem(limit).and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0)
    }
}

impl Log {
    /// Rolls where `next` does not fit or the segment is old enough.
    pub(super) fn roll_if_needed(
        &mut self,
        next: &BatchHeader,
        len: u64,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        if self.needs_roll(next, len, now_ms)? {
            // A segment begins where the one before ends, by which recovery sees that nothing is missing between.
            let end = self.log_end_offset();
            let near = next.last_offset().saturating_sub(end) <= i64::from(i32::MAX);
            self.roll_at(if near { end } else { next.base_offset }, now_ms)?;
        }
        Ok(())
    }

    /// Whether `next`, of so many bytes, begins a new segment.
    pub(super) fn needs_roll(
        &mut self,
        next: &BatchHeader,
        len: u64,
        now_ms: i64,
    ) -> Result<bool, StorageError> {
        let size = self.active.size();
        let far = next.last_offset().saturating_sub(self.active.base_offset) > i64::from(i32::MAX);
        if size == 0 || far {
            return Ok(far);
        }
        let max_index = self.config.index_size_max_bytes;
        let full = size.saturating_add(len) > u64::from(self.config.segment_bytes)
            || self.active.with_index(|index| Ok(index.is_full(max_index)))?;
        Ok(full || self.is_old(next.max_timestamp, now_ms)?)
    }

    fn is_old(&mut self, next_timestamp: i64, now_ms: i64) -> Result<bool, StorageError> {
        if self.clock.first_timestamp.is_none() {
            self.clock.first_timestamp = self.active.first_timestamp()?;
        }
        let waited = match self.clock.first_timestamp {
            Some(first) if first >= 0 => next_timestamp.saturating_sub(first),
            _ => now_ms.saturating_sub(self.clock.created_ms),
        };
        let longest = match self.config.cleanup_compact {
            true => self.config.segment_ms.min(self.config.max_compaction_lag_ms),
            false => self.config.segment_ms,
        };
        Ok(waited > longest.saturating_sub(self.clock.jitter_ms(self.config.segment_jitter_ms)))
    }

    /// How long the first record of the active segment has been there, by its own time and by this process's clock,
    /// ms; -1 where there is none. Records that come with old times do not make it older than it is.
    pub(crate) fn active_waits_since(&self, now_ms: i64) -> Result<i64, StorageError> {
        let first = match self.clock.first_timestamp {
            Some(known) => Some(known),
            None => self.active.first_timestamp()?,
        };
        Ok(first.map_or(-1, |first| now_ms.saturating_sub(first.max(self.clock.created_ms))))
    }

    /// Seals the active segment, unless it is empty.
    ///
    /// # Errors
    /// The new segment cannot be made; the log is as before.
    pub fn roll(&mut self, now_ms: i64) -> Result<(), StorageError> {
        self.shared.check_writable()?;
        if self.active.size() == 0 {
            return Ok(());
        }
        self.roll_at(self.log_end_offset(), now_ms)
    }

    fn roll_at(&mut self, base_offset: i64, now_ms: i64) -> Result<(), StorageError> {
        // A start on the same boot looks at the last segment alone: the epochs of the others it has from the checkpoint.
        self.shared.keep_epochs(self.config.epoch_durability())?;
        self.seal()?;
        self.release_space();
        self.take_snapshot(base_offset);
        let segment = Arc::new(self.shared.guard(Segment::create(&self.shared.dir, base_offset))?);
        let mut segments = self.shared.segments().to_vec();
        if self.active.size() == 0 {
            // Nothing was ever written to it: the new segment takes its place.
            segments.pop();
        }
        segments.push(segment.clone());
        self.shared.set_segments(segments);
        self.shared.dir_changed.store(true, Ordering::Release);
        let empty = std::mem::replace(&mut self.active, segment);
        if empty.size() == 0 && empty.base_offset != base_offset {
            empty.mark_removed();
            super::retention::remove_files(&self.shared.dir, empty.base_offset)?;
        }
        self.clock = RollClock::new(now_ms);
        self.preallocation = Preallocation::new(0);
        Ok(())
    }

    /// Gives back disk space that was taken ahead for the active segment.
    pub(super) fn release_space(&mut self) {
        if let Ok(file) = self.active.file() {
            self.preallocation.release(&file, self.active.size());
        }
    }

    /// Brings the index files of the active segment up to its end, as Kafka wants them of a sealed one.
    fn seal(&self) -> Result<(), StorageError> {
        let segment = &self.active;
        let sealed = segment.with_index(|index| {
            index.add_time_entry();
            index.flush(segment.dir(), segment.base_offset)?;
            IndexTable::<OffsetEntry>::ensure_file(segment.dir(), segment.base_offset)?;
            IndexTable::<TimeEntry>::ensure_file(segment.dir(), segment.base_offset)
        });
        self.shared.guard(sealed)
    }

    /// Writes the entries of the active segment that wait in memory. A segment that is too short for an entry gets
    /// no files: the next start reads all of its headers anyway.
    pub(super) fn write_index(&self) -> Result<(), StorageError> {
        let segment = &self.active;
        let written = segment.with_index(|index| {
            if index.offsets.last().is_none() {
                return Ok(());
            }
            index.add_time_entry();
            index.flush(segment.dir(), segment.base_offset)
        });
        self.shared.guard(written)
    }
}
