//! How fast replicas that move are copied: bytes a second that a broker sends, takes, and moves between directories
//! (KIP-73, KIP-113). Set by clients for one broker (IncrementalAlterConfigs), kept in its data directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

/// File in the first data directory.
const FILE: &str = "dynamic-settings";
/// As fast as it goes; Kafka's default.
pub const UNLIMITED: i64 = i64::MAX;
/// Longest pause: a rate that has changed is noticed by then.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a broker sends to followers that are not in sync, of topics that name it in
/// `leader.replication.throttled.replicas`.
pub const LEADER: &str = "leader.replication.throttled.rate";
/// What it takes as a follower that is not in sync, of topics that name it in
/// `follower.replication.throttled.replicas`.
pub const FOLLOWER: &str = "follower.replication.throttled.rate";
/// What it copies from one log directory to another.
pub const DIRECTORIES: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// One rate, and what was taken of it.
#[derive(Debug)]
pub struct Throttle {
    rate: AtomicI64,
    debt: Mutex<Debt>,
}

/// What went ahead of the rate, at a time.
#[derive(Debug)]
struct Debt {
    /// Bytes, times the nanoseconds of a second.
    amount: u128,
    at: Instant,
}

const SECOND: u128 = 1_000_000_000;

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle { rate: AtomicI64::new(UNLIMITED), debt: Mutex::new(Debt { amount: 0, at: Instant::now() }) }
    }
}

impl Throttle {
    fn rate(&self) -> i64 {
        self.rate.load(Ordering::Relaxed)
    }

    /// From now on so many bytes a second.
    pub fn set_rate(&self, rate: i64) {
        if self.rate.swap(rate, Ordering::Relaxed) != rate {
            self.debt.lock().amount = 0;
        }
    }

    /// How long to wait before more is taken; zero where it need not be waited.
    pub fn pause(&self) -> Duration {
        self.pause_at(Instant::now())
    }

    fn pause_at(&self, now: Instant) -> Duration {
        match u128::try_from(self.rate()) {
            Ok(0) | Err(_) => LONGEST_PAUSE,
            Ok(rate) => {
                let nanos = self.debt.lock().pay(rate, now) / rate;
                u64::try_from(nanos).map_or(LONGEST_PAUSE, Duration::from_nanos).min(LONGEST_PAUSE)
            }
        }
    }

    /// So many bytes were taken.
    pub fn took(&self, bytes: usize) {
        self.took_at(bytes, Instant::now());
    }

    fn took_at(&self, bytes: usize, now: Instant) {
        let rate = self.rate();
        if let (true, Ok(rate), Ok(bytes)) = (rate != UNLIMITED, u128::try_from(rate), u128::try_from(bytes))
        {
            let mut debt = self.debt.lock();
            debt.pay(rate, now);
            debt.amount = debt.amount.saturating_add(bytes.saturating_mul(SECOND));
        }
    }

    /// The largest piece that is worth a pause behind it: a quarter of a second's.
    pub fn piece(&self) -> usize {
        usize::try_from(self.rate() / 4).unwrap_or(usize::MAX).max(1)
    }
}

impl Debt {
    /// What is left of it now.
    fn pay(&mut self, rate: u128, now: Instant) -> u128 {
        let paid = now.saturating_duration_since(self.at).as_nanos().saturating_mul(rate);
        (self.amount, self.at) = (self.amount.saturating_sub(paid), now);
        self.amount
    }
}

/// The rates of one broker.
#[derive(Debug, Default)]
pub struct Throttles {
    /// [`LEADER`].
    pub leader: Throttle,
    /// [`FOLLOWER`].
    pub follower: Throttle,
    /// [`DIRECTORIES`].
    pub directories: Arc<Throttle>,
    /// What it sends to replicas that are added (`milena.reassignment.max.bytes.per.second`).
    pub added: Throttle,
    /// What is set.
    values: Mutex<BTreeMap<&'static str, i64>>,
    path: Option<PathBuf>,
}

impl Throttles {
    /// The names of all.
    pub const NAMES: [&'static str; 3] = [LEADER, FOLLOWER, DIRECTORIES];

    /// Those that were set before, in the directory of which they are kept.
    pub fn load(dir: Option<&Path>) -> Throttles {
        let path = dir.map(|dir| dir.join(FILE));
        let text = path.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let throttles = Throttles { path, ..Throttles::default() };
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let known = Throttles::NAMES.into_iter().find(|known| *known == name);
            match (known, value.parse::<i64>()) {
                (Some(name), Ok(rate)) if rate >= 0 => throttles.apply(name, Some(rate)),
                _ => warn!(name, value, "a kept setting is none: passed over"),
            }
        }
        throttles
    }

    fn apply(&self, name: &'static str, rate: Option<i64>) {
        let mut values = self.values.lock();
        match rate {
            Some(rate) => values.insert(name, rate),
            None => values.remove(name),
        };
        let throttle = match name {
            LEADER => &self.leader,
            FOLLOWER => &self.follower,
            _ => &*self.directories,
        };
        throttle.set_rate(rate.unwrap_or(UNLIMITED));
    }

    /// Sets (some) or resets (none) rates, from now on and after the next start.
    ///
    /// # Errors
    /// They cannot be kept on disk; they are in force.
    pub fn set(&self, changes: &BTreeMap<&'static str, Option<i64>>) -> std::io::Result<()> {
        changes.iter().for_each(|(name, rate)| self.apply(name, *rate));
        let Some(path) = &self.path else { return Ok(()) };
        let values = self.values.lock();
        let text: String = values.iter().map(|(name, rate)| format!("{name}={rate}\n")).collect();
        let new = path.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    }

    /// What a rate is set to.
    pub fn value(&self, name: &str) -> Option<i64> {
        self.values.lock().get(name).copied()
    }
}

/// Which replicas of a topic are throttled: the value of `leader.replication.throttled.replicas` and
/// `follower.replication.throttled.replicas`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Throttled {
    /// None.
    #[default]
    Nobody,
    /// All (`*`).
    All,
    /// These, by partition and broker.
    Some(BTreeSet<(i32, i32)>),
}

impl Throttled {
    /// Reads a checked value.
    pub fn read(text: &str) -> Throttled {
        if text.trim() == "*" {
            return Throttled::All;
        }
        let pair = |item: &str| {
            let (partition, broker) = item.trim().split_once(':')?;
            Some((partition.trim().parse().ok()?, broker.trim().parse().ok()?))
        };
        let pairs: BTreeSet<(i32, i32)> = text.split(',').filter_map(pair).collect();
        if pairs.is_empty() { Throttled::Nobody } else { Throttled::Some(pairs) }
    }

    /// Whether the replica of a partition on a broker is.
    pub fn has(&self, partition: i32, broker: i32) -> bool {
        match self {
            Throttled::Nobody => false,
            Throttled::All => true,
            Throttled::Some(pairs) => pairs.contains(&(partition, broker)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_ahead_of_the_rate_is_waited_for() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        throttle.took_at(1 << 30, start);
        assert_eq!(throttle.pause_at(start), Duration::ZERO);
        throttle.set_rate(1000);
        assert_eq!(throttle.piece(), 250);
        throttle.took_at(500, start);
        assert_eq!(throttle.pause_at(start), Duration::from_millis(500));
        assert_eq!(throttle.pause_at(at(300)), Duration::from_millis(200));
        assert_eq!(throttle.pause_at(at(600)), Duration::ZERO);
        throttle.took_at(1 << 30, at(600));
        assert_eq!(throttle.pause_at(at(600)), LONGEST_PAUSE);
        throttle.set_rate(0);
        assert_eq!(throttle.pause_at(at(600)), LONGEST_PAUSE);
        throttle.set_rate(UNLIMITED);
        assert_eq!(throttle.pause_at(at(600)), Duration::ZERO);
    }

    #[test]
    fn rates_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let throttles = Throttles::load(Some(dir.path()));
        throttles.set(&[(LEADER, Some(5)), (DIRECTORIES, Some(7))].into()).unwrap();
        throttles.set(&[(DIRECTORIES, None), (FOLLOWER, Some(0))].into()).unwrap();
        let again = Throttles::load(Some(dir.path()));
        let values = Throttles::NAMES.map(|name| again.value(name));
        assert_eq!(values, [Some(5), Some(0), None]);
        assert_eq!((again.leader.rate(), again.directories.rate()), (5, UNLIMITED));
    }

    #[test]
    fn throttled_replicas() {
        assert_eq!(Throttled::read(""), Throttled::Nobody);
        assert!(Throttled::read("*").has(3, 4));
        let some = Throttled::read("0:1, 2:3");
        assert!(some.has(0, 1) && some.has(2, 3) && !some.has(0, 3));
    }
}
