//! Messages on their way. They are lost, late, repeated, and overtake one another.

use milena_controller::ChunkWrite;
use milena_crds::partition::Report;
use milena_crds::recall::Asked;

use super::log::Record;
use super::restore::Remembered;
use super::rng::Rng;
use crate::{Answer, Change, FollowerFetch};

#[derive(Clone, Debug)]
pub enum Message {
    Fetch {
        partition: usize,
        life: u32,
        to: usize,
        fetch: FollowerFetch,
    },
    /// A follower cannot append what it got for that fetch.
    Cannot {
        partition: usize,
        to: usize,
        fetch: FollowerFetch,
    },
    Fetched {
        partition: usize,
        from: usize,
        to: usize,
        life: u32,
        asked: FollowerFetch,
        answer: Answer,
        records: Vec<Record>,
    },
    /// A leader has taken a fetch, and is about to read what it answers.
    Tell {
        partition: usize,
        leader: usize,
        leaders_life: u32,
        life: u32,
        fetch: FollowerFetch,
    },
    /// A leader's changes of some partitions, for the API server; its answer: was it done?
    Patch {
        from: usize,
        life: u32,
        id: u32,
        changes: Vec<(usize, Change)>,
    },
    Patched {
        to: usize,
        life: u32,
        id: u32,
        done: bool,
    },
    /// A broker reads the object past every cache.
    Read {
        from: usize,
        life: u32,
    },
    IsRead {
        to: usize,
        life: u32,
        version: usize,
    },
    /// An operator's write of the object over a version of it; its answer: which version it is now.
    Put {
        from: usize,
        life: u32,
        id: u32,
        decided_on: usize,
        write: ChunkWrite,
    },
    /// An operator asks how far a log goes, for a recovery election in that leader epoch.
    Ask {
        from: usize,
        life: u32,
        to: usize,
        partition: usize,
        epoch: i32,
    },
    Told {
        to: usize,
        life: u32,
        broker: usize,
        partition: usize,
        report: Report,
    },
    /// An operator asks what a broker remembers of a partition, of which that leader epoch is stored.
    Recall {
        from: usize,
        life: u32,
        to: usize,
        partition: usize,
        asked: Asked,
    },
    Recalled {
        to: usize,
        life: u32,
        remembered: Remembered,
    },
    IsPut {
        to: usize,
        life: u32,
        id: u32,
        version: Option<usize>,
    },
}

#[derive(Debug, Default)]
pub struct Network {
    /// Each with the time before which it does not arrive.
    pub on_their_way: Vec<(i64, Message)>,
    /// Pairs of brokers that do not hear each other.
    pub cut: Vec<(usize, usize)>,
    /// Brokers that do not reach the API server.
    pub cut_off: Vec<usize>,
    /// The API server is away.
    pub api_away: bool,
    /// In a hundred: messages that are lost, late, repeated.
    pub lost: u32,
    pub late: u32,
    pub repeated: u32,
}

/// Most messages on their way; more are lost.
const MOST: usize = 64;

impl Network {
    pub fn send(&mut self, message: Message, now: i64, rng: &mut Rng) {
        if rng.percent(self.lost) || self.on_their_way.len() >= MOST || self.is_cut(&message) {
            return;
        }
        if matches!(message, Message::Fetch { .. } | Message::Fetched { .. } | Message::Cannot { .. })
            && rng.percent(self.repeated)
        {
            self.on_their_way.push((now + rng.within(0, 2000), message.clone()));
        }
        let delay = if rng.percent(self.late) { rng.within(0, 3000) } else { 0 };
        self.on_their_way.push((now + delay, message));
    }

    /// A message waits where it was to arrive.
    pub fn put_off(&mut self, message: Message, until: i64) {
        self.on_their_way.push((until, message));
    }

    /// Takes some message that arrives now.
    pub fn arrival(&mut self, now: i64, rng: &mut Rng) -> Option<Message> {
        let ready = |(_, (time, _)): &(usize, &(i64, Message))| *time <= now;
        let count = self.on_their_way.iter().enumerate().filter(ready).count();
        if count == 0 {
            return None;
        }
        let nth = rng.below(count);
        let (at, _) = self.on_their_way.iter().enumerate().filter(ready).nth(nth)?;
        let (_, message) = self.on_their_way.swap_remove(at);
        // What has left its sender arrives.
        let left = matches!(message, Message::Patch { .. } | Message::Put { .. }) && !self.api_away;
        (left || !self.is_cut(&message)).then_some(message)
    }

    /// All trouble ends: whatever is on its way arrives at once.
    pub fn heal(&mut self) {
        (self.lost, self.late, self.repeated) = (0, 0, 0);
        self.cut.clear();
        self.cut_off.clear();
        self.api_away = false;
        self.on_their_way.iter_mut().for_each(|(time, _)| *time = 0);
    }

    /// The API server starts anew: what was on its way to it, or from it, is lost.
    pub fn api_restarts(&mut self) {
        self.on_their_way.retain(|(_, message)| {
            !matches!(
                message,
                Message::Patch { .. }
                    | Message::Patched { .. }
                    | Message::Read { .. }
                    | Message::IsRead { .. }
                    | Message::Put { .. }
                    | Message::IsPut { .. }
            )
        });
    }

    pub fn has_arrived(&self, now: i64) -> bool {
        self.on_their_way.iter().any(|(time, _)| *time <= now)
    }

    pub fn is_empty(&self) -> bool {
        self.on_their_way.is_empty()
    }

    pub fn reaches_api(&self, broker: usize) -> bool {
        !self.api_away && !self.cut_off.contains(&broker)
    }

    fn is_cut(&self, message: &Message) -> bool {
        match message {
            Message::Fetch { to, fetch, .. } | Message::Cannot { to, fetch, .. } => {
                self.apart(*to, usize::try_from(fetch.replica.broker).unwrap())
            }
            Message::Tell { .. }
            | Message::Ask { .. }
            | Message::Told { .. }
            | Message::Recall { .. }
            | Message::Recalled { .. } => false,
            Message::Fetched { from, to, .. } => self.apart(*from, *to),
            Message::Patch { from: broker, .. }
            | Message::Read { from: broker, .. }
            | Message::Patched { to: broker, .. }
            | Message::IsRead { to: broker, .. } => !self.reaches_api(*broker),
            Message::Put { .. } | Message::IsPut { .. } => self.api_away,
        }
    }

    fn apart(&self, one: usize, other: usize) -> bool {
        self.cut.contains(&(one, other)) || self.cut.contains(&(other, one))
    }
}
