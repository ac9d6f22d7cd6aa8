//! Writing a batch of magic 2.

use bytes::Bytes;

use crate::batch_records::assemble;
use crate::header::{
    BatchHeader, HEADER_LEN, MAGIC_V2, MAX_LENGTH, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
};
use crate::record::NewRecord;
use crate::{
    Attributes, CONTROL_BIT, Codec, DELETE_HORIZON_BIT, Header, RecordsError, TRANSACTIONAL_BIT,
    TimestampType,
};

/// Builds one batch, record by record.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Codec,
    /// Offset of the last record of the batch of which this one holds the rest.
    covers: Option<i64>,
    /// The records, not compressed.
    encoded: Vec<u8>,
}

impl BatchBuilder {
    /// A batch whose first record has this offset: uncompressed, CreateTime, of no idempotent producer.
    #[must_use]
    pub fn new(base_offset: i64) -> Self {
        let header = BatchHeader {
            base_offset,
            batch_length: 0,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            magic: MAGIC_V2,
            crc: 0,
            attributes: Attributes::default(),
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            record_count: 0,
        };
        Self { header, codec: Codec::default(), covers: None, encoded: Vec::new() }
    }

    /// For those records that are left of a batch: its offsets, sequences, leader epoch, flags and codec stay those
    /// of the whole.
    ///
    /// # Errors
    /// [`RecordsError::UnknownCompression`].
    pub fn rest_of(whole: &BatchHeader) -> Result<Self, RecordsError> {
        let mut builder = Self::new(whole.base_offset);
        builder.codec = whole.compression()?.into();
        builder.covers = Some(whole.last_offset());
        let empty = builder.header;
        let has_base = whole.attributes.has_delete_horizon();
        let max_timestamp = match whole.timestamp_type() {
            TimestampType::CreateTime => NO_TIMESTAMP,
            TimestampType::LogAppendTime => whole.max_timestamp,
        };
        builder.header = BatchHeader {
            last_offset_delta: empty.last_offset_delta,
            base_timestamp: if has_base { whole.base_timestamp } else { empty.base_timestamp },
            max_timestamp,
            record_count: 0,
            ..*whole
        };
        Ok(builder)
    }

    /// Sets the time from which on compaction may drop the batch's tombstones or transaction marker (KIP-534), in
    /// milliseconds. Timestamps are then relative to it, so it comes before the first record.
    #[must_use]
    pub fn delete_horizon(mut self, horizon_ms: i64) -> Self {
        self.header.attributes = self.header.attributes.with(DELETE_HORIZON_BIT);
        self.header.base_timestamp = horizon_ms;
        self
    }

    /// Compresses the records with this codec.
    #[must_use]
    pub fn compression(mut self, codec: impl Into<Codec>) -> Self {
        self.codec = codec.into();
        self
    }

    /// Names the idempotent producer and the sequence of the first record.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.attributes = self.header.attributes.with(TRANSACTIONAL_BIT);
        self
    }

    /// Marks the batch as one of control records.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.attributes = self.header.attributes.with(CONTROL_BIT);
        self
    }

    /// Gives all records this time of append, in milliseconds, instead of their own timestamps.
    #[must_use]
    pub fn log_append_time(mut self, now_ms: i64) -> Self {
        self.header.attributes = self.header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.header.max_timestamp = now_ms;
        self
    }

    /// Sets the epoch of the leader that appends the batch.
    #[must_use]
    pub fn leader_epoch(mut self, epoch: i32) -> Self {
        self.header.partition_leader_epoch = epoch;
        self
    }

    /// Records so far.
    #[must_use]
    pub const fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// Bytes so far, before compression.
    #[must_use]
    pub const fn uncompressed_len(&self) -> usize {
        HEADER_LEN + self.encoded.len()
    }

    /// Adds a record at the next offset.
    ///
    /// # Errors
    /// [`RecordsError::TooLarge`] if a length or the count does not fit the format.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), RecordsError> {
        self.append_at(self.header.next_offset(), timestamp, key, value, headers)
    }

    /// Adds a record at `offset`, which must be above that of the record before it. Conversion and compaction leave
    /// gaps.
    ///
    /// # Errors
    /// [`RecordsError::OffsetOrder`] for an offset that is not, or is too far from the first;
    /// [`RecordsError::TooLarge`] if a length or the count does not fit the format.
    pub fn append_at(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), RecordsError> {
        let header = &mut self.header;
        let out_of_order = RecordsError::OffsetOrder { offset, base_offset: header.base_offset };
        let offset_delta = offset
            .checked_sub(header.base_offset)
            .and_then(|delta| i32::try_from(delta).ok())
            .filter(|delta| *delta > header.last_offset_delta)
            .ok_or(out_of_order)?;
        if header.record_count == 0 && !header.attributes.has_delete_horizon() {
            header.base_timestamp = timestamp;
        }
        let timestamp_delta = timestamp.wrapping_sub(header.base_timestamp);
        let start = self.encoded.len();
        let record = NewRecord { timestamp_delta, offset_delta, key, value, headers };
        if record.write(&mut self.encoded).is_none() || i32::try_from(self.encoded.len()).is_err() {
            let size = self.encoded.len();
            self.encoded.truncate(start);
            return Err(RecordsError::TooLarge { size, limit: MAX_LENGTH });
        }
        header.last_offset_delta = offset_delta;
        header.record_count += 1;
        if header.timestamp_type() == TimestampType::CreateTime {
            header.max_timestamp = header.max_timestamp.max(timestamp);
        }
        Ok(())
    }

    /// The finished batch.
    ///
    /// # Errors
    /// [`RecordsError::Empty`] without records; [`RecordsError::Compress`].
    pub fn build(self) -> Result<Bytes, RecordsError> {
        if self.header.record_count == 0 {
            return Err(RecordsError::Empty);
        }
        let mut header = self.header;
        if let Some(last_offset) = self.covers {
            let delta = last_offset.saturating_sub(header.base_offset);
            header.last_offset_delta = i32::try_from(delta).unwrap_or(header.last_offset_delta);
        }
        assemble(header, self.codec, &self.encoded)
    }
}
