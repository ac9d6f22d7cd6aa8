//! Replicas on different brokers, kept alike. Each broker holds one connection to each leader that it follows: it says
//! from where on it needs records ([`fetcher`]), and the leader sends them as they come ([`session`]), all partitions
//! on one connection ([`wire`]). [`isr`] changes who is in sync. What is decided, and when, is in `milena-replication`.

mod absence;
mod fetcher;
mod frame;
mod isr;
mod outlook;
mod session;
mod suspicion;
pub(crate) mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::{node::Broker, partitions::Partition};
use absence::Absences;
use fetcher::{Command, Fetcher};
use outlook::Hearing;
use session::Session;
use suspicion::Suspects;

pub use absence::others_lead;
pub use session::serve;
pub use wire::is_exchange;

/// Whom a replica follows, in which leader epoch.
#[derive(Clone)]
struct Following {
    leader: i32,
    epoch: i32,
    partition: Weak<Partition>,
}

/// What a broker's replicas share.
pub struct Replication {
    /// One task for each leader that this broker follows.
    fetchers: Mutex<HashMap<i32, mpsc::UnboundedSender<Command>>>,
    /// Who follows whom.
    followed: Mutex<HashMap<(Uuid, i32), Following>>,
    /// Exchanges with followers, by broker.
    sessions: Mutex<HashMap<i32, Vec<Weak<Session>>>>,
    /// Followers whose process is gone, as far as this broker can tell.
    suspects: Suspects,
    /// Who went away just now, for what clients are told.
    pub absences: Absences,
    /// Of which followers something is heard.
    hearing: Hearing,
    /// Partitions whose ISR may have to change.
    looks: mpsc::UnboundedSender<Arc<Partition>>,
    waiting: Mutex<Option<mpsc::UnboundedReceiver<Arc<Partition>>>>,
}

impl Default for Replication {
    /// Nobody follows anybody.
    fn default() -> Replication {
        let (looks, waiting) = mpsc::unbounded_channel();
        Replication {
            fetchers: Mutex::default(),
            followed: Mutex::default(),
            sessions: Mutex::default(),
            suspects: Suspects::default(),
            absences: Absences::default(),
            hearing: Hearing::default(),
            looks,
            waiting: Mutex::new(Some(waiting)),
        }
    }
}

impl Replication {
    /// A replica may follow somebody else than before, or nobody.
    pub fn assign(&self, broker: &Arc<Broker>, partition: &Arc<Partition>) {
        let key = (partition.topic_id, partition.index);
        let now = partition.next_fetch().map(|(leader, fetch)| Following {
            leader,
            epoch: fetch.leader_epoch,
            partition: Arc::downgrade(partition),
        });
        let mut followed = self.followed.lock();
        let before = match &now {
            Some(now) => followed.insert(key, now.clone()),
            None => followed.remove(&key),
        };
        if let Some(before) = before {
            let same = |now: &Following| {
                (now.leader, now.epoch) == (before.leader, before.epoch)
                    && now.partition.ptr_eq(&before.partition)
            };
            if now.as_ref().is_some_and(same) {
                return;
            }
            if now.as_ref().is_none_or(|now| now.leader != before.leader) {
                self.tell(broker, before.leader, Command::Leave(partition.topic_id, partition.index));
            }
        }
        if let Some(now) = now {
            self.tell(broker, now.leader, Command::Follow(partition.clone()));
        }
    }

    fn tell(&self, broker: &Arc<Broker>, leader: i32, command: Command) {
        let mut fetchers = self.fetchers.lock();
        let sender = fetchers.entry(leader).or_insert_with(|| {
            let (sender, commands) = mpsc::unbounded_channel();
            tokio::spawn(Fetcher::new(broker.clone(), leader).run(commands));
            sender
        });
        // A task that has ended was told to stop.
        let _ = sender.send(command);
    }

    /// Somebody should look at the ISR of a partition that is led here.
    pub fn look_at(&self, partition: &Arc<Partition>) {
        if partition.queue_for_isr() {
            let _ = self.looks.send(partition.clone());
        }
    }

    /// Looks after the ISR of everything that is led here, until the stop.
    pub fn start(&self, broker: &Arc<Broker>, stop: watch::Receiver<bool>) {
        if let Some(waiting) = self.waiting.lock().take() {
            tokio::spawn(isr::look_after(broker.clone(), waiting, stop));
        }
    }

    /// Ends all fetching: nothing more is appended here.
    pub fn stop(&self) {
        self.fetchers.lock().clear();
        self.followed.lock().clear();
    }

    fn add_session(&self, follower: i32, session: &Arc<Session>) {
        self.suspects.clear(follower);
        self.absences.end(follower);
        let mut sessions = self.sessions.lock();
        let of = sessions.entry(follower).or_default();
        of.retain(|session| session.strong_count() > 0);
        of.push(Arc::downgrade(session));
    }

    fn has_session(&self, follower: i32) -> bool {
        let sessions = self.sessions.lock();
        sessions.get(&follower).is_some_and(|of| of.iter().any(|session| session.strong_count() > 0))
    }

    /// Ends the exchanges with a follower: it comes back and says anew what it has.
    fn close_sessions(&self, follower: i32) {
        let sessions = self.sessions.lock().remove(&follower).unwrap_or_default();
        sessions.iter().filter_map(Weak::upgrade).for_each(|session| session.close());
    }
}
