//! Sparse indexes of a segment: from offsets to positions (`.index`), from timestamps to offsets (`.timeindex`).

mod entry;
mod table;

pub(crate) use entry::{IndexEntry, OffsetEntry, TimeEntry};
pub(crate) use table::{IndexTable, Lookup};

use std::path::Path;

use crate::error::StorageError;

/// A timestamp and the offset of the last record of the batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexedTimestamp {
    pub(crate) timestamp: i64,
    /// Relative to the segment's base offset.
    pub(crate) relative: i32,
}

impl IndexedTimestamp {
    /// No batch with a timestamp yet.
    pub(crate) const NONE: IndexedTimestamp = IndexedTimestamp { timestamp: -1, relative: 0 };
}

/// Both indexes of one segment and what decides on their next entry.
#[derive(Debug)]
pub(crate) struct SegmentIndex {
    pub(crate) offsets: IndexTable<OffsetEntry>,
    pub(crate) times: IndexTable<TimeEntry>,
    /// The largest timestamp in the segment.
    pub(crate) max_timestamp: IndexedTimestamp,
    /// Bytes appended since the last entry.
    pub(crate) since_entry: u64,
}

impl SegmentIndex {
    /// Indexes of an empty segment.
    pub(crate) fn new() -> SegmentIndex {
        SegmentIndex {
            offsets: IndexTable::new(),
            times: IndexTable::new(),
            max_timestamp: IndexedTimestamp::NONE,
            since_entry: 0,
        }
    }

    /// Indexes as their files have them. An error says in words what is wrong with them; none: a file is missing.
    pub(crate) fn load(
        dir: &Path,
        base_offset: i64,
        size: u64,
    ) -> Result<Option<SegmentIndex>, StorageError> {
        let offsets = IndexTable::<OffsetEntry>::load(dir, base_offset)?;
        let times = IndexTable::<TimeEntry>::load(dir, base_offset)?;
        let (Some(offsets), Some(times)) = (offsets, times) else { return Ok(None) };
        if offsets.last().is_some_and(|entry| entry.relative < 0 || u64::from(entry.position) >= size) {
            return Ok(None);
        }
        // Kafka takes the space of its indexes ahead and cuts it at a clean stop: after a crash zeros follow.
        if offsets.last().is_some_and(|entry| entry.position == 0)
            || times.len() > 1 && times.last().is_some_and(|entry| entry.timestamp == 0)
        {
            return Ok(None);
        }
        // A file that a power cut has emptied looks like an index without entries, but a sealed segment has one.
        if times.last().is_none_or(|entry| entry.relative < 0 || entry.timestamp < 0) {
            return Ok(None);
        }
        let max_timestamp = times.last().map_or(IndexedTimestamp::NONE, TimeEntry::indexed_timestamp);
        Ok(Some(SegmentIndex { offsets, times, max_timestamp, since_entry: 0 }))
    }

    /// Notes a batch that lies at `position`, as Kafka's `LogSegment.append` does.
    pub(crate) fn add(&mut self, batch: IndexedBatch, interval: u32) {
        if batch.max_timestamp > self.max_timestamp.timestamp {
            self.max_timestamp =
                IndexedTimestamp { timestamp: batch.max_timestamp, relative: batch.last_relative };
        }
        if self.since_entry > u64::from(interval) {
            self.offsets.push(OffsetEntry { relative: batch.last_relative, position: batch.position });
            self.add_time_entry();
            self.since_entry = 0;
        }
        self.since_entry = self.since_entry.saturating_add(batch.size);
    }

    /// Brings the time index up to the largest timestamp. Also done when a segment is sealed or closed.
    pub(crate) fn add_time_entry(&mut self) {
        let IndexedTimestamp { timestamp, relative } = self.max_timestamp;
        let last = self.times.last().map_or(IndexedTimestamp::NONE.timestamp, |entry| entry.timestamp);
        if timestamp > last {
            self.times.push(TimeEntry { timestamp, relative });
        }
    }

    /// Writes pending entries to the files.
    pub(crate) fn flush(&mut self, dir: &Path, base_offset: i64) -> Result<(), StorageError> {
        self.offsets.flush(dir, base_offset)?;
        self.times.flush(dir, base_offset)
    }

    /// Number of entries that are not in the files yet.
    pub(crate) fn pending(&self) -> usize {
        self.offsets.pending().saturating_add(self.times.pending())
    }

    /// Whether one of the indexes has no room for another entry and the one at sealing.
    pub(crate) fn is_full(&self, max_bytes: u32) -> bool {
        self.offsets.bytes() >= u64::from(max_bytes).saturating_sub(OffsetEntry::LEN_U64)
            || self.times.bytes() >= u64::from(max_bytes).saturating_sub(TimeEntry::LEN_U64.saturating_mul(2))
    }

    /// Drops entries of batches that lie at `position` or behind, or whose last offset is `relative` or above.
    pub(crate) fn truncate(
        &mut self,
        dir: &Path,
        base_offset: i64,
        relative: i32,
        position: u32,
    ) -> Result<(), StorageError> {
        self.offsets
            .truncate(dir, base_offset, |entry| entry.position < position && entry.relative < relative)?;
        self.times.truncate(dir, base_offset, |entry| entry.relative < relative)?;
        self.max_timestamp = self.times.last().map_or(IndexedTimestamp::NONE, TimeEntry::indexed_timestamp);
        self.since_entry = 0;
        Ok(())
    }
}

/// What the indexes need to know of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexedBatch {
    /// Last offset less the segment's base offset.
    pub(crate) last_relative: i32,
    /// Where it begins in the file.
    pub(crate) position: u32,
    /// Its bytes.
    pub(crate) size: u64,
    /// Its largest timestamp, ms.
    pub(crate) max_timestamp: i64,
}
