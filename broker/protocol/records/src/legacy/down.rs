//! From batches of magic 2 to a message set.

use bytes::Bytes;

use crate::header::NO_TIMESTAMP;
use crate::{Batch, BatchHeader, Batches, Compression, Record, RecordsError, compression};

use super::{Message, MessageFormat};

/// Converts the whole batches of `batches` to a message set, for Fetch 0 to 3. A batch that is cut short at the end
/// is left out.
///
/// Keys, values, offsets and codecs stay; headers and control batches go, and so does the timestamp for magic 0.
/// A compressed batch becomes one wrapper with all its records. Of an uncompressed batch, records below
/// `first_offset` are left out, because librdkafka takes a set to begin where it asked. The result may be empty
/// although there were batches: the caller then goes on behind them. All batches together decompress to at most
/// `limit` bytes.
///
/// # Errors
/// [`RecordsError::CompressionNotAllowed`] for zstd, which no reader of message sets knows; otherwise what reading
/// a batch meets, checksums left aside. A batch behind converted ones is no error: the set ends before it, and the
/// client meets the error when it asks for that offset.
pub fn down_convert(
    batches: &[u8],
    format: MessageFormat,
    first_offset: i64,
    limit: usize,
) -> Result<Bytes, RecordsError> {
    let mut conversion = Conversion { format, first_offset, limit, out: Vec::new() };
    for batch in Batches::new(batches) {
        let converted = conversion.out.len();
        match batch.and_then(|batch| conversion.batch(&batch)) {
            Ok(()) => {}
            Err(error) if converted == 0 && !error.is_incomplete() => return Err(error),
            Err(_) => {
                conversion.out.truncate(converted);
                break;
            }
        }
    }
    Ok(conversion.out.into())
}

struct Conversion {
    format: MessageFormat,
    first_offset: i64,
    /// What batches may still decompress to.
    limit: usize,
    out: Vec<u8>,
}

impl Conversion {
    fn batch(&mut self, batch: &Batch<'_>) -> Result<(), RecordsError> {
        if batch.header.is_control() {
            return Ok(());
        }
        match batch.header.compression()? {
            Compression::None => self.plain(batch),
            codec @ Compression::Zstd => Err(RecordsError::CompressionNotAllowed { codec }),
            codec => self.wrapper(batch, codec),
        }
    }

    fn plain(&mut self, batch: &Batch<'_>) -> Result<(), RecordsError> {
        for record in &batch.records(self.limit)? {
            let record = record?;
            if record.offset >= self.first_offset {
                self.message(&batch.header, &record, record.offset).write(&mut self.out)?;
            }
        }
        Ok(())
    }

    fn wrapper(&mut self, batch: &Batch<'_>, codec: Compression) -> Result<(), RecordsError> {
        let records = batch.records(self.limit)?;
        self.limit = self.limit.saturating_sub(records.encoded().len());
        let mut inner_set = Vec::new();
        let mut offsets = None;
        let mut max_timestamp = NO_TIMESTAMP;
        for record in &records {
            let record = record?;
            let (first, _) = offsets.unwrap_or((record.offset, record.offset));
            offsets = Some((first, record.offset));
            max_timestamp = max_timestamp.max(record.timestamp);
            let inner_offset = match self.format {
                MessageFormat::V0 => record.offset,
                MessageFormat::V1 => record.offset.saturating_sub(first),
            };
            self.message(&batch.header, &record, inner_offset).write(&mut inner_set)?;
        }
        // A batch that compaction has emptied becomes nothing.
        let Some((_, last)) = offsets else { return Ok(()) };
        let mut value = Vec::new();
        compression::compress(codec.into(), &inner_set, &mut value, self.format.lz4_header())?;
        let wrapper = Message {
            offset: last,
            format: self.format,
            attributes: self.format.attributes(codec, batch.header.timestamp_type()),
            timestamp: max_timestamp,
            key: None,
            value: Some(&value),
        };
        wrapper.write(&mut self.out)
    }

    fn message<'r>(&self, header: &BatchHeader, record: &Record<'r>, offset: i64) -> Message<'r> {
        Message {
            offset,
            format: self.format,
            attributes: self.format.attributes(Compression::None, header.timestamp_type()),
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
        }
    }
}
