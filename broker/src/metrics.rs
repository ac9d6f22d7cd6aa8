//! What a broker counts, in the Prometheus text format.

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use milena_replication::{Change, Outcome};
use milena_storage::CleanStats;
use tracing::info;

use crate::{api::TABLE, partitions::Hosted};

/// Counters and gauges of one broker. Each is an atomic: counting costs a record's path nanoseconds.
pub struct Metrics {
    registry: Registry,
    /// Requests by API.
    pub requests: RequestCounters,
    /// Bytes of record batches taken from producers.
    pub bytes_in: Counter,
    /// Bytes of record batches given to consumers.
    pub bytes_out: Counter,
    /// Record batches taken from producers.
    pub batches_in: Counter,
    /// Partitions that this broker leads.
    pub leaders: Gauge,
    /// Replicas that this broker hosts.
    pub replicas: Gauge,
    /// Replicas here that cannot be served: their log failed to open or to write.
    pub failed_replicas: Gauge,
    /// Replicas here with records that were found to be unreadable since the start.
    pub damaged_replicas: Gauge,
    /// Log directories that are out of service.
    pub offline_log_directories: Gauge,
    /// Log directories in which nothing but the reserve is left.
    pub full_log_directories: Gauge,
    /// Logs on disk that no object knows: kept, not served.
    pub unknown_logs: Gauge,
    /// Partitions of which a newer state is remembered than is shown.
    pub older_states: Gauge,
    /// The compaction of logs.
    pub cleaner: Arc<CleanerMetrics>,
    /// Partitions led here of which some replica is not in sync.
    pub under_replicated: Gauge,
    /// Partitions led here with fewer in-sync replicas than `min.insync.replicas`.
    pub under_min_isr: Gauge,
    /// Partitions led here with as many as that and not with all: the next loss stops acks=all.
    pub at_min_isr: Gauge,
    /// Records that the slowest follower of any partition led here lacks.
    pub replication_lag: Gauge,
    /// Changes after which fewer replicas were in sync.
    pub isr_shrinks: Counter,
    /// Changes after which more replicas were in sync, or one with another generation of its log.
    pub isr_expands: Counter,
    /// Fetch sessions that are kept.
    pub fetch_sessions: Gauge,
    /// Partitions of all of them.
    pub fetch_session_partitions: Gauge,
    /// Fetch sessions that had to make room for others.
    pub fetch_session_evictions: Counter,
    /// Memory of what was appended last, for readers at the ends of logs.
    pub fetch_tail_bytes: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// Connections that had no place.
    pub refused_connections: Counter,
    /// 1 while the control plane can be reached.
    pub coordination_reachable: Gauge,
}

/// What the cleaner counts.
#[derive(Default)]
pub struct CleanerMetrics {
    /// Cleanings that were finished.
    pub runs: Counter,
    /// Bytes that they read.
    pub bytes_read: Counter,
    /// Bytes that they wrote.
    pub bytes_written: Counter,
    /// How full the last one's memory for keys was, percent.
    pub map_percent: Gauge,
    /// The part of the dirtiest log that is not compacted yet, percent.
    pub max_dirty_percent: Gauge,
    /// Logs that are not compacted any more because they are corrupt.
    pub uncleanable_partitions: Gauge,
}

impl CleanerMetrics {
    /// One more cleaning.
    pub fn count(&self, stats: &CleanStats) {
        self.runs.inc();
        self.bytes_read.inc_by(stats.bytes_read);
        self.bytes_written.inc_by(stats.bytes_written);
        self.map_percent.set(i64::try_from(stats.map_percent).unwrap_or(100));
    }

    fn register(&self, registry: &mut Registry) {
        let counters = [
            ("cleaner_runs", "Cleanings of compacted logs", &self.runs),
            ("cleaner_read_bytes", "Bytes that cleanings read", &self.bytes_read),
            ("cleaner_written_bytes", "Bytes that cleanings wrote", &self.bytes_written),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let gauges = [
            ("cleaner_buffer_percent", "How full the last cleaning's memory for keys was", &self.map_percent),
            ("cleaner_max_dirty_percent", "Uncompacted part of the dirtiest log", &self.max_dirty_percent),
            (
                "uncleanable_partitions",
                "Logs that are not compacted any more because they are corrupt",
                &self.uncleanable_partitions,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Api {
    api: &'static str,
}

/// One counter for each row of the API table, found by key.
pub struct RequestCounters {
    by_key: Vec<(i16, Counter)>,
}

impl RequestCounters {
    /// One more request of that API.
    pub fn count(&self, key: i16) {
        if let Some((_, counter)) = self.by_key.iter().find(|(row, _)| *row == key) {
            counter.inc();
        }
    }
}

impl Default for Metrics {
    /// All at zero.
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("milena");
        let family = Family::<Api, Counter>::default();
        registry.register("requests", "Requests, by API", family.clone());
        let by_key = TABLE
            .iter()
            .map(|row| (row.key as i16, family.get_or_create_owned(&Api { api: row.name })))
            .collect();
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let bytes_in = counter("produced_bytes", "Bytes of record batches taken from producers");
        let bytes_out = counter("fetched_bytes", "Bytes of record batches given to consumers");
        let batches_in = counter("produced_batches", "Record batches taken from producers");
        let isr_shrinks = counter("isr_shrinks", "Changes after which fewer replicas were in sync");
        let isr_expands = counter("isr_expands", "Changes after which more replicas were in sync");
        // Kafka's names, of `kafka.server:type=FetchSessionCache`.
        let refused_connections = counter(
            "refused_connections",
            "Connections beyond max.connections, max.connections.per.ip or half of the open files",
        );
        let fetch_session_evictions =
            counter("incremental_fetch_session_evictions", "Fetch sessions that had to make room for others");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let leaders = gauge("leader_partitions", "Partitions that this broker leads");
        let replicas = gauge("replicas", "Replicas that this broker hosts");
        let damaged_replicas =
            gauge("damaged_replicas", "Replicas with unreadable records, which are not served");
        let failed_replicas = gauge("failed_replicas", "Replicas whose log failed to open or to write");
        let offline_log_directories =
            gauge("offline_log_directories", "Log directories out of service: a write or a sync failed");
        let full_log_directories = gauge(
            "full_log_directories",
            "Log directories with no more free than log.dir.reserved.bytes: records are refused",
        );
        let unknown_logs = gauge("unknown_logs", "Logs on disk of topics that no object knows");
        let help = "Partitions of which this broker remembers a newer state than the API server shows";
        let older_states = gauge("older_states", help);
        let under_replicated =
            gauge("under_replicated_partitions", "Partitions led here of which some replica is not in sync");
        let under_min_isr = gauge(
            "under_min_isr_partitions",
            "Partitions led here with fewer in-sync replicas than min.insync.replicas",
        );
        let at_min_isr = gauge(
            "at_min_isr_partitions",
            "Partitions led here with just min.insync.replicas in-sync replicas, and not with all",
        );
        let replication_lag = gauge(
            "replication_lag_records",
            "Records that the slowest follower of any partition led here lacks",
        );
        let fetch_sessions = gauge("num_incremental_fetch_sessions", "Fetch sessions that are kept");
        let fetch_session_partitions =
            gauge("num_incremental_fetch_partitions_cached", "Partitions of all fetch sessions");
        let fetch_tail_bytes = gauge("fetch_tail_bytes", "Memory for readers at the ends of logs");
        let connections = gauge("connections", "Open connections");
        let coordination_reachable =
            gauge("coordination_reachable", "1 while the control plane can be reached");
        let cleaner = Arc::<CleanerMetrics>::default();
        cleaner.register(&mut registry);
        Metrics {
            registry,
            cleaner,
            requests: RequestCounters { by_key },
            bytes_in,
            bytes_out,
            batches_in,
            leaders,
            replicas,
            failed_replicas,
            damaged_replicas,
            offline_log_directories,
            full_log_directories,
            unknown_logs,
            older_states,
            under_replicated,
            under_min_isr,
            at_min_isr,
            replication_lag,
            isr_shrinks,
            isr_expands,
            fetch_sessions,
            fetch_session_partitions,
            fetch_session_evictions,
            fetch_tail_bytes,
            connections,
            refused_connections,
            coordination_reachable,
        }
    }
}

impl Metrics {
    /// Shows how many replicas there are, and says so where that has changed.
    pub fn show_replicas(&self, broker: i32, hosted: &Hosted) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let (replicas, leaders, failed) = hosted.counts();
        let (replicas, leaders, failed) = (count(replicas), count(leaders), count(failed));
        let before =
            (self.replicas.set(replicas), self.leaders.set(leaders), self.failed_replicas.set(failed));
        if before != (replicas, leaders, failed) {
            info!(broker, replicas, leads = leaders, failed, "partitions here");
        }
    }

    /// Shows how the partitions that are led here stand.
    pub fn show_replication(&self, hosted: &Hosted) {
        let (mut under_replicated, mut under_min_isr, mut at_min_isr, mut lag) = (0, 0, 0, 0);
        for replica in hosted.replicas().filter(|replica| replica.is_leader()) {
            lag = lag.max(replica.replication_lag());
            if replica.state().is_under_replicated() {
                under_replicated += 1;
                match replica.spare_in_sync() {
                    Some(..0) => under_min_isr += 1,
                    Some(0) => at_min_isr += 1,
                    _ => {}
                }
            }
        }
        self.under_replicated.set(under_replicated);
        self.under_min_isr.set(under_min_isr);
        self.at_min_isr.set(at_min_isr);
        self.replication_lag.set(lag);
    }

    /// Counts a change of the ISR that has succeeded.
    pub fn count_isr_change(&self, change: &Change, outcome: Outcome) {
        if outcome == Outcome::Succeeded {
            let shrinks = change.new.isr.len() < change.old.isr.len();
            if shrinks { &self.isr_shrinks } else { &self.isr_expands }.inc();
        }
    }

    /// Everything, as Prometheus reads it.
    ///
    /// # Errors
    /// None that happen: the text is written to memory.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
