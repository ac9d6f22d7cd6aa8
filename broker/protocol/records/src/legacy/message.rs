//! One message, read in place or written.

use crate::header::{LOG_OVERHEAD, MAGIC_V2, NO_TIMESTAMP};
use crate::reader::Reader;
use crate::{Attributes, Fault, RecordsError, TimestampType, crc, entry_len, magic_of};

use super::MessageFormat;

/// Where the length field lies.
const LENGTH_AT: usize = 8;
/// Where the CRC-32 lies.
const CRC_AT: usize = LOG_OVERHEAD;
/// Where the bytes that the CRC covers begin: at the magic.
const COVERED_FROM: usize = CRC_AT + 4;

/// One message, which may be a wrapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its offset. Inside a wrapper of magic 1 it is relative to the first inner message; a wrapper has that of its
    /// last inner message. Producers write what they like.
    pub offset: i64,
    /// Magic 0 or 1.
    pub format: MessageFormat,
    /// Codec and timestamp type.
    pub attributes: Attributes,
    /// Its timestamp in milliseconds; [`NO_TIMESTAMP`] for magic 0.
    pub timestamp: i64,
    /// Its key, which may be null.
    pub key: Option<&'a [u8]>,
    /// Its value, which may be null. For a wrapper, the compressed set.
    pub value: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Reads the message at the start of `bytes`, checks its CRC, and gives its size too.
    ///
    /// # Errors
    /// [`RecordsError::Incomplete`]; a length, magic, CRC or field that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), RecordsError> {
        let size = entry_len(bytes)?;
        let entry =
            bytes.get(..size).ok_or(RecordsError::Incomplete { needed: size, available: bytes.len() })?;
        let format = magic_of(entry)
            .and_then(MessageFormat::from_magic)
            .ok_or(RecordsError::UnexpectedMagic { magic: MAGIC_V2 })?;
        verify_crc(entry)?;
        let message =
            Self::read(entry, format).map_err(|fault| RecordsError::Malformed { index: 0, fault })?;
        Ok((message, size))
    }

    fn read(entry: &'a [u8], format: MessageFormat) -> Result<Self, Fault> {
        let mut fields = Reader::new(entry);
        let offset = fields.i64()?;
        let _length_crc_magic = fields.take(4 + 4 + 1)?;
        let attributes = Attributes(i16::from(fields.u8()?));
        let timestamp = match format {
            MessageFormat::V0 => NO_TIMESTAMP,
            MessageFormat::V1 => fields.i64()?,
        };
        let key = fields.nullable_bytes_i32()?;
        let value = fields.nullable_bytes_i32()?;
        match fields.remaining() {
            0 => Ok(Self { offset, format, attributes, timestamp, key, value }),
            left => Err(Fault::LeftOver(left)),
        }
    }

    /// Whose clock the timestamp comes from. Magic 0 knows no difference.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        match self.format {
            MessageFormat::V0 => TimestampType::CreateTime,
            MessageFormat::V1 => self.attributes.timestamp_type(),
        }
    }

    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`RecordsError::TooLarge`] if a length does not fit the format.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), RecordsError> {
        let start = out.len();
        out.extend_from_slice(&self.offset.to_be_bytes());
        // Length and CRC are known at the end.
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.format.magic().to_be_bytes());
        let [_, attributes] = self.attributes.0.to_be_bytes();
        out.push(attributes);
        if self.format == MessageFormat::V1 {
            out.extend_from_slice(&self.timestamp.to_be_bytes());
        }
        put_nullable(out, self.key)?;
        put_nullable(out, self.value)?;
        let entry = out.get_mut(start..).unwrap_or_default();
        let length = length_field(entry.len() - LOG_OVERHEAD)?;
        set_field(entry, LENGTH_AT, length.to_be_bytes());
        set_field(entry, CRC_AT, covered_crc(entry).to_be_bytes());
        Ok(())
    }
}

fn covered_crc(entry: &[u8]) -> u32 {
    crc::crc32(entry.get(COVERED_FROM..).unwrap_or_default())
}

fn verify_crc(entry: &[u8]) -> Result<(), RecordsError> {
    let stored = entry.get(CRC_AT..).and_then(<[u8]>::first_chunk).copied();
    let stored = u32::from_be_bytes(stored.unwrap_or_default());
    let computed = covered_crc(entry);
    if stored == computed { Ok(()) } else { Err(RecordsError::CrcMismatch { stored, computed }) }
}

fn set_field(entry: &mut [u8], at: usize, field: [u8; 4]) {
    if let Some(place) = entry.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = field;
    }
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Result<(), RecordsError> {
    match bytes {
        None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        Some(bytes) => {
            out.extend_from_slice(&length_field(bytes.len())?.to_be_bytes());
            out.extend_from_slice(bytes);
        }
    }
    Ok(())
}

fn length_field(size: usize) -> Result<i32, RecordsError> {
    i32::try_from(size).map_err(|_| RecordsError::TooLarge { size, limit: crate::MAX_LENGTH })
}

/// The messages of a set as they lie there; wrappers are not opened. It ends after the first error.
#[derive(Debug, Clone)]
pub struct MessageSet<'a> {
    rest: &'a [u8],
}

impl<'a> MessageSet<'a> {
    /// The messages of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for MessageSet<'a> {
    type Item = Result<Message<'a>, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let parsed = Message::parse(self.rest);
        self.rest = match &parsed {
            Ok((_, size)) => self.rest.get(*size..).unwrap_or_default(),
            Err(_) => &[],
        };
        Some(parsed.map(|(message, _)| message))
    }
}
