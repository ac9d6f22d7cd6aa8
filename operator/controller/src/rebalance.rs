//! Leadership goes back to the first replicas from time to time, as `auto.leader.rebalance.enable` says: after a broker
//! was away, the others lead what was its own.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use milena_crds::settings::{Config, broker_setting};

use crate::controller::Cluster;

/// Most elections of one round, as in Kafka; the next round follows at once.
pub(crate) const MAX_ELECTIONS: usize = 1000;

/// When the next round is due.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rebalance {
    due: Option<Timestamp>,
}

impl Rebalance {
    /// Whether a round is due, and when the next one is.
    pub(crate) fn look(self, cluster: Option<&Cluster>, now: Timestamp) -> (bool, Self) {
        let enabled = |cluster: &&Cluster| {
            cluster.brokers > 1 && value(&cluster.config, "auto.leader.rebalance.enable") == Some("true")
        };
        let Some(cluster) = cluster.filter(enabled) else { return (false, Self::default()) };
        let seconds = value(&cluster.config, "leader.imbalance.check.interval.seconds");
        let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(i64::MAX);
        let next = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        let is_due = self.due.is_some_and(|due| due <= now);
        // A clock that was put back makes nobody wait longer.
        let due = if is_due { next } else { self.due.map_or(next, |due| due.min(next)) };
        (is_due, Self { due: Some(due) })
    }

    /// There was more to do than one round takes.
    pub(crate) fn go_on(self, now: Timestamp) -> Self {
        Self { due: self.due.map(|_| now) }
    }

    /// When the next round is due, if there is one.
    pub(crate) fn deadline(self) -> Option<Timestamp> {
        self.due
    }
}

fn value<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    config.get(name).map(|value| value.as_str()).or_else(|| broker_setting(name)?.default)
}
