//! Going over the batches of a segment file, by headers alone or with checksums.

use std::{fs::File, path::PathBuf, sync::Arc};

use milena_records::{Batch, BatchHeader, HEADER_LEN, RecordsError};

use crate::{
    error::StorageError,
    fs::{self, failed},
    num::{to_u64, to_usize},
};

/// Bytes read at once where batches follow each other closely.
const CHUNK: u32 = 64 << 10;

/// A batch that a scan has found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanned {
    /// Where it begins in the file.
    pub(crate) position: u64,
    /// Its header.
    pub(crate) header: BatchHeader,
}

impl Scanned {
    /// Where the next one begins.
    pub(crate) fn end(&self) -> u64 {
        self.position.saturating_add(to_u64(self.header.size_in_bytes()))
    }
}

/// Why a scan went no further.
#[derive(Debug)]
pub(crate) enum ScanEnd {
    /// There are no more bytes.
    Complete,
    /// From the scan's position on there is no whole, right batch.
    Corrupt(String),
}

/// A scan of a range of a segment file.
#[derive(Debug)]
pub(crate) struct Scan {
    file: Arc<File>,
    path: PathBuf,
    position: u64,
    end: u64,
    /// No batch may begin before it.
    next_offset: i64,
    chunk: u32,
    buffer: Vec<u8>,
    buffer_at: u64,
    stopped: Option<String>,
}

impl Scan {
    pub(crate) fn new(file: Arc<File>, path: PathBuf, base_offset: i64, from: u64, to: u64) -> Scan {
        Scan {
            file,
            path,
            position: from,
            end: to,
            next_offset: base_offset,
            chunk: CHUNK,
            buffer: Vec::new(),
            buffer_at: from,
            stopped: None,
        }
    }

    /// Reads so many bytes at once. Small for lookups, which end soon.
    pub(crate) fn chunk(mut self, bytes: u32) -> Scan {
        self.chunk = bytes;
        self
    }

    /// Where the next batch begins, or the bad bytes.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next batch's header; its records are not looked at. None: see [`Scan::end`].
    pub(crate) fn next_header(&mut self) -> Result<Option<Scanned>, StorageError> {
        let Some(scanned) = self.peek()? else { return Ok(None) };
        self.advance(&scanned);
        Ok(Some(scanned))
    }

    /// The next batch, whose checksum is right. None: see [`Scan::end`].
    pub(crate) fn next_verified(&mut self) -> Result<Option<(Scanned, &[u8])>, StorageError> {
        let Some(scanned) = self.peek()? else { return Ok(None) };
        let len = scanned.header.size_in_bytes();
        self.fill(len)?;
        let verdict = match self.bytes(scanned.position, len) {
            Some(bytes) => Batch { header: scanned.header, bytes }.verify_crc(),
            None => Err(RecordsError::Incomplete { needed: len, available: self.buffer.len() }),
        };
        if let Err(error) = verdict {
            self.stopped = Some(error.to_string());
            return Ok(None);
        }
        self.advance(&scanned);
        Ok(self.bytes(scanned.position, len).map(|bytes| (scanned, bytes)))
    }

    /// Why there was no next batch.
    pub(crate) fn end(&self) -> ScanEnd {
        self.stopped.clone().map_or(ScanEnd::Complete, ScanEnd::Corrupt)
    }

    /// As [`Scan::end`], where only a complete scan will do.
    pub(crate) fn finish(self) -> Result<(), StorageError> {
        match self.stopped {
            None => Ok(()),
            Some(reason) => Err(StorageError::Corrupt { path: self.path, position: self.position, reason }),
        }
    }

    fn peek(&mut self) -> Result<Option<Scanned>, StorageError> {
        if self.position >= self.end || self.stopped.is_some() {
            return Ok(None);
        }
        self.fill(HEADER_LEN)?;
        let header = self.bytes(self.position, HEADER_LEN).map(BatchHeader::parse);
        let verdict = match header {
            None => Err("the file ends within a batch's header".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(header)) => self.judge(header),
        };
        match verdict {
            Ok(scanned) => Ok(Some(scanned)),
            Err(reason) => {
                self.stopped = Some(reason);
                Ok(None)
            }
        }
    }

    /// Whether a header can be that of a batch here.
    fn judge(&self, header: BatchHeader) -> Result<Scanned, String> {
        let scanned = Scanned { position: self.position, header };
        if scanned.end() > self.end {
            return Err(format!("the file ends within a batch of {} bytes", header.size_in_bytes()));
        }
        if header.base_offset < self.next_offset {
            return Err(format!(
                "base offset {} where {} was expected",
                header.base_offset, self.next_offset
            ));
        }
        if header.last_offset_delta < 0 || header.next_offset() == i64::MAX {
            return Err(format!("last offset delta {}", header.last_offset_delta));
        }
        Ok(scanned)
    }

    fn advance(&mut self, scanned: &Scanned) {
        self.position = scanned.end();
        self.next_offset = scanned.header.next_offset();
    }

    /// Has `len` bytes from the scan's position in the buffer, fewer only where the range ends.
    fn fill(&mut self, len: usize) -> Result<(), StorageError> {
        let left = self.end.saturating_sub(self.position);
        let wanted = to_u64(len).min(left);
        let buffered_to = self.buffer_at.saturating_add(to_u64(self.buffer.len()));
        if self.buffer_at <= self.position && self.position.saturating_add(wanted) <= buffered_to {
            return Ok(());
        }
        self.buffer.clear();
        self.buffer_at = self.position;
        let read = usize::try_from(left).unwrap_or(usize::MAX).min(len.max(to_usize(self.chunk)));
        fs::read_at(&self.file, self.position, read, &mut self.buffer).map_err(failed("read", &self.path))?;
        Ok(())
    }

    fn bytes(&self, position: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(position.checked_sub(self.buffer_at)?).ok()?;
        self.buffer.get(start..start.checked_add(len)?)
    }
}
