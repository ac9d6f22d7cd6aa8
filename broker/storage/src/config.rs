//! Settings of one log.

use std::time::Duration;

use milena_records::TimestampType;

use crate::fs::Durability;

/// Kafka's topic settings, as far as the log needs them. Names, units and defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment that would grow beyond it is sealed. At most `i32::MAX`.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment whose first record is older is sealed at the next append. A compacted log also seals
    /// one that is older than `max_compaction_lag_ms`.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to so much is taken from `segment_ms`, so that not all logs roll at once.
    pub segment_jitter_ms: i64,
    /// `preallocate`: a segment takes all of its space on disk with its first batch.
    pub preallocate: bool,
    /// `index.interval.bytes`: about so many bytes lie between two entries of an index.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: a segment whose index is as large is sealed.
    pub index_size_max_bytes: u32,
    /// `retention.ms`; -1: no limit.
    pub retention_ms: i64,
    /// `retention.bytes`; -1: no limit.
    pub retention_bytes: i64,
    /// `cleanup.policy` contains `delete`.
    pub cleanup_delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub cleanup_compact: bool,
    /// `delete.retention.ms`: how long compaction keeps tombstones.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: how long a record stays uncompacted at least.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: how long a record may stay uncompacted.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio` in millionths: a log of which no more is uncompacted can wait.
    pub min_cleanable_dirty_millionths: u32,
    /// `flush.messages`: so many unflushed records call for a flush.
    pub flush_messages: i64,
    /// `flush.ms`: so long after the last flush calls for another.
    pub flush_ms: i64,
    /// `file.delete.delay.ms`: how long files of deleted segments stay.
    pub file_delete_delay: Duration,
    /// `message.timestamp.type`. The log stores timestamps as they come; this is for whoever stamps batches.
    pub message_timestamp_type: TimestampType,
    /// `producer.id.expiration.ms` (a broker setting): idle producers are forgotten after it.
    pub producer_id_expiration_ms: i64,
}

impl LogConfig {
    /// After a power cut the log itself tells its leader epochs, unless compaction has taken some of them.
    pub(crate) fn epoch_durability(&self) -> Durability {
        if self.cleanup_compact { Durability::Machine } else { Durability::Process }
    }
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        const HOUR_MS: i64 = 3_600_000;
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 168 * HOUR_MS,
            segment_jitter_ms: 0,
            preallocate: false,
            index_interval_bytes: 4096,
            index_size_max_bytes: 10 << 20,
            retention_ms: 168 * HOUR_MS,
            retention_bytes: -1,
            cleanup_delete: true,
            cleanup_compact: false,
            delete_retention_ms: 24 * HOUR_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_millionths: 500_000,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            file_delete_delay: Duration::from_secs(60),
            message_timestamp_type: TimestampType::CreateTime,
            producer_id_expiration_ms: 24 * HOUR_MS,
        }
    }
}
