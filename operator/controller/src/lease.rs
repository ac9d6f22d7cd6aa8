//! Judgement of brokers' Leases (rule 9), on the caller's own monotonic clock: what a Lease says of the time is not
//! looked at, only whether it changes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::Liveness;

/// When, on the caller's monotonic clock.
pub type Instant = Duration;

/// Leases of one cluster's brokers.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    seen: BTreeMap<i32, Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    /// Broker epoch, and whatever changes at each renewal.
    epoch: i64,
    stamp: String,
    duration: Duration,
    since: Instant,
    /// It was seen to change since the watch was last broken: somebody renews it.
    changed: bool,
    /// A signal other than the Lease says that this epoch's process is gone; how often the Lease changed since.
    gone: Option<u32>,
}

/// Changes of a Lease that overrule the signal that its process is gone: the first may have been on its way.
const OVERRULED: u32 = 2;

/// What a Lease says.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// leaseTransitions: the broker epoch.
    pub epoch: i64,
    /// Whatever changes at each renewal.
    pub stamp: &'a str,
    /// leaseDurationSeconds.
    pub duration: Duration,
}

/// What the Leases say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Who is alive, dead or not known yet.
    Brokers(BTreeMap<i32, Liveness>),
    /// So many Leases expired together that the API server is the likelier culprit: probe these brokers, and say
    /// what came out with [`Leases::gone`] or [`Leases::answered`], before anybody is elected.
    Suspicious(Vec<i32>),
}

impl Leases {
    /// A Lease as a watch (`live`) or a list shows it; `stamp` is its renewTime or resourceVersion. A live change means
    /// that somebody renews it; what a list shows may be years old.
    pub fn observe(&mut self, broker: i32, sight: &Sight<'_>, live: bool, now: Instant) {
        let Sight { epoch, stamp, duration } = *sight;
        let new =
            |changed, gone| Seen { epoch, stamp: stamp.to_owned(), duration, since: now, changed, gone };
        match self.seen.get_mut(&broker) {
            Some(seen) if seen.epoch == epoch && seen.stamp == stamp => seen.duration = duration,
            Some(seen) => {
                let gone = seen.gone.filter(|_| seen.epoch == epoch).map(|changes| changes.saturating_add(1));
                *seen = new(true, gone.filter(|changes| *changes < OVERRULED));
            }
            None => {
                self.seen.insert(broker, new(live, None));
            }
        }
    }

    /// A Lease was deleted: its broker is dead.
    pub fn removed(&mut self, broker: i32) {
        self.seen.remove(&broker);
    }

    /// The watch broke: what is known is old, and every wait begins anew.
    pub fn watch_broken(&mut self, now: Instant) {
        for seen in self.seen.values_mut() {
            seen.since = now;
            seen.changed = false;
        }
    }

    /// The process of that epoch is gone for certain: its container has terminated, its pod is gone, or its
    /// connection was reset and a new one refused. It stays so until the Lease
    /// changes, and more than once: one renewal may have been on its way.
    pub fn gone(&mut self, broker: i32, epoch: i64) {
        if let Some(seen) = self.seen.get_mut(&broker).filter(|seen| seen.epoch == epoch) {
            seen.gone = Some(0);
        }
    }

    /// The broker answered a probe: it works, although it cannot renew.
    pub fn answered(&mut self, broker: i32, now: Instant) {
        if let Some(seen) = self.seen.get_mut(&broker) {
            seen.since = now;
            seen.changed = true;
        }
    }

    /// The broker epoch in the Lease.
    #[must_use]
    pub fn epoch(&self, broker: i32) -> Option<i64> {
        self.seen.get(&broker).map(|seen| seen.epoch)
    }

    /// What to believe now.
    #[must_use]
    pub fn judge(&self, now: Instant) -> Verdict {
        let candidates = self.seen.values().filter(|seen| seen.gone.is_none()).count();
        let expired = |(id, seen): (&i32, &Seen)| (seen.gone.is_none() && seen.expired(now)).then_some(*id);
        let together: Vec<i32> = self.seen.iter().filter_map(expired).collect();
        // One of one, or one of two, is what a single fault looks like.
        if together.len() > 1 && together.len() * 2 > candidates {
            return Verdict::Suspicious(together);
        }
        Verdict::Brokers(self.seen.iter().map(|(id, seen)| (*id, seen.liveness(now))).collect())
    }

    /// When the next Lease expires if it does not change: when to judge again.
    #[must_use]
    pub fn next_expiry(&self, now: Instant) -> Option<Instant> {
        let running = self.seen.values().filter(|seen| seen.gone.is_none() && !seen.expired(now));
        running.map(|seen| seen.since.saturating_add(seen.duration)).min()
    }
}

impl Seen {
    fn expired(&self, now: Instant) -> bool {
        now.saturating_sub(self.since) >= self.duration
    }

    fn liveness(&self, now: Instant) -> Liveness {
        if self.gone.is_some() || self.expired(now) {
            Liveness::Dead
        } else if self.changed {
            Liveness::Alive
        } else {
            Liveness::Unknown
        }
    }
}
