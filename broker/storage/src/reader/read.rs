//! Reading batches from an offset on.

use std::{fs::File, sync::Arc};

use bytes::Bytes;
use milena_records::{Batch, BatchHeader, Batches};

use super::{LogReader, lookup::Place};
use crate::{
    error::StorageError,
    fs::{self, failed},
    num::to_u64,
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
    pub len: u64,
    /// Base offset of the first batch.
    pub first_batch_base_offset: i64,
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

    /// As [`LogReader::read`], but says where the batches lie instead of reading them. Checksums are not verified.
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
        self.attempt(Some(offset), || self.try_locate(offset, max_bytes, up_to, min_one_batch))
    }

    fn try_locate(
        &self,
        offset: i64,
        max_bytes: usize,
        up_to: i64,
        min_one_batch: bool,
    ) -> Result<Option<FileSlice>, StorageError> {
        self.check_range(offset)?;
        let up_to = up_to.min(self.log_end_offset());
        if offset >= up_to {
            return Ok(None);
        }
        let Some(Place { segment, batch }) = self.find(offset)? else { return Ok(None) };
        let max_bytes = to_u64(max_bytes);
        let mut scan = segment.scan(batch.position, segment.size())?;
        let mut len = 0u64;
        while let Some(next) = scan.next_header()? {
            let with_next = next.end().saturating_sub(batch.position);
            let fits = with_next <= max_bytes || (min_one_batch && len == 0);
            if next.header.last_offset() >= up_to || !fits {
                break;
            }
            len = with_next;
        }
        let slice = || -> Result<FileSlice, StorageError> {
            let first_batch_base_offset = batch.header.base_offset;
            Ok(FileSlice { file: segment.file()?, position: batch.position, len, first_batch_base_offset })
        };
        (len > 0).then(slice).transpose()
    }
}

/// Bytes of the whole batches below `up_to` at the start of `bytes`. Checksums of bytes that this process did not
/// write are verified the first time that they are read.
fn whole_batches(place: &Place, bytes: &[u8], up_to: i64) -> Result<usize, StorageError> {
    let segment = &place.segment;
    let start = place.batch.position;
    let verified = segment.verified();
    let mut batches = Batches::new(bytes);
    let mut end = 0usize;
    while let Some(Ok(batch)) = batches.next() {
        let position = start.saturating_add(to_u64(end));
        if !is_below(&batch.header, up_to) {
            break;
        }
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
