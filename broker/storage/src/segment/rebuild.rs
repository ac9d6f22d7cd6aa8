//! Building a segment's indexes from its batches.

use milena_records::BatchHeader;

use super::{ScanEnd, Scanned, Segment, file_name};
use crate::{
    error::StorageError,
    fs,
    index::{IndexTable, IndexedBatch, OffsetEntry, SegmentIndex, TimeEntry},
    num::{to_u32, to_u64},
};

/// `index.interval.bytes` where a segment is indexed apart from its log's configuration.
const DEFAULT_INTERVAL: u32 = 4096;

/// Collects the index entries of batches in the order in which they lie.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    base_offset: i64,
    interval: u32,
    index: SegmentIndex,
}

impl IndexBuilder {
    /// Goes on with `index`.
    pub(crate) fn new(base_offset: i64, interval: u32, index: SegmentIndex) -> IndexBuilder {
        IndexBuilder { base_offset, interval, index }
    }

    /// Notes a batch; false where its offset is too far from the segment's base.
    pub(crate) fn add(&mut self, batch: &Scanned) -> bool {
        let Some(indexed) = indexed_batch(self.base_offset, &batch.header, batch.position) else {
            return false;
        };
        self.index.add(indexed, self.interval);
        true
    }

    /// The next batch gets an entry, however near the last one is.
    pub(super) fn mark_next(&mut self) {
        self.index.since_entry = u64::MAX;
    }

    /// The result.
    pub(crate) fn into_index(self) -> SegmentIndex {
        self.index
    }
}

/// What the indexes note of a batch at `position`; none where its offset is too far from the segment's base.
pub(crate) fn indexed_batch(base_offset: i64, header: &BatchHeader, position: u64) -> Option<IndexedBatch> {
    Some(IndexedBatch {
        last_relative: i32::try_from(header.last_offset().checked_sub(base_offset)?).ok()?,
        position: to_u32(position),
        size: to_u64(header.size_in_bytes()),
        max_timestamp: header.max_timestamp,
    })
}

/// Replaces the indexes of a sealed segment. It goes as far as there are whole batches: what is behind a corrupt
/// one is reached by nobody.
pub(crate) fn rebuild_index(segment: &Segment) -> Result<SegmentIndex, StorageError> {
    rebuild_index_around_damage(segment, &[])
}

/// As [`rebuild_index`]; where there is no whole batch, it goes on at the next entry of `old` that points at the batch
/// that it names. What lies between is reached by nobody, what is behind stays readable.
pub(super) fn rebuild_index_around_damage(
    segment: &Segment,
    old: &[OffsetEntry],
) -> Result<SegmentIndex, StorageError> {
    let mut builder = IndexBuilder::new(segment.base_offset, DEFAULT_INTERVAL, SegmentIndex::new());
    let (mut next, mut next_offset) = (Some(0), segment.base_offset);
    while let Some(start) = next.take() {
        let mut scan = segment.scan(start, segment.size())?;
        while let Some(batch) = scan.next_header()? {
            if batch.header.base_offset < next_offset || !builder.add(&batch) {
                break;
            }
            next_offset = batch.header.next_offset();
        }
        if let ScanEnd::Corrupt(reason) = scan.end() {
            let position = scan.position();
            next = behind_damage(segment, old, position, next_offset)?;
            tracing::error!(
                segment = %segment.path().display(), position, reason, goes_on_at = ?next,
                "DAMAGE: records in the middle of a log are unreadable, and are not served; look at the disk"
            );
            builder.mark_next();
        }
    }
    let mut index = builder.into_index();
    index.add_time_entry();
    clear_index_files(segment)?;
    index.flush(segment.dir(), segment.base_offset)?;
    IndexTable::<OffsetEntry>::ensure_file(segment.dir(), segment.base_offset)?;
    IndexTable::<TimeEntry>::ensure_file(segment.dir(), segment.base_offset)?;
    // No flush comes by here any more.
    IndexTable::<OffsetEntry>::sync(segment.dir(), segment.base_offset)?;
    IndexTable::<TimeEntry>::sync(segment.dir(), segment.base_offset)?;
    Ok(index)
}

/// Where the first batch behind `position` begins that an entry of `old` names rightly.
fn behind_damage(
    segment: &Segment,
    old: &[OffsetEntry],
    position: u64,
    next_offset: i64,
) -> Result<Option<u64>, StorageError> {
    for entry in old.iter().filter(|entry| u64::from(entry.position) > position) {
        let at = u64::from(entry.position);
        let found = segment.scan(at, segment.size())?.chunk(0).next_header()?;
        let last = segment.base_offset.saturating_add(i64::from(entry.relative));
        if found.is_some_and(|found| {
            found.header.last_offset() == last && found.header.base_offset >= next_offset
        }) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Removes both index files.
pub(crate) fn clear_index_files(segment: &Segment) -> Result<(), StorageError> {
    if !segment.expect_index_files() {
        return Ok(());
    }
    for suffix in ["index", "timeindex"] {
        fs::remove(&segment.dir().join(file_name(segment.base_offset, suffix)))?;
    }
    Ok(())
}
