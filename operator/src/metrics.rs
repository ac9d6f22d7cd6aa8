//! What the operator counts, and the text of /metrics.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

/// Labels of a reconcile.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Reconcile {
    /// `cluster` or `partitions`.
    pub controller: &'static str,
    /// `ok` or `error`.
    pub result: &'static str,
}

/// Labels of a write to the API server.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Write {
    /// HTTP method.
    pub method: String,
    /// Resource in the plural, with its subresource: `kafkatopics/status`.
    pub resource: String,
}

/// Labels of an event of a watch.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Watched {
    /// Resource in the plural.
    pub resource: String,
}

/// Labels of something that people were told of.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Noted {
    /// What happened, in one word.
    pub reason: &'static str,
}

/// Labels of what changed who leads partitions.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Election {
    /// `LeadersElected`, `LeadersRestarted`, `PartitionsOffline`… `PossibleLoss` and `UncleanElection` may lose records.
    pub reason: &'static str,
}

/// Labels of a cluster.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Cluster {
    /// Namespace of the KafkaCluster.
    pub namespace: String,
    /// Its name.
    pub cluster: String,
}

/// How the partitions of each cluster stand, as its status tells.
#[derive(Clone, Debug, Default)]
struct Partitions {
    all: Family<Cluster, Gauge>,
    offline: Family<Cluster, Gauge>,
    under_replicated: Family<Cluster, Gauge>,
    held: Family<Cluster, Gauge>,
}

/// Counters and gauges. A clone counts into the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    reconciles: Family<Reconcile, Counter>,
    writes: Family<Write, Counter>,
    watched: Family<Watched, Counter>,
    notes: Family<Noted, Counter>,
    /// Elections of replicas that were not in sync.
    pub unclean_leader_elections: Counter,
    elections: Family<Election, Counter>,
    partitions: Partitions,
    /// 1 while this replica is the one that works.
    pub leader: Gauge,
}

impl Metrics {
    /// Counts one reconcile of `controller`.
    pub fn reconciled(&self, controller: &'static str, ok: bool) {
        let result = if ok { "ok" } else { "error" };
        self.reconciles.get_or_create(&Reconcile { controller, result }).inc();
    }

    /// Counts one write to the API server.
    pub fn wrote(&self, method: &str, resource: &str) {
        let labels = Write { method: method.to_owned(), resource: resource.to_owned() };
        self.writes.get_or_create(&labels).inc();
    }

    /// Counts one event of a watch.
    pub fn saw(&self, resource: &str) {
        self.watched.get_or_create(&Watched { resource: resource.to_owned() }).inc();
    }

    /// Counts something that people were told of: elections, restarts, losses.
    pub fn noted(&self, reason: &'static str) {
        self.notes.get_or_create(&Noted { reason }).inc();
    }

    /// Counts partitions whose leader changed.
    pub fn elected(&self, reason: &'static str, partitions: usize) {
        let partitions = u64::try_from(partitions).unwrap_or(u64::MAX);
        self.elections.get_or_create(&Election { reason }).inc_by(partitions);
    }

    /// Shows how the partitions of a cluster stand; `None` once there is no such cluster any more.
    pub fn show_partitions(&self, namespace: &str, cluster: &str, counts: Option<[i32; 3]>) {
        let labels = Cluster { namespace: namespace.to_owned(), cluster: cluster.to_owned() };
        let Partitions { all, offline, under_replicated, held } = &self.partitions;
        let Some(counts) = counts else {
            return [all, offline, under_replicated, held].into_iter().for_each(|family| {
                family.remove(&labels);
            });
        };
        for (family, count) in [all, offline, under_replicated].into_iter().zip(counts) {
            family.get_or_create(&labels).set(i64::from(count));
        }
    }

    /// Shows on how many partitions of a cluster nobody acts since etcd was restored.
    pub fn show_held(&self, namespace: &str, cluster: &str, held: i32) {
        let labels = Cluster { namespace: namespace.to_owned(), cluster: cluster.to_owned() };
        self.partitions.held.get_or_create(&labels).set(i64::from(held));
    }

    /// The text of /metrics, in the OpenMetrics format.
    ///
    /// # Errors
    /// When the text cannot be written.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("milena_operator");
        registry.register("reconciles", "Reconciles, by controller and result", self.reconciles.clone());
        registry.register("api_writes", "Writes sent to the API server", self.writes.clone());
        registry.register("watch_events", "Events of watches, by resource", self.watched.clone());
        registry.register("notes", "What was told of topics and partitions, by reason", self.notes.clone());
        let unclean = self.unclean_leader_elections.clone();
        registry.register(
            "unclean_leader_elections",
            "Elections that may have lost acknowledged records",
            unclean,
        );
        let elections = self.elections.clone();
        registry.register("leader_elections", "Partitions whose leader changed, by reason", elections);
        let Partitions { all, offline, under_replicated, held } = self.partitions.clone();
        registry.register("partitions", "Partitions of a cluster", all);
        registry.register("offline_partitions", "Partitions of a cluster without a leader", offline);
        let help = "Partitions of a cluster of which some replica is not in sync";
        registry.register("under_replicated_partitions", help, under_replicated);
        let help = "Partitions of a cluster that wait for their newest state since etcd was restored";
        registry.register("restoring_partitions", help, held);
        registry.register("leader", "1 while this replica is the one that works", self.leader.clone());
        registry.register_collector(Box::new(Memory));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// Memory of this process, read when it is asked for.
#[derive(Debug)]
struct Memory;

impl Collector for Memory {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(bytes) = resident_bytes() else { return Ok(()) };
        let gauge = ConstGauge::new(bytes);
        let help = "Resident memory of the process";
        let metric =
            encoder.encode_descriptor("resident_memory", help, Some(&Unit::Bytes), gauge.metric_type())?;
        gauge.encode(metric)
    }
}

/// Resident memory by /proc/self/status, which gives it in kB.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::default();
        metrics.reconciled("cluster", true);
        metrics.wrote("PATCH", "kafkatopics/status");
        metrics.saw("kafkatopics");
        metrics.noted("LeadersElected");
        metrics.leader.set(1);
        metrics.elected("LeadersElected", 3);
        metrics.show_partitions("default", "demo", Some([6, 1, 2]));
        metrics.show_held("default", "demo", 4);
        metrics.show_partitions("default", "gone", Some([1, 0, 0]));
        metrics.show_partitions("default", "gone", None);
        let text = metrics.encode().unwrap();
        for line in [
            r#"milena_operator_reconciles_total{controller="cluster",result="ok"} 1"#,
            r#"milena_operator_api_writes_total{method="PATCH",resource="kafkatopics/status"} 1"#,
            r#"milena_operator_leader_elections_total{reason="LeadersElected"} 3"#,
            r#"milena_operator_offline_partitions{namespace="default",cluster="demo"} 1"#,
            r#"milena_operator_under_replicated_partitions{namespace="default",cluster="demo"} 2"#,
            r#"milena_operator_restoring_partitions{namespace="default",cluster="demo"} 4"#,
            r#"milena_operator_watch_events_total{resource="kafkatopics"} 1"#,
            r#"milena_operator_notes_total{reason="LeadersElected"} 1"#,
            "milena_operator_leader 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("milena_operator_resident_memory_bytes"));
    }
}
