//! Record batches and message sets: parsing, checking, compression, conversion. No I/O, no wire schemas.
//!
//! A batch of magic 2 is what the log holds. A producer's batch is checked in place by [`validate_produce`] and
//! stored as it came, but for the [`HEAD_LEN`] bytes that [`head_with`] gives. Formats are those of Kafka's
//! protocol guide, and what is refused is what Kafka's `LogValidator` refuses.

mod attributes;
mod batch_records;
mod batches;
mod builder;
mod compression;
mod crc;
mod error;
mod header;
pub mod legacy;
mod reader;
mod record;
mod validate;
mod writer;

pub use attributes::{
    Attributes, COMPRESSION_MASK, CONTROL_BIT, Codec, Compression, DELETE_HORIZON_BIT, TIMESTAMP_TYPE_BIT,
    TRANSACTIONAL_BIT, TimestampType,
};
pub use batch_records::{BatchRecords, RecordIter};
pub use batches::{Batch, Batches, entry_len, magic_of};
pub use builder::BatchBuilder;
pub use crc::crc32c;
pub use error::{Fault, KafkaError, RecordsError};
pub use header::{
    BatchHeader, CRC_START, HEAD_LEN, HEADER_LEN, LOG_OVERHEAD, MAGIC_V2, MAX_LENGTH, MIN_BATCH_LENGTH,
    NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, PREFIX_LEN,
    head_with, increment_sequence, restamped_header,
};
pub use legacy::{MessageFormat, down_convert, up_convert};
pub use record::{Header, Headers, Record};
pub use validate::{ProduceBatch, ProduceRules, validate_produce};

#[cfg(test)]
mod tests;
