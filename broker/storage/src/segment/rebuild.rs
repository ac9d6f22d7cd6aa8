//! Building a segment's indexes from its batches.

use milena_records::BatchHeader;

use super::{Scanned, Segment, file_name};
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
    let mut scan = segment.scan(0, segment.size())?;
    let mut builder = IndexBuilder::new(segment.base_offset, DEFAULT_INTERVAL, SegmentIndex::new());
    while let Some(batch) = scan.next_header()? {
        if !builder.add(&batch) {
            break;
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
