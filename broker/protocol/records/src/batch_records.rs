//! The records of a batch, decompressed where they must be.

use std::borrow::Cow;

use bytes::Bytes;

use crate::compression::{self, Lz4Header};
use crate::header::{HEADER_LEN, LOG_OVERHEAD, MAX_LENGTH};
use crate::reader::Reader;
use crate::record::RawRecord;
use crate::{Batch, BatchHeader, Codec, Compression, Record, RecordsError, TimestampType};

/// The records of one batch: the batch's own bytes, or what they decompress to.
#[derive(Debug, Clone)]
pub struct BatchRecords<'a> {
    header: BatchHeader,
    encoded: Cow<'a, [u8]>,
}

impl<'a> Batch<'a> {
    /// The records. An uncompressed batch is read in place, another is decompressed to at most `limit` bytes.
    ///
    /// # Errors
    /// An unknown codec, data that it cannot read, or more than `limit` bytes of it.
    pub fn records(&self, limit: usize) -> Result<BatchRecords<'a>, RecordsError> {
        let encoded = self.bytes.get(HEADER_LEN..).unwrap_or_default();
        let encoded = match self.header.compression()? {
            Compression::None => Cow::Borrowed(encoded),
            codec => compression::decompress(codec, encoded, limit, Lz4Header::Standard)?.into(),
        };
        Ok(BatchRecords { header: self.header, encoded })
    }

    /// The same records under another codec. Offsets, timestamps and producer fields stay.
    ///
    /// # Errors
    /// As [`Batch::records`], and [`RecordsError::Compress`].
    pub fn recompressed(&self, codec: impl Into<Codec>, limit: usize) -> Result<Bytes, RecordsError> {
        let records = self.records(limit)?;
        assemble(self.header, codec.into(), &records.encoded)
    }
}

/// Compresses the encoded records and puts the finished header before them.
pub(crate) fn assemble(mut header: BatchHeader, codec: Codec, encoded: &[u8]) -> Result<Bytes, RecordsError> {
    header.attributes = header.attributes.with_compression(codec.compression);
    let mut bytes = vec![0; HEADER_LEN];
    compression::compress(codec, encoded, &mut bytes, Lz4Header::Standard)?;
    let size = bytes.len();
    header.batch_length =
        i32::try_from(size - LOG_OVERHEAD).map_err(|_| RecordsError::TooLarge { size, limit: MAX_LENGTH })?;
    let header = header.with_crc_of(bytes.get(HEADER_LEN..).unwrap_or_default());
    if let Some(place) = bytes.first_chunk_mut() {
        *place = header.to_bytes();
    }
    Ok(bytes.into())
}

impl BatchRecords<'_> {
    /// The records in the order of their offsets.
    #[must_use]
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter { header: self.header, encoded: Reader::new(&self.encoded), index: 0 }
    }

    /// The records as they are encoded, decompressed.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

impl<'r> IntoIterator for &'r BatchRecords<'_> {
    type Item = Result<Record<'r>, RecordsError>;
    type IntoIter = RecordIter<'r>;

    fn into_iter(self) -> RecordIter<'r> {
        self.iter()
    }
}

/// Yields as many records as the header declares, or an error and then nothing.
#[derive(Debug, Clone)]
pub struct RecordIter<'r> {
    header: BatchHeader,
    encoded: Reader<'r>,
    index: i32,
}

impl<'r> RecordIter<'r> {
    fn read(&mut self) -> Result<Record<'r>, RecordsError> {
        let index = self.index;
        let raw =
            RawRecord::read(&mut self.encoded).map_err(|fault| RecordsError::Malformed { index, fault })?;
        let header = &self.header;
        let timestamp = match header.timestamp_type() {
            TimestampType::CreateTime => header.base_timestamp.wrapping_add(raw.timestamp_delta),
            TimestampType::LogAppendTime => header.max_timestamp,
        };
        Ok(Record {
            offset: header.base_offset.saturating_add(i64::from(raw.offset_delta)),
            timestamp,
            key: raw.key,
            value: raw.value,
            headers: raw.headers,
        })
    }
}

impl<'r> Iterator for RecordIter<'r> {
    type Item = Result<Record<'r>, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.header.record_count;
        if self.index >= count {
            let trailing = self.encoded.remaining();
            self.encoded = Reader::new(&[]);
            return (trailing > 0).then_some(Err(RecordsError::BytesAfterRecords { trailing, count }));
        }
        let record = self.read();
        self.index = if record.is_ok() { self.index + 1 } else { count };
        if record.is_err() {
            self.encoded = Reader::new(&[]);
        }
        Some(record)
    }
}
