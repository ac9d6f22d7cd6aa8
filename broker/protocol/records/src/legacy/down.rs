//! From batches of magic 2 to a message set.

use bytes::Bytes;

use crate::{Batch, BatchHeader, Batches, Compression, Record, RecordsError, compression};

use super::{Message, MessageFormat};

/// Converts the whole batches of `batches` to a message set, for Fetch 0 to 3. A batch that is cut short at the end
/// is left out.
///
/// Keys, values, offsets and codecs stay; headers and control batches go, and so does the timestamp for magic 0.
/// A compressed batch becomes one wrapper with all its records. Of an uncompressed batch, records below
/// `first_offset` are left out, because librdkafka takes a set to begin where it asked. The result may be empty
/// although there were batches: the caller then goes on behind them. `limit` bounds what each batch decompresses to.
///
/// # Errors
/// [`RecordsError::CompressionNotAllowed`] for zstd, which no reader of message sets knows; otherwise what reading
/// the batches meets. Checksums are not looked at.
pub fn down_convert(
    batches: &[u8],
    format: MessageFormat,
    first_offset: i64,
    limit: usize,
) -> Result<Bytes, RecordsError> {
    let mut out = Vec::new();
    for batch in Batches::new(batches) {
        let batch = match batch {
            Err(error) if error.is_incomplete() => break,
            batch => batch?,
        };
        if batch.header.is_control() {
            continue;
        }
        match batch.header.compression()? {
            Compression::None => plain(&batch, format, first_offset, &mut out)?,
            codec @ Compression::Zstd => return Err(RecordsError::CompressionNotAllowed { codec }),
            codec => wrapper(&batch, format, codec, limit, &mut out)?,
        }
    }
    Ok(out.into())
}

fn plain(
    batch: &Batch<'_>,
    format: MessageFormat,
    first_offset: i64,
    out: &mut Vec<u8>,
) -> Result<(), RecordsError> {
    // Nothing is decompressed here, so that no limit applies.
    for record in &batch.records(usize::MAX)? {
        let record = record?;
        if record.offset >= first_offset {
            message(&batch.header, &record, record.offset, format).write(out)?;
        }
    }
    Ok(())
}

fn wrapper(
    batch: &Batch<'_>,
    format: MessageFormat,
    codec: Compression,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), RecordsError> {
    let records = batch.records(limit)?;
    let mut inner_set = Vec::new();
    let mut offsets = None;
    let mut max_timestamp = crate::NO_TIMESTAMP;
    for record in &records {
        let record = record?;
        let (first, _) = offsets.unwrap_or((record.offset, record.offset));
        offsets = Some((first, record.offset));
        max_timestamp = max_timestamp.max(record.timestamp);
        let inner_offset = match format {
            MessageFormat::V0 => record.offset,
            MessageFormat::V1 => record.offset.saturating_sub(first),
        };
        message(&batch.header, &record, inner_offset, format).write(&mut inner_set)?;
    }
    // A batch that compaction has emptied.
    let Some((_, last)) = offsets else { return Ok(()) };
    let mut value = Vec::new();
    compression::compress(codec, &inner_set, &mut value, format.lz4_header())?;
    let wrapper = Message {
        offset: last,
        format,
        attributes: format.attributes(codec, batch.header.timestamp_type()),
        timestamp: max_timestamp,
        key: None,
        value: Some(&value),
    };
    wrapper.write(out)
}

fn message<'r>(header: &BatchHeader, record: &Record<'r>, offset: i64, format: MessageFormat) -> Message<'r> {
    Message {
        offset,
        format,
        attributes: format.attributes(Compression::None, header.timestamp_type()),
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
    }
}
