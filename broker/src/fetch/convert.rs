//! What old clients can read of what was found: message sets before Fetch 4, nothing of zstd topics before Fetch 10.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use milena_records::{Batches, Compression, MessageFormat, down_convert};

use crate::partitions::{FetchFrom, Fetched, Partition, PartitionError, ReadLimits};

/// From this version on record batches of magic 2 are read.
const MAGIC_2: i16 = 4;
/// From this version on zstd is known (KIP-110).
const ZSTD: i16 = 10;
/// What compressed batches may grow to in a conversion.
const MAX_DECOMPRESSED_BYTES: usize = 100 * 1024 * 1024;

/// Fetches in the form that a client of that version reads.
///
/// What is converted may become nothing, where all of it is below the offset or is no record: then what follows
/// is fetched, for the client would ask for the same offset for ever.
///
/// # Errors
/// As [`Partition::fetch`]; UNSUPPORTED_COMPRESSION_TYPE for a topic with `compression.type=zstd`, or what
/// converting meets.
pub fn fetch(
    version: i16,
    replica: &Partition,
    from: FetchFrom,
    limits: ReadLimits,
) -> Result<Fetched, PartitionError> {
    let mut next = from;
    loop {
        let fetched = replica.fetch(next, limits)?;
        if version >= ZSTD || fetched.records.is_empty() {
            return Ok(fetched);
        }
        let index = replica.index;
        let records = match version {
            MAGIC_2.. if stores_zstd(replica) => {
                let message = "the topic's compression.type is zstd, which Fetch knows from version 10 on";
                return Err(PartitionError::new(index, ResponseError::UnsupportedCompressionType, message));
            }
            // A producer that chose zstd is taken to know its consumers: as in Kafka.
            MAGIC_2.. => fetched.records.clone(),
            2..=3 => converted(index, from.offset, &fetched.records, MessageFormat::V1)?,
            _ => converted(index, from.offset, &fetched.records, MessageFormat::V0)?,
        };
        if !records.is_empty() {
            return Ok(Fetched { records, ..fetched });
        }
        next.offset = next_offset(index, &fetched.records)?;
    }
}

fn stores_zstd(replica: &Partition) -> bool {
    replica.config().compression.is_some_and(|codec| codec.compression == Compression::Zstd)
}

/// The offset behind the last batch.
fn next_offset(index: i32, records: &Bytes) -> Result<i64, PartitionError> {
    let mut next = 0;
    for batch in Batches::new(records) {
        next = batch.map_err(|error| PartitionError::records(index, &error))?.header.next_offset();
    }
    Ok(next)
}

fn converted(index: i32, from: i64, records: &Bytes, format: MessageFormat) -> Result<Bytes, PartitionError> {
    down_convert(records, format, from, MAX_DECOMPRESSED_BYTES)
        .map_err(|error| PartitionError::records(index, &error))
}
