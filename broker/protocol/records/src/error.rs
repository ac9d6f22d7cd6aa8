//! What can be wrong with records, and which Kafka error a client sees for it.

use thiserror::Error;

use crate::Compression;

/// Why records were refused. Every variant carries the wrong value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordsError {
    /// The buffer ends inside an entry: a torn tail, or more bytes are still to come.
    #[error("incomplete entry: {needed} bytes needed, {available} there")]
    Incomplete {
        /// Bytes that the entry or its header takes.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// The length field is smaller than the smallest entry of its magic.
    #[error("entry length {length} is below the minimum of {minimum}")]
    LengthTooSmall {
        /// The length field as read.
        length: i32,
        /// The smallest legal value.
        minimum: i32,
    },
    /// The length field and the bytes handed in disagree.
    #[error("entry says that it takes {declared} bytes, {available} were given")]
    LengthMismatch {
        /// Size of the entry by its own length field.
        declared: usize,
        /// Bytes that were given.
        available: usize,
    },
    /// The magic byte names no format.
    #[error("unknown magic {magic}")]
    UnknownMagic {
        /// The magic byte as read.
        magic: i8,
    },
    /// The magic byte names a format that is not accepted here.
    #[error("magic {magic} is not accepted here")]
    UnexpectedMagic {
        /// The magic byte as read.
        magic: i8,
    },
    /// The stored checksum is not that of the bytes.
    #[error("stored CRC {stored:#010x}, computed {computed:#010x}")]
    CrcMismatch {
        /// Checksum in the entry.
        stored: u32,
        /// Checksum of the bytes.
        computed: u32,
    },
    /// The compression bits name no codec.
    #[error("unknown compression codec {id}")]
    UnknownCompression {
        /// The codec bits of the attributes.
        id: u8,
    },
    /// The codec is known, but not allowed for this request or format.
    #[error("compression {codec} is not allowed here")]
    CompressionNotAllowed {
        /// The codec in question.
        codec: Compression,
    },
    /// The compressed data cannot be read.
    #[error("cannot decompress {codec} data: {reason}")]
    Decompress {
        /// The codec in question.
        codec: Compression,
        /// What the decoder says.
        reason: String,
    },
    /// The decompressed data is larger than the caller allows.
    #[error("{codec} data decompresses to more than {limit} bytes")]
    DecompressedTooLarge {
        /// The codec in question.
        codec: Compression,
        /// The limit in bytes.
        limit: usize,
    },
    /// The data could not be compressed.
    #[error("cannot compress with {codec}: {reason}")]
    Compress {
        /// The codec in question.
        codec: Compression,
        /// What the encoder says.
        reason: String,
    },
    /// The entry is larger than `max.message.bytes`.
    #[error("{size} bytes are more than the maximum of {limit}")]
    TooLarge {
        /// Size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There are no records.
    #[error("no records")]
    Empty,
    /// A buffer that must hold one batch holds more.
    #[error("more than one batch: {trailing} bytes after the first")]
    TrailingBytes {
        /// Bytes after the first batch.
        trailing: usize,
    },
    /// A client's batch starts at an offset other than 0.
    #[error("base offset {base_offset} of a produced batch, which must be 0")]
    BaseOffset {
        /// The base offset as read.
        base_offset: i64,
    },
    /// The record count is not positive, or is not what the last offset delta says.
    #[error("record count {count} does not fit last offset delta {last_offset_delta}")]
    RecordCount {
        /// The count as read.
        count: i32,
        /// The last offset delta as read.
        last_offset_delta: i32,
    },
    /// A client may not write control batches.
    #[error("clients may not write control batches")]
    ControlBatch,
    /// Producer id, epoch and sequence do not go together.
    #[error("producer id {producer_id} with epoch {producer_epoch} and sequence {base_sequence}")]
    ProducerState {
        /// Producer id as read.
        producer_id: i64,
        /// Producer epoch as read.
        producer_epoch: i16,
        /// First sequence as read.
        base_sequence: i32,
    },
    /// A transactional batch without a producer id.
    #[error("transactional batch without a producer id")]
    TransactionalWithoutProducer,
    /// A producer may not claim that the broker set the timestamps.
    #[error("producers may not set the timestamp type to LogAppendTime")]
    LogAppendTimeFromProducer,
    /// A timestamp outside of what `message.timestamp.before/after.max.ms` allow.
    #[error("timestamp {timestamp} of record {index} is outside of {earliest} to {latest}")]
    TimestampOutOfRange {
        /// Index of the record in its batch.
        index: i32,
        /// The record's timestamp, milliseconds since the epoch.
        timestamp: i64,
        /// The earliest that is allowed.
        earliest: i64,
        /// The latest that is allowed.
        latest: i64,
    },
    /// A record without a key for a compacted topic.
    #[error("record {index} has no key, which a compacted topic needs")]
    MissingKey {
        /// Index of the record in its batch.
        index: i32,
    },
    /// A record's offset does not follow on that of the record before it.
    #[error("offset {offset} does not fit a batch that starts at {base_offset}")]
    OffsetOrder {
        /// The offset in question.
        offset: i64,
        /// The batch's base offset.
        base_offset: i64,
    },
    /// A record's fields do not add up.
    #[error("record {index} is malformed: {fault}")]
    Malformed {
        /// Index of the record in its batch.
        index: i32,
        /// What is wrong.
        fault: Fault,
    },
    /// The batch has bytes after its last record.
    #[error("{trailing} bytes after the last of {count} records")]
    BytesAfterRecords {
        /// Bytes left over.
        trailing: usize,
        /// Records that the header declares.
        count: i32,
    },
}

/// What is wrong with the fields of one record or message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// A field goes beyond the end of the record or batch.
    #[error("a field goes beyond the end")]
    Overrun,
    /// A variable-length integer has too many bytes.
    #[error("a variable-length integer is too long")]
    Varint,
    /// A length that may not be negative is.
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// The record's length is not the sum of its fields.
    #[error("{0} bytes after the last field")]
    LeftOver(usize),
    /// The offset delta is not the record's index.
    #[error("offset delta {0}")]
    OffsetDelta(i32),
    /// A compressed wrapper message has no value.
    #[error("a compressed message without a value")]
    NullWrapper,
    /// A compressed wrapper message inside another.
    #[error("a compressed message inside a compressed message")]
    NestedWrapper,
    /// An inner message has another magic than its wrapper.
    #[error("inner magic {0} differs from that of the wrapper")]
    InnerMagic(i8),
}

/// The Kafka error that a [`RecordsError`] becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaError {
    /// CORRUPT_MESSAGE
    CorruptMessage,
    /// MESSAGE_TOO_LARGE
    MessageTooLarge,
    /// INVALID_TIMESTAMP
    InvalidTimestamp,
    /// UNSUPPORTED_COMPRESSION_TYPE
    UnsupportedCompressionType,
    /// INVALID_RECORD
    InvalidRecord,
}

impl KafkaError {
    /// The error code on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::CorruptMessage => 2,
            Self::MessageTooLarge => 10,
            Self::InvalidTimestamp => 32,
            Self::UnsupportedCompressionType => 76,
            Self::InvalidRecord => 87,
        }
    }
}

impl RecordsError {
    /// The error that Kafka's broker answers a producer with in this case.
    #[must_use]
    pub const fn kafka_error(&self) -> KafkaError {
        match self {
            Self::LengthTooSmall { .. }
            | Self::UnknownMagic { .. }
            | Self::CrcMismatch { .. }
            | Self::Decompress { .. }
            | Self::Compress { .. } => KafkaError::CorruptMessage,
            Self::TooLarge { .. } | Self::DecompressedTooLarge { .. } => KafkaError::MessageTooLarge,
            Self::LogAppendTimeFromProducer | Self::TimestampOutOfRange { .. } => {
                KafkaError::InvalidTimestamp
            }
            Self::UnknownCompression { .. } | Self::CompressionNotAllowed { .. } => {
                KafkaError::UnsupportedCompressionType
            }
            // Kafka's reader skips an entry that is cut short and then misses the batch.
            Self::Incomplete { .. }
            | Self::LengthMismatch { .. }
            | Self::UnexpectedMagic { .. }
            | Self::Empty
            | Self::TrailingBytes { .. }
            | Self::BaseOffset { .. }
            | Self::RecordCount { .. }
            | Self::ControlBatch
            | Self::ProducerState { .. }
            | Self::TransactionalWithoutProducer
            | Self::MissingKey { .. }
            | Self::OffsetOrder { .. }
            | Self::Malformed { .. }
            | Self::BytesAfterRecords { .. } => KafkaError::InvalidRecord,
        }
    }

    /// Index of the record at fault, for `record_errors` of a Produce response (KIP-467).
    #[must_use]
    pub const fn record_index(&self) -> Option<i32> {
        match self {
            Self::TimestampOutOfRange { index, .. }
            | Self::MissingKey { index }
            | Self::Malformed { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// Whether the entry is only cut short, as after a torn write, rather than wrong.
    #[must_use]
    pub const fn is_incomplete(&self) -> bool {
        matches!(self, Self::Incomplete { .. })
    }
}
