//! Reading batches from an offset on.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use milena_records::{Batch, BatchHeader, Batches};

use super::{
    LogReader,
    lookup::{LOOKUP_CHUNK, Place},
};
use crate::{
    error::StorageError,
    fs::{self, failed},
    num::to_u64,
    segment::{ScanEnd, Scanned, Segment},
};

/// Batches as they lie in the log.
#[derive(Clone, Debug, Default)]
pub struct ReadSlice {
    /// Base offset of the first batch, which may be below the offset asked for; the offset itself where there is
    /// no batch.
    pub first_batch_base_offset: i64,
    /// Whole batches.
    pub bytes: Bytes,
}

/// Where batches lie on disk, for a path that does not bring them into memory.
#[derive(Clone, Debug)]
pub struct FileSlice {
    /// The segment file.
    pub file: Arc<File>,
    /// Position of the first batch.
    pub position: u64,
    /// Bytes of whole batches.
    pub len: usize,
    /// Base offset of the first batch.
    pub first_batch_base_offset: i64,
    /// The offset behind the last batch, or that of the batch that follows it, where compaction has left a gap.
    pub next_offset: i64,
    /// Counts changes of bytes that were there: a truncation, before and after. Deletion and compaction change no
    /// file that is open.
    pub changes: Arc<AtomicU64>,
    /// The count before the slice was looked up: another one means that the file may hold something else now.
    pub seen: u64,
}

impl FileSlice {
    /// The bytes; none where they have changed.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self) -> std::io::Result<Option<Bytes>> {
        let mut bytes = Vec::new();
        fs::read_at(&self.file, self.position, self.len, &mut bytes)?;
        let is_current = self.changes.load(Ordering::SeqCst) == self.seen;
        Ok((is_current && bytes.len() == self.len).then(|| bytes.into()))
    }
}

impl LogReader {
    /// Whole batches from the one that contains `offset` (or the next one, where compaction has left a gap), all
    /// below `up_to` (the high watermark, say), in at most `max_bytes`; with `min_one_batch` the first one whatever
    /// its size. A read ends with the segment.
    ///
    /// # Errors
    /// [`StorageError::OffsetOutOfRange`], [`StorageError::Corrupt`], or the file cannot be read.
    pub fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        up_to: i64,
        min_one_batch: bool,
    ) -> Result<ReadSlice, StorageError> {
        self.attempt(Some(offset), || self.try_read(offset, max_bytes, up_to, min_one_batch))
    }

    fn try_read(
        &self,
        offset: i64,
        max_bytes: usize,
        up_to: i64,
        min_one: bool,
    ) -> Result<ReadSlice, StorageError> {
        self.check_range(offset)?;
        let empty = ReadSlice { first_batch_base_offset: offset, bytes: Bytes::new() };
        let up_to = up_to.min(self.log_end_offset());
        if offset >= up_to || (max_bytes == 0 && !min_one) {
            return Ok(empty);
        }
        let Some(place) = self.find(offset)? else { return Ok(empty) };
        let first = &place.batch.header;
        let first_len = first.size_in_bytes();
        if first.last_offset() >= up_to || (first_len > max_bytes && !min_one) {
            return Ok(empty);
        }
        let size = place.segment.size();
        let available = usize::try_from(size.saturating_sub(place.batch.position)).unwrap_or(usize::MAX);
        let wanted = max_bytes.max(first_len).min(available);
        let mut bytes = Vec::new();
        let path = place.segment.path();
        let file = place.segment.file()?;
        fs::read_at(&file, place.batch.position, wanted, &mut bytes).map_err(failed("read", &path))?;
        let whole = whole_batches(&place, &bytes, up_to)?;
        bytes.truncate(whole);
        Ok(ReadSlice { first_batch_base_offset: first.base_offset, bytes: bytes.into() })
    }

    /// As [`LogReader::read`], but says where the batches lie instead of reading them: what it costs does not
    /// depend on how much it finds. Checksums of bytes that this process did not write are verified the first time.
    /// None: nothing to read.
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn locate(
        &self,
        offset: i64,
        max_bytes: usize,
        up_to: i64,
        min_one_batch: bool,
    ) -> Result<Option<FileSlice>, StorageError> {
        let located =
            self.attempt(Some(offset), || self.try_locate(offset, max_bytes, up_to, min_one_batch))?;
        Ok(located.map(|(slice, reaches_end)| {
            if reaches_end {
                self.note_tail_reader();
            }
            slice
        }))
    }

    /// As [`LogReader::locate`] up to the log's end, at least one batch, for a follower: it is sent what is in files, and
    /// nothing has to stay in memory for it.
    ///
    /// # Errors
    /// As [`LogReader::read`].
    pub fn locate_for_follower(
        &self,
        offset: i64,
        max_bytes: usize,
    ) -> Result<Option<FileSlice>, StorageError> {
        let located = self.attempt(Some(offset), || self.try_locate(offset, max_bytes, i64::MAX, true))?;
        Ok(located.map(|(slice, _)| slice))
    }

    /// And whether the slice reaches up to the end of the log.
    fn try_locate(
        &self,
        offset: i64,
        max_bytes: usize,
        up_to: i64,
        min_one_batch: bool,
    ) -> Result<Option<(FileSlice, bool)>, StorageError> {
        let changes = self.shared.changes();
        let seen = changes.load(Ordering::SeqCst);
        self.check_range(offset)?;
        let up_to = up_to.min(self.log_end_offset());
        if offset >= up_to || (max_bytes == 0 && !min_one_batch) {
            return Ok(None);
        }
        let Some(Place { segment, batch, end }) = self.find(offset)? else { return Ok(None) };
        let is_last = end == i64::MAX;
        let up_to = up_to.min(end);
        let first_len = batch.header.size_in_bytes();
        if !is_below(&batch.header, up_to) || (first_len > max_bytes && !min_one_batch) {
            return Ok(None);
        }
        let most = to_u64(max_bytes.max(first_len));
        let (end, next_offset) =
            end_of_batches(&segment, &batch, batch.position.saturating_add(most), up_to)?;
        verify(&segment, batch.position, end)?;
        let slice = FileSlice {
            file: segment.file()?,
            position: batch.position,
            len: usize::try_from(end.saturating_sub(batch.position)).unwrap_or(usize::MAX),
            first_batch_base_offset: batch.header.base_offset,
            next_offset,
            changes,
            seen,
        };
        Ok(Some((slice, is_last && end >= segment.size())))
    }
}

/// Where the last whole batch ends that lies below `limit` in the file and below offset `up_to`, and the offset that
/// follows; `first` does.
fn end_of_batches(
    segment: &Segment,
    first: &Scanned,
    limit: u64,
    up_to: i64,
) -> Result<(u64, i64), StorageError> {
    let only = (first.end(), first.header.next_offset());
    if first.end() >= limit.min(segment.size()) {
        return Ok(only);
    }
    let near = segment.position_of_batch_within(limit, up_to)?;
    if near > first.end() {
        match walk_to_end(segment, near, limit, up_to)? {
            Some(end) => return Ok(end),
            // The index points at no batch: the batches themselves tell.
            None => tracing::warn!(segment = %segment.path().display(), "the index points at no batch"),
        }
    }
    let end = walk_to_end(segment, first.end(), limit, up_to)?;
    Ok(end.filter(|(end, _)| *end > first.end()).unwrap_or(only))
}

/// None where no batch begins at `from`.
fn walk_to_end(
    segment: &Segment,
    from: u64,
    limit: u64,
    up_to: i64,
) -> Result<Option<(u64, i64)>, StorageError> {
    let size = segment.size();
    let mut end = None;
    let mut scan = segment.scan(from, size)?.chunk(LOOKUP_CHUNK);
    while end.is_none_or(|(end, _)| end < limit.min(size)) {
        let Some(next) = scan.next_header()? else { break };
        if next.end() > limit || !is_below(&next.header, up_to) {
            return Ok(end.or(Some((from, next.header.base_offset))));
        }
        end = Some((next.end(), next.header.next_offset()));
    }
    Ok(end)
}

/// Verifies checksums of what this process did not write, the first time that it is read.
fn verify(segment: &Segment, from: u64, to: u64) -> Result<(), StorageError> {
    if to <= segment.verified() {
        return Ok(());
    }
    let mut scan = segment.scan(from.max(segment.verified()), to)?;
    while scan.next_verified()?.is_some() {}
    let position = scan.position();
    match scan.end() {
        ScanEnd::Complete => {
            segment.set_verified(from, to);
            Ok(())
        }
        ScanEnd::Corrupt(reason) => Err(segment.corrupt(position, reason)),
    }
}

/// Bytes of the whole batches below `up_to` at the start of `bytes`, as far as their offsets rise. Checksums of bytes
/// that this process did not write are verified the first time that they are read.
fn whole_batches(place: &Place, bytes: &[u8], up_to: i64) -> Result<usize, StorageError> {
    let segment = &place.segment;
    let start = place.batch.position;
    let verified = segment.verified();
    let mut batches = Batches::new(bytes);
    let mut end = 0usize;
    let up_to = up_to.min(place.end);
    let mut next_offset = i64::MIN;
    while let Some(Ok(batch)) = batches.next() {
        let position = start.saturating_add(to_u64(end));
        if !is_below(&batch.header, up_to) || batch.header.base_offset < next_offset {
            break;
        }
        next_offset = batch.header.next_offset();
        if position >= verified {
            check(&batch).map_err(|reason| segment.corrupt(position, reason))?;
        }
        end = batches.position();
    }
    segment.set_verified(start, start.saturating_add(to_u64(end)));
    Ok(end)
}

fn is_below(header: &BatchHeader, up_to: i64) -> bool {
    header.last_offset() < up_to
}

fn check(batch: &Batch<'_>) -> Result<(), String> {
    batch.verify_crc().map_err(|error| error.to_string())
}
