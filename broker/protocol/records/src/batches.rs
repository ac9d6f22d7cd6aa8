//! Walking a buffer or file of record batches.

use crate::header::{CRC_START, LOG_OVERHEAD, MAGIC_V2, MIN_BATCH_LENGTH, PREFIX_LEN};
use crate::reader::Reader;
use crate::{BatchHeader, RecordsError, crc};

/// The smallest legal length field of a message of magic 0 and 1: CRC, magic, attributes, (timestamp,) two lengths.
const MIN_MESSAGE_LENGTH: [i32; 2] = [14, 22];

/// Bytes of the entry that starts with `prefix`, of any magic. [`PREFIX_LEN`] bytes are enough, so that a file can
/// be walked without its bodies.
///
/// # Errors
/// [`RecordsError::Incomplete`] for a shorter prefix; a length or magic that no entry has.
pub fn entry_len(prefix: &[u8]) -> Result<usize, RecordsError> {
    let incomplete = RecordsError::Incomplete { needed: PREFIX_LEN, available: prefix.len() };
    let Some(length) = prefix.get(8..LOG_OVERHEAD).and_then(|field| Reader::new(field).i32().ok()) else {
        return Err(incomplete);
    };
    let magic = match prefix.get(PREFIX_LEN - 1) {
        Some(byte) => i8::from_be_bytes([*byte]),
        // The smallest minimum holds for every magic.
        None if length < MIN_MESSAGE_LENGTH[0] => 0,
        None => return Err(incomplete),
    };
    let minimum = match magic {
        0 => MIN_MESSAGE_LENGTH[0],
        1 => MIN_MESSAGE_LENGTH[1],
        MAGIC_V2 => MIN_BATCH_LENGTH,
        _ => return Err(RecordsError::UnknownMagic { magic }),
    };
    match usize::try_from(length) {
        Ok(len) if length >= minimum => Ok(len + LOG_OVERHEAD),
        _ => Err(RecordsError::LengthTooSmall { length, minimum }),
    }
}

/// The magic byte of the entry that starts with `prefix`, if it reaches that far.
#[must_use]
pub fn magic_of(prefix: &[u8]) -> Option<i8> {
    prefix.get(PREFIX_LEN - 1).map(|byte| i8::from_be_bytes([*byte]))
}

/// One whole batch of magic 2.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Its header.
    pub header: BatchHeader,
    /// All its bytes, header included.
    pub bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The batch at the start of `bytes`. Bytes after it are left out.
    ///
    /// # Errors
    /// As [`BatchHeader::parse`]; [`RecordsError::Incomplete`] if the batch is cut short.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordsError> {
        let header = BatchHeader::parse(bytes)?;
        let needed = header.size_in_bytes();
        let bytes = bytes.get(..needed).ok_or(RecordsError::Incomplete { needed, available: bytes.len() })?;
        Ok(Self { header, bytes })
    }

    /// Checks the CRC-32C.
    ///
    /// # Errors
    /// [`RecordsError::CrcMismatch`].
    #[inline]
    pub fn verify_crc(&self) -> Result<(), RecordsError> {
        let computed = crc::crc32c(self.bytes.get(CRC_START..).unwrap_or_default());
        if computed == self.header.crc {
            return Ok(());
        }
        Err(RecordsError::CrcMismatch { stored: self.header.crc, computed })
    }
}

/// The batches of a buffer, one after the other. It ends after the first error, at which [`Batches::position`]
/// is the end of the last whole batch. Checksums are left to [`Batch::verify_crc`].
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// The batches of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, failed: false }
    }

    /// Bytes of the batches that have been yielded.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.position..).filter(|rest| !rest.is_empty() && !self.failed)?;
        let batch = Batch::parse(rest);
        match &batch {
            Ok(batch) => self.position += batch.bytes.len(),
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}
