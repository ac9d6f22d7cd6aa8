//! The broker's own settings.

use std::{sync::Arc, time::Duration};

use super::values::{Millionths, Rate, ReplicaSelector, Typed, Values};

macro_rules! broker_config {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $name:literal;)*) => {
        /// Settings that the broker acts on; topic defaults are read from `values` when a topic needs them.
        #[derive(Clone, Debug)]
        pub struct BrokerConfig {
            /// All that were set, by name.
            pub values: Arc<Values>,
            $($(#[$doc])* pub $field: $type,)*
        }

        impl BrokerConfig {
            /// Reads every setting.
            pub fn new(values: Values) -> BrokerConfig {
                BrokerConfig {
                    $($field: <$type as Typed>::read(values.text($name)),)*
                    values: Arc::new(values),
                }
            }

            /// The names that are read.
            #[cfg(test)]
            const NAMES: &[&str] = &[$($name),*];
        }
    };
}

broker_config! {
    /// Longest request in bytes.
    max_frame_bytes: usize = "socket.request.max.bytes";
    /// Connections at a time.
    max_connections: usize = "max.connections";
    /// Connections from one address at a time.
    max_connections_per_ip: usize = "max.connections.per.ip";
    /// Bytes of a connection that the system holds for a client to take; -1: as it likes.
    send_buffer: i32 = "socket.send.buffer.bytes";
    /// Bytes of a connection that the system holds until they are read; -1: as it likes.
    receive_buffer: i32 = "socket.receive.buffer.bytes";
    /// Bytes of a connection that are taken from an answer before they can be sent.
    unsent_bytes: u32 = "milena.socket.unsent.bytes";
    /// The same of all connections together.
    queued_unsent_bytes: usize = "milena.queued.max.unsent.bytes";
    /// Bytes of all requests that are read or answered at a time.
    queued_request_bytes: usize = "queued.max.request.bytes";
    /// Bytes of all answers that wait in memory for their clients.
    queued_response_bytes: usize = "milena.queued.max.response.bytes";
    /// How long a connection may be silent.
    max_idle: Duration = "connections.max.idle.ms";
    /// How long a part of a request may be on its way.
    request_progress: Duration = "milena.request.progress.ms";
    /// Most bytes that one fetch is answered with.
    fetch_max_bytes: usize = "fetch.max.bytes";
    /// Whether consumers are sent to an in-sync replica in their own rack (KIP-392).
    replica_selector: ReplicaSelector = "replica.selector.class";
    /// Most fetch sessions.
    fetch_session_slots: usize = "max.incremental.fetch.session.cache.slots";
    /// Most partitions of all fetch sessions.
    fetch_session_partitions: usize = "milena.fetch.session.cache.partitions";
    /// Bytes of appended batches that are kept in memory for readers at the ends of logs.
    fetch_tail_bytes: usize = "milena.fetch.tail.bytes";
    /// Partitions of a topic that does not say.
    num_partitions: i32 = "num.partitions";
    /// Replicas of a topic that does not say.
    default_replication_factor: i16 = "default.replication.factor";
    /// Whether asking for a topic makes it.
    auto_create_topics: bool = "auto.create.topics.enable";
    /// Whether clients may delete topics.
    delete_topics: bool = "delete.topic.enable";
    /// How often retention is looked after.
    retention_check: Duration = "log.retention.check.interval.ms";
    /// Bytes that are kept free in a log directory; -1: by its size.
    log_dir_reserved: i64 = "log.dir.reserved.bytes";
    /// Bytes of logs on their way to each disk at a time, ahead of any sync; 0: as the kernel likes.
    write_back_in_flight: i64 = "milena.log.writeback.inflight.bytes";
    /// Bytes a second to replicas that are added.
    reassignment_rate: i64 = "milena.reassignment.max.bytes.per.second";
    /// Whether compacted topics are compacted.
    cleaner_enabled: bool = "log.cleaner.enable";
    /// How often logs to compact are looked for.
    cleaner_backoff: Duration = "log.cleaner.backoff.ms";
    /// Logs that are compacted at a time.
    cleaner_threads: usize = "log.cleaner.threads";
    /// Memory of all cleaner threads for keys, in bytes.
    cleaner_dedupe_bytes: usize = "log.cleaner.dedupe.buffer.size";
    /// How much of that is used.
    cleaner_load_factor: Millionths = "log.cleaner.io.buffer.load.factor";
    /// Memory of all cleaner threads for reading and writing, in bytes.
    cleaner_io_bytes: usize = "log.cleaner.io.buffer.size";
    /// Most bytes a second that all cleaner threads read and write.
    cleaner_rate: Rate = "log.cleaner.io.max.bytes.per.second";
    /// How often recovery points are written.
    recovery_checkpoint: Duration = "log.flush.offset.checkpoint.interval.ms";
    /// How long an idle producer's sequences are remembered, in milliseconds.
    producer_id_expiration_ms: i64 = "producer.id.expiration.ms";
    /// How long a follower may be behind and stay in sync, in milliseconds.
    replica_lag_ms: i64 = "replica.lag.time.max.ms";
    /// How long nothing may be heard of a follower that is behind.
    replica_silence: Duration = "milena.replica.silence.max.ms";
    /// Most bytes of one partition that a follower is sent at a time.
    replica_fetch_bytes: usize = "replica.fetch.max.bytes";
    /// Most bytes that a follower is sent at a time.
    replica_response_bytes: usize = "replica.fetch.response.max.bytes";
    /// Partitions of `__consumer_offsets`.
    offsets_topic_partitions: i32 = "offsets.topic.num.partitions";
    /// Replicas of `__consumer_offsets`.
    offsets_topic_replicas: i16 = "offsets.topic.replication.factor";
    /// Segment size of `__consumer_offsets` in bytes.
    offsets_topic_segment_bytes: i64 = "offsets.topic.segment.bytes";
    /// How long a commit waits until its record is replicated.
    offsets_commit_timeout: Duration = "offsets.commit.timeout.ms";
    /// Longest metadata text of a committed offset, in bytes.
    offset_metadata_max_bytes: usize = "offset.metadata.max.bytes";
    /// How long the offsets of an empty group are kept, in minutes.
    offsets_retention_minutes: i64 = "offsets.retention.minutes";
    /// How often expired offsets are looked for.
    offsets_retention_check: Duration = "offsets.retention.check.interval.ms";
    /// Shortest session timeout that a group member may ask for, in milliseconds.
    group_min_session_timeout_ms: i64 = "group.min.session.timeout.ms";
    /// Longest session timeout that a group member may ask for, in milliseconds.
    group_max_session_timeout_ms: i64 = "group.max.session.timeout.ms";
    /// How long a new group waits for more members, in milliseconds.
    group_initial_rebalance_delay_ms: i64 = "group.initial.rebalance.delay.ms";
    /// Most members of a group.
    group_max_size: usize = "group.max.size";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_the_table_with_a_default_that_reads() {
        for name in BrokerConfig::NAMES {
            let setting = milena_crds::settings::broker_setting(name);
            assert!(setting.is_some_and(|setting| setting.default.is_some()), "{name}");
        }
        let config = BrokerConfig::new(Values::default());
        assert_eq!(config.num_partitions, 1);
        assert!(config.auto_create_topics);
        assert_eq!(config.max_idle, Duration::from_secs(600));
    }

    #[test]
    fn what_is_set_counts() {
        let one = |name: &str, value: &str| Values::new([(name.to_owned(), value.into())].into());
        assert_eq!(BrokerConfig::new(one("num.partitions", "7").unwrap()).num_partitions, 7);
        assert!(one("num.partitions", "many").is_err());
        assert!(one("num.partition", "7").is_err());
    }
}
