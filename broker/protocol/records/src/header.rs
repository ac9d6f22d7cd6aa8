//! The header of a record batch of magic 2 (KIP-98), and the bytes of it that a broker changes.

use crate::batches::entry_len;
use crate::reader::Reader;
use crate::{Attributes, Compression, DELETE_HORIZON_BIT, Fault, RecordsError, TimestampType};

/// Bytes before the records: the whole header.
pub const HEADER_LEN: usize = 61;
/// Bytes of base offset and length, which the length field does not count. Common to all magics.
pub const LOG_OVERHEAD: usize = 12;
/// Bytes up to and with the magic byte, which lies at the same place in all formats.
pub const PREFIX_LEN: usize = 17;
/// Bytes that a broker sets at append: base offset, length, partition leader epoch. The CRC leaves them out.
pub const HEAD_LEN: usize = 16;
/// Where the bytes that the CRC covers begin: at the attributes.
pub const CRC_START: usize = 21;
/// The smallest legal length field of a batch of magic 2.
pub const MIN_BATCH_LENGTH: i32 = 49;
/// The largest value of a length field, which is an `i32`.
pub const MAX_LENGTH: usize = 0x7fff_ffff;
/// The current format.
pub const MAGIC_V2: i8 = 2;

/// The producer is not idempotent.
pub const NO_PRODUCER_ID: i64 = -1;
/// Goes with [`NO_PRODUCER_ID`].
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Goes with [`NO_PRODUCER_ID`].
pub const NO_SEQUENCE: i32 = -1;
/// The record or batch has no timestamp.
pub const NO_TIMESTAMP: i64 = -1;
/// The batch has not been appended by a leader.
pub const NO_PARTITION_LEADER_EPOCH: i32 = -1;

/// The header of a record batch, field by field in the order on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes after this field.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch.
    pub partition_leader_epoch: i32,
    /// Format; always 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: Attributes,
    /// Offset of the last record, less the base offset. Compaction keeps it.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas add to, in milliseconds.
    pub base_timestamp: i64,
    /// The greatest timestamp, or the time of append.
    pub max_timestamp: i64,
    /// Producer id, or [`NO_PRODUCER_ID`].
    pub producer_id: i64,
    /// Producer epoch, or [`NO_PRODUCER_EPOCH`].
    pub producer_epoch: i16,
    /// Sequence of the first record, or [`NO_SEQUENCE`].
    pub base_sequence: i32,
    /// Records in the batch.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`. The records need not be there.
    ///
    /// # Errors
    /// Fewer bytes than a header takes, a magic other than 2, or a length below that of an empty batch.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordsError> {
        let Some(header) = bytes.first_chunk().and_then(|chunk| Self::read(chunk).ok()) else {
            // A wrong magic or length is told apart from a short buffer as soon as it can be.
            entry_len(bytes)?;
            return Err(RecordsError::Incomplete { needed: HEADER_LEN, available: bytes.len() });
        };
        if header.magic != MAGIC_V2 || header.batch_length < MIN_BATCH_LENGTH {
            entry_len(bytes)?;
            return Err(RecordsError::UnexpectedMagic { magic: header.magic });
        }
        Ok(header)
    }

    fn read(bytes: &[u8; HEADER_LEN]) -> Result<Self, Fault> {
        let mut fields = Reader::new(bytes);
        Ok(Self {
            base_offset: fields.i64()?,
            batch_length: fields.i32()?,
            partition_leader_epoch: fields.i32()?,
            magic: fields.i8()?,
            crc: fields.u32()?,
            attributes: Attributes(fields.i16()?),
            last_offset_delta: fields.i32()?,
            base_timestamp: fields.i64()?,
            max_timestamp: fields.i64()?,
            producer_id: fields.i64()?,
            producer_epoch: fields.i16()?,
            base_sequence: fields.i32()?,
            record_count: fields.i32()?,
        })
    }

    /// The header as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut rest = bytes.as_mut_slice();
        let mut put = |field: &[u8]| {
            if let Some((place, tail)) = std::mem::take(&mut rest).split_at_mut_checked(field.len()) {
                place.copy_from_slice(field);
                rest = tail;
            }
        };
        put(&self.base_offset.to_be_bytes());
        put(&self.batch_length.to_be_bytes());
        put(&self.partition_leader_epoch.to_be_bytes());
        put(&self.magic.to_be_bytes());
        put(&self.crc.to_be_bytes());
        put(&self.attributes.0.to_be_bytes());
        put(&self.last_offset_delta.to_be_bytes());
        put(&self.base_timestamp.to_be_bytes());
        put(&self.max_timestamp.to_be_bytes());
        put(&self.producer_id.to_be_bytes());
        put(&self.producer_epoch.to_be_bytes());
        put(&self.base_sequence.to_be_bytes());
        put(&self.record_count.to_be_bytes());
        bytes
    }

    /// Offset of the last record.
    #[must_use]
    pub const fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(self.last_offset_delta as i64)
    }

    /// Offset after the last record.
    #[must_use]
    pub const fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        usize::try_from(self.batch_length).unwrap_or(0).saturating_add(LOG_OVERHEAD)
    }

    /// The codec of the records.
    ///
    /// # Errors
    /// [`RecordsError::UnknownCompression`].
    pub fn compression(&self) -> Result<Compression, RecordsError> {
        self.attributes.compression()
    }

    /// Whose clock the timestamps come from.
    #[must_use]
    pub const fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type()
    }

    /// Whether the batch is part of a transaction.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.attributes.is_transactional()
    }

    /// Whether the batch holds control records.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.attributes.is_control()
    }

    /// Whether the producer is idempotent.
    #[must_use]
    pub const fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// Sequence of the last record, or [`NO_SEQUENCE`].
    #[must_use]
    pub const fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        increment_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// The sequence `increment` records later: after `i32::MAX` comes 0. Both must not be negative.
#[must_use]
pub const fn increment_sequence(sequence: i32, increment: i32) -> i32 {
    sequence.wrapping_add(increment) & i32::MAX
}

/// The first [`HEAD_LEN`] bytes of the batch for its place in the log. The CRC does not cover them, so a leader
/// writes these and then the producer's bytes from [`HEAD_LEN`] on, without a copy of the records.
#[must_use]
pub fn head_with(header: &BatchHeader, base_offset: i64, partition_leader_epoch: i32) -> [u8; HEAD_LEN] {
    let placed = BatchHeader { base_offset, partition_leader_epoch, ..*header };
    let bytes = placed.to_bytes();
    *bytes.first_chunk().unwrap_or(&[0; HEAD_LEN])
}

/// The header of `batch` with another timestamp type and maximum timestamp, and the CRC that goes with it. The
/// records' own bytes stay as they are.
///
/// # Errors
/// Bytes that are not one whole batch.
pub fn restamped_header(
    batch: &[u8],
    timestamp_type: TimestampType,
    max_timestamp: i64,
) -> Result<BatchHeader, RecordsError> {
    let header = BatchHeader::parse(batch)?;
    let records = batch
        .get(HEADER_LEN..header.size_in_bytes())
        .ok_or(RecordsError::Incomplete { needed: header.size_in_bytes(), available: batch.len() })?;
    let restamped = BatchHeader {
        attributes: header.attributes.with_timestamp_type(timestamp_type),
        max_timestamp,
        ..header
    };
    Ok(restamped.with_crc_of(records))
}

impl BatchHeader {
    /// The header of the batch when compaction has taken all of its records: offsets, producer and sequences stay, so
    /// that whoever reads it knows the producer (as Kafka's `DefaultRecordBatch.writeEmptyHeader`). It is the whole
    /// batch.
    #[must_use]
    pub fn emptied(&self) -> Self {
        let attributes = self.attributes.with_compression(Compression::None).without(DELETE_HORIZON_BIT);
        let emptied = Self {
            batch_length: MIN_BATCH_LENGTH,
            attributes,
            base_timestamp: NO_TIMESTAMP,
            record_count: 0,
            ..*self
        };
        emptied.with_crc_of(&[])
    }

    /// When tombstones and transaction markers of the batch may go, in milliseconds, where a cleaning has set it
    /// (KIP-534).
    #[must_use]
    pub fn delete_horizon(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// The header with the CRC of its own covered fields followed by `records`.
    #[must_use]
    pub fn with_crc_of(self, records: &[u8]) -> Self {
        let bytes = self.to_bytes();
        let covered = bytes.get(CRC_START..).unwrap_or_default();
        Self { crc: crate::crc::crc32c_of_parts(covered, records), ..self }
    }
}
