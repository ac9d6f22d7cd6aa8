//! The fetch sessions that a broker keeps (KIP-227), and which of them go when there are too many.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::counter::Counter;
use rand::Rng;

use super::Session;
use crate::node::View;

/// Sessions lie in so many maps, each with its own lock.
const SHARDS: usize = 8;

/// How long a session is safe from those that are worth more, and how long an idle one stays: Kafka's
/// `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`.
const EVICTION_MS: i64 = 120_000;

/// What all kept sessions may hold.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    /// Most sessions (`max.incremental.fetch.session.cache.slots`).
    pub sessions: usize,
    /// Most partitions of all of them (`milena.fetch.session.cache.partitions`).
    pub partitions: usize,
}

/// By session id.
type Sessions = HashMap<i32, Arc<Kept>>;

/// The sessions of a broker.
#[derive(Debug)]
pub struct SessionCache {
    shards: Vec<Shard>,
    limits: CacheLimits,
    partitions: AtomicUsize,
    evictions: Counter,
}

#[derive(Debug)]
struct Shard {
    capacity: usize,
    sessions: Mutex<Sessions>,
}

/// A session that is kept.
#[derive(Debug)]
pub struct Kept {
    /// The session's id.
    pub id: i32,
    /// Whether its topics are named by id.
    pub by_topic_id: bool,
    worth: Worth,
    created_ms: i64,
    used_ms: AtomicI64,
    size: AtomicUsize,
    state: Mutex<State>,
}

/// What requests of a session change.
#[derive(Debug)]
pub struct State {
    /// The epoch that the next request must have.
    pub epoch: i32,
    /// Its partitions.
    pub session: Session,
}

/// A follower's sessions are worth more than consumers'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// A consumer's.
    Consumer,
    /// A follower's.
    Follower,
}

impl Kept {
    /// The state, for one request at a time.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// The epoch after `epoch`: 0 begins a session and -1 ends it, so neither is reached by counting.
pub fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

impl SessionCache {
    /// A cache without sessions; `evictions` counts those that make room for others.
    pub fn new(limits: CacheLimits, evictions: Counter) -> SessionCache {
        let shards = SHARDS.min(limits.sessions);
        let capacity =
            |shard: usize| limits.sessions / shards + usize::from(shard < limits.sessions % shards);
        let shards = (0..shards)
            .map(|shard| Shard { capacity: capacity(shard), sessions: Mutex::default() })
            .collect();
        SessionCache { shards, limits, partitions: AtomicUsize::new(0), evictions }
    }

    /// How many sessions there are, and how many partitions they have.
    pub fn size(&self) -> (usize, usize) {
        let sessions = self.shards.iter().map(|shard| shard.sessions.lock().len()).sum();
        (sessions, self.partitions.load(Ordering::Relaxed))
    }

    /// The session of that id.
    pub fn get(&self, id: i32) -> Option<Arc<Kept>> {
        self.shard(id)?.sessions.lock().get(&id).cloned()
    }

    /// Ends a session; one that is not there is no error.
    pub fn remove(&self, id: i32) {
        if let Some(shard) = self.shard(id) {
            let mut sessions = shard.sessions.lock();
            if let Some(kept) = sessions.remove(&id) {
                self.forget(&kept);
            }
        }
    }

    /// Notes that a session was used and how many partitions it has; false where it was ended meanwhile, or has
    /// outgrown what all may have and is ended now.
    pub fn touch(&self, kept: &Arc<Kept>, size: usize, now_ms: i64) -> bool {
        let Some(shard) = self.shard(kept.id) else { return false };
        let mut sessions = shard.sessions.lock();
        if !sessions.get(&kept.id).is_some_and(|known| Arc::ptr_eq(known, kept)) {
            return false;
        }
        kept.used_ms.store(now_ms, Ordering::Relaxed);
        let before = kept.size.swap(size, Ordering::Relaxed);
        self.partitions.fetch_sub(before, Ordering::Relaxed);
        let others = self.partitions.fetch_add(size, Ordering::Relaxed);
        let fits = size <= before || others.saturating_add(size) <= self.limits.partitions;
        if !fits && let Some(kept) = sessions.remove(&kept.id) {
            self.forget(&kept);
        }
        fits
    }

    /// Keeps a session whose first request is answered; its id, or 0 where there is no room for it.
    pub fn admit(&self, session: Session, view: &View, by_topic_id: bool, worth: Worth, now_ms: i64) -> i32 {
        let size = session.len();
        let total = self.partitions.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        let room = (total <= self.limits.partitions).then(|| self.make_room(worth, size, now_ms)).flatten();
        let Some((shard, mut sessions)) = room else {
            self.partitions.fetch_sub(size, Ordering::Relaxed);
            return 0;
        };
        let id = self.free_id(shard, &sessions);
        let mut session = session;
        session.keep(view);
        let kept = Kept {
            id,
            by_topic_id,
            worth,
            created_ms: now_ms,
            used_ms: AtomicI64::new(now_ms),
            size: AtomicUsize::new(size),
            state: Mutex::new(State { epoch: 1, session }),
        };
        sessions.insert(id, Arc::new(kept));
        id
    }

    /// A shard with a free place, which may be that of a session that is worth less.
    fn make_room(&self, worth: Worth, size: usize, now_ms: i64) -> Option<(usize, MutexGuard<'_, Sessions>)> {
        let first = rand::rng().random_range(0..self.shards.len().max(1));
        for shard in (first..self.shards.len()).chain(0..first) {
            let Some(Shard { capacity, sessions }) = self.shards.get(shard) else { continue };
            let mut sessions = sessions.lock();
            if sessions.len() < *capacity {
                return Some((shard, sessions));
            }
            let ages: Vec<Age> = sessions.values().map(|kept| kept.age()).collect();
            if let Some(kept) = evictable(&ages, worth, size, now_ms).and_then(|id| sessions.remove(&id)) {
                self.forget(&kept);
                self.evictions.inc();
                return Some((shard, sessions));
            }
        }
        None
    }

    fn free_id(&self, shard: usize, sessions: &Sessions) -> i32 {
        let count = i32::try_from(self.shards.len()).unwrap_or(i32::MAX);
        loop {
            let any = rand::rng().random_range(1..i32::MAX / count);
            let id = any * count + i32::try_from(shard).unwrap_or(0);
            if !sessions.contains_key(&id) {
                return id;
            }
        }
    }

    fn forget(&self, kept: &Kept) {
        self.partitions.fetch_sub(kept.size.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    fn shard(&self, id: i32) -> Option<&Shard> {
        self.shards.get(usize::try_from(id).ok()?.checked_rem(self.shards.len())?)
    }
}

/// What decides on a session's stay.
#[derive(Clone, Copy, Debug)]
struct Age {
    worth: Worth,
    size: usize,
    id: i32,
    created_ms: i64,
    used_ms: i64,
}

impl Kept {
    fn age(&self) -> Age {
        Age {
            worth: self.worth,
            size: self.size.load(Ordering::Relaxed),
            id: self.id,
            created_ms: self.created_ms,
            used_ms: self.used_ms.load(Ordering::Relaxed),
        }
    }
}

/// Whose place a new session of that worth and size gets, as in Kafka: that of the one unused for longest, if
/// that is long; else that of the smallest one of the least worth, if it is worth less. Consumers' sessions
/// spare those that are young.
fn evictable(ages: &[Age], worth: Worth, size: usize, now_ms: i64) -> Option<i32> {
    let is_long = |since: i64| now_ms.saturating_sub(since) > EVICTION_MS;
    let idle = ages.iter().min_by_key(|age| (age.used_ms, age.id))?;
    if is_long(idle.used_ms) {
        return Some(idle.id);
    }
    let is_open =
        |age: &&Age| is_long(age.created_ms) || (worth == Worth::Follower && age.worth == Worth::Consumer);
    let least = ages.iter().filter(is_open).min_by_key(|age| (age.worth, age.size, age.id))?;
    ((worth, size) > (least.worth, least.size)).then_some(least.id)
}

#[cfg(test)]
mod tests;
