//! The checks of a client's batch, as Kafka's `LogValidator` makes them, without an allocation or a copy.

use crate::header::{HEADER_LEN, NO_TIMESTAMP};
use crate::reader::Reader;
use crate::record::RawRecord;
use crate::{Batch, BatchHeader, Compression, Fault, RecordsError, TimestampType};

/// What a topic and a request version allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceRules {
    /// `max.message.bytes`: size of the whole batch.
    pub max_message_bytes: usize,
    /// Whether zstd is allowed: Produce 7 and above.
    pub allow_zstd: bool,
    /// Whether every record needs a key: compacted topics.
    pub require_keys: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// The broker's time in milliseconds.
    pub now_ms: i64,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// Where compressed records have to be looked at, the most bytes that they may decompress to.
    pub max_decompressed_bytes: usize,
}

impl ProduceRules {
    /// Kafka's defaults for a topic, and at most 100 MiB of decompressed records.
    #[must_use]
    pub const fn defaults(now_ms: i64) -> Self {
        Self {
            max_message_bytes: 1_048_588,
            allow_zstd: true,
            require_keys: false,
            timestamp_type: TimestampType::CreateTime,
            now_ms,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            max_decompressed_bytes: 100 * 1024 * 1024,
        }
    }

    /// The earliest and the latest timestamp that a record may have.
    const fn timestamp_bounds(&self) -> TimestampBounds {
        match self.timestamp_type {
            TimestampType::CreateTime => TimestampBounds {
                earliest: self.now_ms.saturating_sub(self.timestamp_before_max_ms),
                latest: self.now_ms.saturating_add(self.timestamp_after_max_ms),
            },
            TimestampType::LogAppendTime => TimestampBounds { earliest: i64::MIN, latest: i64::MAX },
        }
    }

    /// Whether compressed records must be looked at one by one.
    const fn needs_records(&self) -> bool {
        self.require_keys || self.bounds_earliest()
    }

    const fn bounds_earliest(&self) -> bool {
        matches!(self.timestamp_type, TimestampType::CreateTime) && self.timestamp_before_max_ms != i64::MAX
    }
}

#[derive(Clone, Copy)]
struct TimestampBounds {
    earliest: i64,
    latest: i64,
}

impl TimestampBounds {
    #[inline]
    fn check(self, index: i32, timestamp: i64) -> Result<(), RecordsError> {
        let Self { earliest, latest } = self;
        if (earliest <= timestamp && timestamp <= latest) || timestamp == NO_TIMESTAMP {
            return Ok(());
        }
        Err(RecordsError::TimestampOutOfRange { index, timestamp, earliest, latest })
    }
}

/// A batch that may be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceBatch {
    /// The header as the producer wrote it.
    pub header: BatchHeader,
    /// The codec.
    pub compression: Compression,
    /// What the maximum timestamp of the stored batch must be: the greatest of the records, or the time of append.
    pub max_timestamp: i64,
    /// What the timestamp type of the stored batch must be.
    pub timestamp_type: TimestampType,
}

impl ProduceBatch {
    /// Whether the stored header differs from the producer's beyond its head, so that
    /// [`crate::restamped_header`] is needed.
    #[must_use]
    pub fn needs_restamp(&self) -> bool {
        self.header.max_timestamp != self.max_timestamp || self.header.timestamp_type() != self.timestamp_type
    }
}

/// Checks what a client produced to one partition: exactly one batch of magic 2.
///
/// Records of a compressed batch are looked at only where a rule needs them (keys for a compacted topic, a bound on
/// old timestamps). Kafka decompresses every batch to check them; here their header and CRC are trusted, and a
/// producer that writes nonsense under a good CRC is found by its consumers.
///
/// # Errors
/// What `LogValidator` and `UnifiedLog` refuse; [`RecordsError::kafka_error`] says how it is answered.
pub fn validate_produce(bytes: &[u8], rules: &ProduceRules) -> Result<ProduceBatch, RecordsError> {
    if bytes.is_empty() {
        return Err(RecordsError::Empty);
    }
    let batch = Batch::parse(bytes)?;
    let size = batch.bytes.len();
    if size < bytes.len() {
        return Err(RecordsError::TrailingBytes { trailing: bytes.len() - size });
    }
    if size > rules.max_message_bytes {
        return Err(RecordsError::TooLarge { size, limit: rules.max_message_bytes });
    }
    batch.verify_crc()?;
    let compression = batch.header.compression()?;
    if compression == Compression::Zstd && !rules.allow_zstd {
        return Err(RecordsError::CompressionNotAllowed { codec: compression });
    }
    check_header(&batch.header)?;
    let create_time = check_records(&batch, compression, rules)?;
    let max_timestamp = match rules.timestamp_type {
        TimestampType::CreateTime => create_time,
        TimestampType::LogAppendTime => rules.now_ms,
    };
    Ok(ProduceBatch {
        header: batch.header,
        compression,
        max_timestamp,
        timestamp_type: rules.timestamp_type,
    })
}

fn check_header(header: &BatchHeader) -> Result<(), RecordsError> {
    let BatchHeader { base_offset, record_count: count, last_offset_delta, .. } = *header;
    if base_offset != 0 {
        return Err(RecordsError::BaseOffset { base_offset });
    }
    if count <= 0 || last_offset_delta != count - 1 {
        return Err(RecordsError::RecordCount { count, last_offset_delta });
    }
    if header.is_control() {
        return Err(RecordsError::ControlBatch);
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(RecordsError::LogAppendTimeFromProducer);
    }
    if header.has_producer_id() && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return Err(RecordsError::ProducerState {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
        });
    }
    if header.is_transactional() && !header.has_producer_id() {
        return Err(RecordsError::TransactionalWithoutProducer);
    }
    Ok(())
}

/// The greatest timestamp of the records.
fn check_records(
    batch: &Batch<'_>,
    compression: Compression,
    rules: &ProduceRules,
) -> Result<i64, RecordsError> {
    if compression == Compression::None {
        let records = batch.bytes.get(HEADER_LEN..).unwrap_or_default();
        return walk_records(&batch.header, records, rules);
    }
    rules.timestamp_bounds().check(0, batch.header.max_timestamp)?;
    if !rules.needs_records() {
        return Ok(batch.header.max_timestamp);
    }
    let records = batch.records(rules.max_decompressed_bytes)?;
    walk_records(&batch.header, records.encoded(), rules)
}

fn walk_records(header: &BatchHeader, records: &[u8], rules: &ProduceRules) -> Result<i64, RecordsError> {
    let mut reader = Reader::new(records);
    let bounds = rules.timestamp_bounds();
    let mut max_timestamp = NO_TIMESTAMP;
    for index in 0..header.record_count {
        let malformed = |fault| RecordsError::Malformed { index, fault };
        let record = RawRecord::read(&mut reader).map_err(malformed)?;
        if record.offset_delta != index {
            return Err(malformed(Fault::OffsetDelta(record.offset_delta)));
        }
        if rules.require_keys && record.key.is_none() {
            return Err(RecordsError::MissingKey { index });
        }
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        bounds.check(index, timestamp)?;
        max_timestamp = max_timestamp.max(timestamp);
    }
    match reader.remaining() {
        0 => Ok(max_timestamp),
        trailing => Err(RecordsError::BytesAfterRecords { trailing, count: header.record_count }),
    }
}
