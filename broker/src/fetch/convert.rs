//! What old clients can read of what was found: message sets before Fetch 4, nothing of zstd topics before Fetch 10.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use milena_protocol::Records;
use milena_records::{Batches, Compression, MessageFormat, down_convert};

use crate::partitions::{FetchFrom, Fetched, Partition, PartitionError, ReadLimits};

/// From this version on message sets are of magic 1, and of magic 0 before.
const MAGIC_1: i16 = 2;
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
    let index = replica.index;
    if version >= MAGIC_2 {
        let fetched = replica.fetch(from, limits)?;
        let is_zstd = version < ZSTD && stores_zstd(replica);
        if is_zstd && !fetched.records.is_empty() {
            let message = "the topic's compression.type is zstd, which Fetch knows from version 10 on";
            return Err(PartitionError::new(index, ResponseError::UnsupportedCompressionType, message));
        }
        return Ok(fetched);
    }
    let format = if version >= MAGIC_1 { MessageFormat::V1 } else { MessageFormat::V0 };
    let mut next = from;
    loop {
        let (mut fetched, batches) = replica.fetch_in_memory(next, limits)?;
        if batches.is_empty() {
            return Ok(fetched);
        }
        let converted = down_convert(&batches, format, from.offset, MAX_DECOMPRESSED_BYTES)
            .map_err(|error| PartitionError::records(index, &error))?;
        if !converted.is_empty() {
            fetched.records = Records::Memory(converted);
            return Ok(fetched);
        }
        next.offset = next_offset(index, &batches)?;
    }
}

/// The offset behind the last batch.
fn next_offset(index: i32, records: &Bytes) -> Result<i64, PartitionError> {
    let mut next = 0;
    for batch in Batches::new(records) {
        next = batch.map_err(|error| PartitionError::records(index, &error))?.header.next_offset();
    }
    Ok(next)
}

/// A topic with this codec of its own: what a producer chose by itself, its consumers are taken to know.
fn stores_zstd(replica: &Partition) -> bool {
    replica.config().compression.is_some_and(|codec| codec.compression == Compression::Zstd)
}
