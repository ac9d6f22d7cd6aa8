//! The brokers of a new cluster come up one after the other. Its first topics wait for all of them, for a while:
//! partitions that were placed on the first broker alone would stay there.

use std::ops::Range;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::broker::{Brokers, Liveness};

/// How long the first topics wait from the moment when somebody could hold them.
pub(crate) const PATIENCE: SignedDuration = SignedDuration::from_secs(20);

/// Whether a cluster without any partition waits for brokers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gathering {
    until: Option<Timestamp>,
    waits: bool,
}

impl Gathering {
    /// Looks at the brokers of a cluster that wants `wanted` of them; `empty`: it has no partitions.
    pub(crate) fn look(&self, brokers: &Brokers, wanted: Range<i32>, empty: bool, now: Timestamp) -> Self {
        let (start, end) = (wanted.start, wanted.end);
        let alive = alive(brokers, wanted);
        if !empty || alive == 0 || alive >= end.saturating_sub(start) {
            return Self::default();
        }
        let last = now.saturating_add(PATIENCE).unwrap_or(Timestamp::MAX);
        // A clock that was put back makes nobody wait longer.
        let until = self.until.map_or(last, |until| until.min(last));
        Self { until: Some(until), waits: now < until }
    }

    /// When the wait is over, if there is one.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.until.filter(|_| self.waits)
    }
}

/// How many of the brokers with these ids are alive.
pub(crate) fn alive(brokers: &Brokers, wanted: Range<i32>) -> i32 {
    let wanted = wanted.start..wanted.end.max(wanted.start);
    let alive = brokers.range(wanted).filter(|(_, broker)| broker.liveness == Liveness::Alive);
    i32::try_from(alive.count()).unwrap_or(i32::MAX)
}
