//! Who leads a partition (rules 2, 7 and 8), from what is known of brokers.

use milena_crds::partition::{Member, PartitionKey, PartitionState};

use crate::broker::{Broker, Brokers, Liveness};

/// Why a partition's state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A member of ISR or ELR leads instead of one that cannot, or that wants to be rid of it.
    Elected,
    /// The leader restarted, and leads again in a new leader epoch.
    Restarted,
    /// The only member lost what it had not synced, and leads with what its disk kept: records may be lost.
    Recovered,
    /// Nobody can lead.
    Offline,
}

/// What an election decides on.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// Which partition.
    pub key: PartitionKey,
    /// Its state.
    pub state: &'a PartitionState,
    /// Every broker.
    pub brokers: &'a Brokers,
    /// The broker epoch in which the leader was elected; `None` if nobody knows.
    pub elected_in: Option<i64>,
}

impl Ballot<'_> {
    /// The next state, and why; `None` if all is as it should be, or nothing can be done.
    #[must_use]
    pub fn decide(&self) -> Option<(PartitionState, Why)> {
        let Some(leader) = self.state.leader else { return self.successor() };
        let member = self.state.isr.iter().find(|member| member.broker == leader)?;
        match self.brokers.get(&leader) {
            Some(broker) if broker.liveness == Liveness::Unknown => None,
            Some(broker) if self.fits(broker, member) => self.keep(leader, broker),
            _ => self.successor(),
        }
    }

    /// The leader works: it stays, unless it restarted or wants to go and another can take over.
    fn keep(&self, leader: i32, broker: &Broker) -> Option<(PartitionState, Why)> {
        if broker.draining
            && let Some(other) = self.find(&self.state.isr, |other| !other.draining)
        {
            return self.elect(other, Why::Elected);
        }
        if self.elected_in == Some(broker.epoch) { None } else { self.elect(leader, Why::Restarted) }
    }

    /// Live ISR members in replica order, then the live ELR; who is not draining comes first in each.
    fn successor(&self) -> Option<(PartitionState, Why)> {
        let state = self.state;
        let found = self
            .find(&state.isr, |broker| !broker.draining)
            .or_else(|| self.find(&state.isr, |_| true))
            .or_else(|| self.find(&state.elr, |broker| !broker.draining))
            .or_else(|| self.find(&state.elr, |_| true));
        if let Some(broker) = found {
            return self.elect(broker, Why::Elected);
        }
        if let Some(recovered) = self.recover() {
            return Some((recovered, Why::Recovered));
        }
        let unknown = |member: &Member| {
            self.brokers.get(&member.broker).is_some_and(|broker| broker.liveness == Liveness::Unknown)
        };
        if state.isr.iter().chain(&state.elr).any(unknown) {
            return None;
        }
        Some((state.offline().ok()?, Why::Offline))
    }

    fn find(&self, members: &[Member], wanted: impl Fn(&Broker) -> bool) -> Option<i32> {
        let fit = |member: &&Member| {
            self.brokers.get(&member.broker).is_some_and(|broker| self.fits(broker, member) && wanted(broker))
        };
        members.iter().find(fit).map(|member| member.broker)
    }

    fn fits(&self, broker: &Broker, member: &Member) -> bool {
        broker.liveness == Liveness::Alive
            && broker.generation == member.generation
            && !broker.offline.contains(&self.key)
    }

    fn elect(&self, broker: i32, why: Why) -> Option<(PartitionState, Why)> {
        Some((self.state.elect(broker).ok()?, why))
    }

    /// Rule 8 where there is nobody to compare with: the only member is back, with its disk.
    fn recover(&self) -> Option<PartitionState> {
        let mut members = self.state.isr.iter().chain(&self.state.elr);
        let (Some(only), None) = (members.next(), members.next()) else { return None };
        let can_serve =
            |broker: &&Broker| broker.liveness == Liveness::Alive && !broker.offline.contains(&self.key);
        let broker = self.brokers.get(&only.broker).filter(can_serve)?;
        let epoch = self.state.leader_epoch;
        self.state.recover(only.broker, broker.generation, epoch).ok()
    }
}

/// Why a partition without a leader has none, and what to do; for people.
#[must_use]
pub fn explain(key: PartitionKey, state: &PartitionState, brokers: &Brokers) -> String {
    let mut reasons = Vec::new();
    for member in state.isr.iter().chain(&state.elr) {
        let id = member.broker;
        reasons.push(match brokers.get(&id) {
            None => format!("broker {id} is not there"),
            Some(broker) if broker.liveness == Liveness::Dead => format!("broker {id} is down"),
            Some(broker) if broker.liveness == Liveness::Unknown => format!("broker {id} has not been heard of yet"),
            Some(broker) if broker.generation.disk != member.generation.disk => format!(
                "broker {id} came back with another disk, without these records: put the old volume back, or delete \
                 the topic"
            ),
            Some(broker) if broker.offline.contains(&key) => {
                format!("the log directory of broker {id} is out of service: look at its disk, then restart it")
            }
            Some(broker) if broker.generation != member.generation => {
                format!("broker {id} lost what was not on its disk when its machine stopped")
            }
            Some(_) => format!("broker {id} is about to lead"),
        });
    }
    reasons.join("; ")
}
