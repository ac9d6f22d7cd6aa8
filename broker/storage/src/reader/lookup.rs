//! From an offset to the place of the batch that contains it.

use std::sync::Arc;

use super::LogReader;
use crate::{
    error::StorageError,
    segment::{ScanEnd, Scanned, Segment},
};

/// Bytes read at once while looking for a batch: about what lies between two index entries.
pub(super) const LOOKUP_CHUNK: u32 = 4096;

/// How often a read begins anew. Truncations are rare: more than one overtaking a read is not expected.
const MAX_ATTEMPTS: u32 = 16;

/// A batch and where it is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) segment: Arc<Segment>,
    pub(super) batch: Scanned,
    /// Base offset of the next segment: what reaches up to it is damaged.
    pub(super) end: i64,
}

impl LogReader {
    /// An error unless `log start <= offset <= log end`.
    pub(super) fn check_range(&self, offset: i64) -> Result<(), StorageError> {
        self.shared.check_readable()?;
        // End before start: a log that is truncated fully moves both up, and must not look empty on the way.
        let end = self.log_end_offset();
        let start = self.log_start_offset();
        if offset < start || offset > end {
            return Err(StorageError::OffsetOutOfRange { offset, start, end });
        }
        Ok(())
    }

    /// Does `work` until neither a truncation nor a deletion has overtaken it.
    ///
    /// # Errors
    /// Those of `work`, and [`StorageError::OffsetOutOfRange`] where the offset that is looked for went away meanwhile.
    pub(super) fn attempt<T>(
        &self,
        offset: Option<i64>,
        work: impl Fn() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut result;
        let mut attempts = 0;
        loop {
            let before = self.shared.truncations();
            result = work();
            attempts += 1;
            let overtaken = self.shared.truncations() != before
                || matches!(result, Err(StorageError::Deleted { .. }))
                    && self.shared.check_readable().is_ok();
            if !overtaken || attempts == MAX_ATTEMPTS {
                return result.inspect_err(|error| self.shared.note_failed_read(error));
            }
            offset.map_or(Ok(()), |offset| self.check_range(offset))?;
        }
    }

    /// The batch that contains `offset`, or the first one above it. None: the log ends before.
    pub(super) fn find(&self, offset: i64) -> Result<Option<Place>, StorageError> {
        let segments = self.shared.segments();
        // Segments go only after the log start offset has moved. With the segments in hand and the offset still in
        // range, the batch found is not one that follows a deleted one.
        self.check_range(offset)?;
        let first = segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        let ends = segments.iter().skip(first.saturating_add(1)).map(|next| next.base_offset);
        for (segment, end) in segments.iter().skip(first).zip(ends.chain([i64::MAX])) {
            if let Some(batch) = find_in(segment, offset)? {
                if batch.header.last_offset() >= end {
                    let reason = format!(
                        "a batch up to offset {}, in a segment that ends at {end}",
                        batch.header.last_offset()
                    );
                    return Err(segment.corrupt(batch.position, reason));
                }
                return Ok(Some(Place { segment: segment.clone(), batch, end }));
            }
        }
        Ok(None)
    }
}

/// The batch of a segment that contains `offset`, or the first one above it.
fn find_in(segment: &Segment, offset: i64) -> Result<Option<Scanned>, StorageError> {
    let size = segment.size();
    if size == 0 {
        return Ok(None);
    }
    let start = segment.position_before(offset)?;
    match walk(segment, start, size, offset)? {
        Walk::Found(batch) => return Ok(Some(batch)),
        Walk::Ended => return Ok(None),
        Walk::Lost { position, reason } if start == 0 || segment.index_is_repaired() => {
            return Err(segment.corrupt(position, reason));
        }
        Walk::Lost { .. } => {}
    }
    // Either the index or the log is damaged. A new index tells which.
    tracing::warn!(segment = %segment.path().display(), "the index points at no batch; rebuilding it");
    segment.repair_index()?;
    match walk(segment, segment.position_before(offset)?, size, offset)? {
        Walk::Found(batch) => Ok(Some(batch)),
        Walk::Ended => Ok(None),
        Walk::Lost { position, reason } => Err(segment.corrupt(position, reason)),
    }
}

enum Walk {
    Found(Scanned),
    Ended,
    Lost { position: u64, reason: String },
}

fn walk(segment: &Segment, start: u64, size: u64, offset: i64) -> Result<Walk, StorageError> {
    let mut scan = segment.scan(start, size)?.chunk(LOOKUP_CHUNK);
    let mut first = true;
    while let Some(batch) = scan.next_header()? {
        if first && start > 0 && batch.header.base_offset > offset {
            let reason = format!("index entry for offset {offset} points behind it");
            return Ok(Walk::Lost { position: start, reason });
        }
        first = false;
        if batch.header.last_offset() >= offset {
            return Ok(Walk::Found(batch));
        }
    }
    Ok(match scan.end() {
        ScanEnd::Complete => Walk::Ended,
        ScanEnd::Corrupt(reason) => Walk::Lost { position: scan.position(), reason },
    })
}
