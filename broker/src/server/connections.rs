//! Places for connections: so many of a broker, and so many from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use thiserror::Error;

/// Of the files that this process may have open, connections get so much: a log that cannot open its next segment is worse
/// off than a client that has to wait.
const FILES_SHARE: usize = 2;

/// Refusals are told no more often; the metric counts them all.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// How many connections there may be; both can change while connections are open, which then stay.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Of the broker (`max.connections`).
    pub all: usize,
    /// From one address (`max.connections.per.ip`, KIP-308).
    pub per_ip: usize,
}

/// Why a connection has no place.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Full {
    /// The broker has as many as it may have.
    #[error("{0} connections are open (max.connections)")]
    Broker(usize),
    /// So many of the files that the process may have open are connections.
    #[error("{0} connections are open, as many as the limit on open files allows (ulimit -n, LimitNOFILE)")]
    Files(usize),
    /// That address has as many as it may have.
    #[error("{0} connections from its address are open (max.connections.per.ip)")]
    Address(usize),
}

/// The connections that are open, by address.
#[derive(Debug)]
pub struct Connections {
    /// As many as the files that the process may have open allow.
    most: usize,
    counts: Mutex<Counts>,
    /// When a refusal was told last.
    told: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub struct Slot {
    connections: Arc<Connections>,
    ip: IpAddr,
}

impl Connections {
    /// None are open, in a process that may have `files` open.
    pub fn new(files: usize) -> Connections {
        Connections { most: files / FILES_SHARE, counts: Mutex::default(), told: Mutex::default() }
    }

    /// A place for one more connection from `ip`.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn admit(self: &Arc<Self>, ip: IpAddr, limits: ConnectionLimits) -> Result<Slot, Full> {
        // An IPv4 client is the same one over a socket of IPv6.
        let ip = ip.to_canonical();
        let mut counts = self.counts.lock();
        if counts.all >= limits.all {
            return Err(Full::Broker(counts.all));
        }
        if counts.all >= self.most {
            return Err(Full::Files(counts.all));
        }
        let from_there = counts.by_ip.get(&ip).copied().unwrap_or(0);
        if from_there >= limits.per_ip {
            return Err(Full::Address(from_there));
        }
        counts.all += 1;
        counts.by_ip.insert(ip, from_there + 1);
        Ok(Slot { connections: self.clone(), ip })
    }

    /// Whether a refusal is to be told: whoever is refused may try again a thousand times a second.
    pub fn is_news(&self) -> bool {
        let mut told = self.told.lock();
        let news = told.is_none_or(|at| at.elapsed() >= TOLD_EVERY);
        if news {
            *told = Some(Instant::now());
        }
        news
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.counts.lock().all
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.connections.counts.lock();
        counts.all = counts.all.saturating_sub(1);
        if let Some(count) = counts.by_ip.get_mut(&self.ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.by_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn each_address_and_the_broker_have_their_limit() {
        let connections = Arc::new(Connections::new(100));
        let limits = ConnectionLimits { all: 3, per_ip: 2 };
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        let first = connections.admit(HERE, limits).unwrap();
        let _second = connections.admit(mapped, limits).unwrap();
        assert_eq!(connections.admit(HERE, limits).unwrap_err(), Full::Address(2));
        let _other = connections.admit("10.0.0.1".parse().unwrap(), limits).unwrap();
        assert_eq!(connections.admit("10.0.0.2".parse().unwrap(), limits).unwrap_err(), Full::Broker(3));
        drop(first);
        assert_eq!(connections.open(), 2);
        let _again = connections.admit(HERE, limits).unwrap();
        assert_eq!(connections.counts.lock().by_ip.len(), 2);
    }

    #[test]
    fn logs_keep_half_of_the_files() {
        let connections = Arc::new(Connections::new(2));
        let limits = ConnectionLimits { all: 9, per_ip: 9 };
        let _open = connections.admit(HERE, limits).unwrap();
        assert_eq!(connections.admit(HERE, limits).unwrap_err(), Full::Files(1));
    }

    #[test]
    fn refusals_are_told_once_in_a_while() {
        let connections = Connections::new(2);
        assert!(connections.is_news());
        assert!(!connections.is_news());
    }

    #[test]
    fn a_smaller_limit_holds_for_those_to_come() {
        let connections = Arc::new(Connections::new(100));
        let _open: Vec<Slot> = (0..3)
            .map(|_| connections.admit(HERE, ConnectionLimits { all: 9, per_ip: 9 }).unwrap())
            .collect();
        let smaller = ConnectionLimits { all: 2, per_ip: 9 };
        assert_eq!(connections.admit(HERE, smaller).unwrap_err(), Full::Broker(3));
        assert_eq!(connections.open(), 3);
    }
}
