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

/// Counters and gauges. A clone counts into the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    reconciles: Family<Reconcile, Counter>,
    writes: Family<Write, Counter>,
    watched: Family<Watched, Counter>,
    notes: Family<Noted, Counter>,
    /// Elections of replicas that were not in sync.
    pub unclean_leader_elections: Counter,
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
        let text = metrics.encode().unwrap();
        for line in [
            r#"milena_operator_reconciles_total{controller="cluster",result="ok"} 1"#,
            r#"milena_operator_api_writes_total{method="PATCH",resource="kafkatopics/status"} 1"#,
            r#"milena_operator_watch_events_total{resource="kafkatopics"} 1"#,
            r#"milena_operator_notes_total{reason="LeadersElected"} 1"#,
            "milena_operator_leader 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("milena_operator_resident_memory_bytes"));
    }
}
