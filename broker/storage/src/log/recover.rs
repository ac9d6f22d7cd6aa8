//! Finding where a segment's whole batches end, and cutting what is behind.

use crate::{
    epochs::LeaderEpochs,
    error::StorageError,
    fs::failed,
    index::{IndexTable, OffsetEntry, SegmentIndex, TimeEntry},
    num::to_u32,
    segment::{IndexBuilder, ScanEnd, Segment, clear_index_files},
};

/// After a crash on the same boot, so many bytes at the end of a segment are verified at least.
const SUSPECT_TAIL: u64 = 4 << 20;

/// How much of a segment is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Headers from the last index entry on: the log was closed in order.
    Headers,
    /// Checksums of the tail: the process died, the operating system did not.
    Tail,
    /// Checksums of the whole segment; its indexes are built anew.
    Whole,
}

/// What was found in a segment.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The offset after the last whole batch.
    pub(super) next_offset: i64,
    /// Bytes whose checksums were verified.
    pub(super) verified_bytes: u64,
    /// Bytes cut from the end, and why.
    pub(super) cut: Option<(u64, String)>,
}

/// Looks at a segment, cuts what is not a whole batch, and brings its indexes up to its end.
pub(super) fn recover_segment(
    segment: &Segment,
    depth: Depth,
    interval: u32,
    epochs: &mut LeaderEpochs,
) -> Result<Found, StorageError> {
    let (start, index) = match depth {
        Depth::Whole => (0, None),
        Depth::Tail => trusted(segment, segment.size().saturating_sub(SUSPECT_TAIL))?,
        Depth::Headers => trusted(segment, u64::MAX)?,
    };
    let attempt = scan_from(segment, depth, start, index, interval, epochs)?;
    if attempt.next_offset > segment.base_offset || start == 0 {
        return Ok(attempt);
    }
    // Even the batch that the index points at is bad: look for the end of what is good from the start.
    scan_from(segment, Depth::Whole, 0, None, interval, epochs)
}

/// The last indexed position up to `limit`, and the indexes cut back to it. None: begin anew.
fn trusted(segment: &Segment, limit: u64) -> Result<(u64, Option<SegmentIndex>), StorageError> {
    let (dir, base) = (segment.dir(), segment.base_offset);
    if segment.size() == 0 {
        return Ok((0, None));
    }
    let Some(mut index) = SegmentIndex::load(dir, base, segment.size())? else { return Ok((0, None)) };
    let Some(entry) = index.offsets.last_where(dir, base, |entry| u64::from(entry.position) <= limit)? else {
        return Ok((0, None));
    };
    let after = entry.relative.saturating_add(1);
    index.truncate(dir, base, after, entry.position.saturating_add(1))?;
    Ok((u64::from(entry.position), Some(index)))
}

fn scan_from(
    segment: &Segment,
    depth: Depth,
    start: u64,
    index: Option<SegmentIndex>,
    interval: u32,
    epochs: &mut LeaderEpochs,
) -> Result<Found, StorageError> {
    let mut found = Found { next_offset: segment.base_offset, ..Found::default() };
    if segment.size() == 0 {
        segment.set_index(SegmentIndex::new());
        return Ok(found);
    }
    if index.is_none() {
        clear_index_files(segment)?;
    }
    let mut builder =
        IndexBuilder::new(segment.base_offset, interval, index.unwrap_or_else(SegmentIndex::new));
    let mut scan = segment.scan(start, segment.size())?;
    let mut good = start;
    let mut reason = None;
    loop {
        let next = if depth == Depth::Headers {
            scan.next_header()?
        } else {
            scan.next_verified()?.map(|(scanned, _)| scanned)
        };
        let Some(batch) = next else { break };
        if !builder.add(&batch) {
            reason =
                Some(format!("offset {} is too far from the segment's first", batch.header.last_offset()));
            break;
        }
        if good == start {
            // The checkpoint may tell of epochs whose records a crash took. The batches know.
            epochs.truncate_from_end(batch.header.base_offset);
        }
        epochs.assign(batch.header.partition_leader_epoch, batch.header.base_offset);
        good = batch.end();
        found.next_offset = batch.header.next_offset();
    }
    if let ScanEnd::Corrupt(why) = scan.end() {
        reason = reason.or(Some(why));
    }
    if depth != Depth::Headers {
        found.verified_bytes = good.saturating_sub(start);
    }
    if let Some(reason) = reason {
        found.cut = Some((segment.size().saturating_sub(good), reason));
        cut(segment, good)?;
    }
    settle_index(segment, builder.into_index(), depth)?;
    if depth != Depth::Headers {
        segment.set_verified(start, good);
    }
    Ok(found)
}

/// Cuts the file, durably: what is appended next must not be followed by old bytes after a power cut.
fn cut(segment: &Segment, size: u64) -> Result<(), StorageError> {
    let file = segment.file()?;
    let path = segment.path();
    file.set_len(size).map_err(failed("truncate", &path))?;
    file.sync_all().map_err(failed("sync", &path))?;
    segment.set_size(size);
    Ok(())
}

fn settle_index(segment: &Segment, mut index: SegmentIndex, depth: Depth) -> Result<(), StorageError> {
    let (dir, base) = (segment.dir(), segment.base_offset);
    if depth == Depth::Whole {
        index.add_time_entry();
        index.flush(dir, base)?;
        IndexTable::<OffsetEntry>::ensure_file(dir, base)?;
        IndexTable::<TimeEntry>::ensure_file(dir, base)?;
    }
    debug_assert!(index.offsets.last().is_none_or(|entry| entry.position < to_u32(segment.size())));
    segment.set_index(index);
    Ok(())
}
