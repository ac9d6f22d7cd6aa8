//! The settings of one topic: its own, the broker's defaults, Kafka's defaults.

use std::time::Duration;

use milena_crds::settings::{self, Config};
use milena_records::{Codec, Compression, TimestampType};
use milena_storage::LogConfig;

use super::{
    BrokerConfig,
    values::{Millionths, Typed, Values},
};
use crate::throttle::Throttled;

/// What appends, reads and retention of a topic go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// Longest batch in bytes (`max.message.bytes`).
    pub max_message_bytes: usize,
    /// `min.insync.replicas`.
    pub min_in_sync: usize,
    /// Codec that batches are stored with, and its level; none: that of the producer.
    pub compression: Option<Codec>,
    /// Whether records carry the producer's time or that of the append.
    pub timestamp_type: TimestampType,
    /// How far before now a record's time may lie, in milliseconds.
    pub timestamp_before_max_ms: i64,
    /// How far after now a record's time may lie, in milliseconds.
    pub timestamp_after_max_ms: i64,
    /// Replicas whose sending is throttled (`leader.replication.throttled.replicas`).
    pub throttled_leaders: Throttled,
    /// Replicas whose fetching is throttled (`follower.replication.throttled.replicas`).
    pub throttled_followers: Throttled,
    /// What the log goes by.
    pub log: LogConfig,
}

impl TopicConfig {
    /// The settings in force for a topic with these settings of its own.
    pub fn resolve(broker: &BrokerConfig, own: &Config) -> TopicConfig {
        let settings = Effective { broker: &broker.values, own };
        let timestamp_type = match settings.get::<String>("message.timestamp.type").as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        };
        let cleanup: String = settings.get("cleanup.policy");
        let cleans = |policy: &str| cleanup.split(',').any(|part| part.trim() == policy);
        TopicConfig {
            max_message_bytes: settings.get("max.message.bytes"),
            min_in_sync: settings.get("min.insync.replicas"),
            compression: settings.codec(),
            timestamp_type,
            timestamp_before_max_ms: settings.get("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: settings.get("message.timestamp.after.max.ms"),
            throttled_leaders: Throttled::read(
                &settings.get::<String>("leader.replication.throttled.replicas"),
            ),
            throttled_followers: Throttled::read(
                &settings.get::<String>("follower.replication.throttled.replicas"),
            ),
            log: LogConfig {
                segment_bytes: settings.get("segment.bytes"),
                segment_ms: settings.get("segment.ms"),
                segment_jitter_ms: settings.get("segment.jitter.ms"),
                preallocate: settings.get("preallocate"),
                index_interval_bytes: settings.get("index.interval.bytes"),
                index_size_max_bytes: settings.get("segment.index.bytes"),
                retention_ms: settings.get("retention.ms"),
                retention_bytes: settings.get("retention.bytes"),
                cleanup_delete: cleans("delete"),
                cleanup_compact: cleans("compact"),
                delete_retention_ms: settings.get("delete.retention.ms"),
                min_compaction_lag_ms: settings.get("min.compaction.lag.ms"),
                max_compaction_lag_ms: settings.get("max.compaction.lag.ms"),
                min_cleanable_dirty_millionths: settings.get::<Millionths>("min.cleanable.dirty.ratio").0,
                flush_messages: settings.get("flush.messages"),
                flush_ms: settings.get("flush.ms"),
                file_delete_delay: settings.get::<Duration>("file.delete.delay.ms"),
                message_timestamp_type: timestamp_type,
                producer_id_expiration_ms: broker.producer_id_expiration_ms,
            },
        }
    }

    /// Whether records may be deleted from the start of the log on request.
    pub fn deletes_records(&self) -> bool {
        self.log.cleanup_delete
    }
}

struct Effective<'a> {
    broker: &'a Values,
    own: &'a Config,
}

impl Effective<'_> {
    fn get<T: Typed>(&self, name: &str) -> T {
        match settings::topic_setting(name) {
            Some(setting) => T::read(&settings::effective(setting, self.own, self.broker.all()).value),
            None => T::read(""),
        }
    }

    /// The codec to store with; "producer", and what is no codec, leave batches as they come.
    fn codec(&self) -> Option<Codec> {
        let compression = match self.get::<String>("compression.type").as_str() {
            "uncompressed" => Compression::None,
            name => Compression::from_name(name)?,
        };
        let level = match compression {
            // -1 is gzip's own default.
            Compression::Gzip => Some(self.get("compression.gzip.level")).filter(|level| *level != -1),
            Compression::Lz4 => Some(self.get("compression.lz4.level")),
            Compression::Zstd => Some(self.get("compression.zstd.level")),
            Compression::None | Compression::Snappy => None,
        };
        Some(Codec { compression, level })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(broker: &[(&str, &str)], own: &[(&str, &str)]) -> TopicConfig {
        let config =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).into())).collect();
        let broker = BrokerConfig::new(Values::new(config(broker)).unwrap());
        TopicConfig::resolve(&broker, &config(own))
    }

    #[test]
    fn defaults_are_kafkas() {
        let config = resolve(&[], &[]);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!((config.min_in_sync, config.compression), (1, None));
        assert_eq!(config.log, LogConfig::default());
    }

    #[test]
    fn the_topic_goes_before_the_broker_and_the_broker_before_the_default() {
        let broker = [("log.retention.hours", "1"), ("compression.type", "zstd")];
        assert_eq!(resolve(&broker, &[]).log.retention_ms, 3_600_000);
        let codec = |compression, level| Some(Codec { compression, level });
        assert_eq!(resolve(&broker, &[]).compression, codec(Compression::Zstd, Some(3)));
        let own = [("retention.ms", "5"), ("compression.type", "uncompressed")];
        assert_eq!(resolve(&broker, &own).log.retention_ms, 5);
        assert_eq!(resolve(&broker, &own).compression, codec(Compression::None, None));
        let own =
            [("compression.type", "gzip"), ("compression.gzip.level", "-1"), ("compression.zstd.level", "5")];
        assert_eq!(resolve(&broker, &own).compression, codec(Compression::Gzip, None));
    }

    #[test]
    fn cleanup_policies_combine() {
        let both = resolve(&[], &[("cleanup.policy", "compact, delete")]).log;
        assert!(both.cleanup_compact && both.cleanup_delete);
        let compact = resolve(&[], &[("cleanup.policy", "compact")]);
        assert!(compact.log.cleanup_compact && !compact.deletes_records());
    }
}
