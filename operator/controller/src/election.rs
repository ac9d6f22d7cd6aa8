//! Who leads a partition (rules 2, 7 and 8), from what is known of brokers.

use milena_crds::elections::ElectionType;
use milena_crds::partition::{Generation, Member, PartitionKey, PartitionState};

use crate::broker::{Broker, Brokers, Liveness};

/// Why a partition's state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A member of ISR or ELR leads instead of one that cannot, or that wants to be rid of it.
    Elected,
    /// The first replica leads again, as somebody asked.
    Preferred,
    /// The leader restarted, and leads again in a new leader epoch.
    Restarted,
    /// The only member lost what it had not synced, and leads with what its disk kept: records may be lost.
    Recovered,
    /// A replica leads that may lack acknowledged records, as somebody asked.
    Unclean,
    /// The newest state that a replica remembers is put back, after etcd was restored.
    Restored,
    /// The same, without what a broker knows that stays away: records may be lost.
    RestoredWithout,
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
        // A leader that leaves hands over once all that stay are in sync: one of them ends the move.
        if self.state.removing.contains(&leader) && self.state.has_arrived() {
            let stays = |member: &&Member| !self.state.removing.contains(&member.broker);
            let staying: Vec<Member> = self.state.isr.iter().filter(stays).copied().collect();
            if let Some(other) = self.find(&staying, |other| !other.draining) {
                return self.elect(other, Why::Elected);
            }
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
        if let Some(recovered) = self.recover_alone() {
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

    /// An election that somebody asks for (KIP-460), where there is nothing to decide without it; `None` if it is not
    /// needed, or not possible.
    #[must_use]
    pub fn hold(&self, kind: ElectionType) -> Option<(PartitionState, Why)> {
        match kind {
            ElectionType::Preferred => self.preferred(),
            ElectionType::Unclean if self.state.leader.is_some() => None,
            ElectionType::Unclean => self.unclean(),
        }
    }

    /// The first replica in the place of another leader, if it is in sync.
    fn preferred(&self) -> Option<(PartitionState, Why)> {
        let first = self.state.replicas.first()?;
        let member = self.state.isr.iter().find(|member| member.broker == *first)?;
        let broker = self.brokers.get(first)?;
        let other = self.state.leader.is_some_and(|leader| leader != *first);
        (other && self.fits(broker, member) && !broker.draining).then_some(())?;
        self.elect(*first, Why::Preferred)
    }

    /// Whoever lives, where nobody can lead otherwise and the settings allow it
    /// (`unclean.leader.election.enable`); `None` while somebody may still turn up who is eligible.
    #[must_use]
    pub fn last_resort(&self) -> Option<(PartitionState, Why)> {
        let members = || self.state.isr.iter().chain(&self.state.elr);
        let liveness = |member: &Member| self.brokers.get(&member.broker).map(|broker| broker.liveness);
        if members().any(|member| liveness(member) == Some(Liveness::Unknown)) {
            return None;
        }
        self.unclean()
    }

    /// Whoever lives: first who was in the ISR or the ELR and still has its disk, for it lacks least, then in replica
    /// order.
    fn unclean(&self) -> Option<(PartitionState, Why)> {
        let state = self.state;
        let serves = |id: &&i32| self.brokers.get(id).is_some_and(|broker| self.serves(broker));
        let has_disk = |known: Option<Generation>, id: &i32| {
            let disk = self.brokers.get(id).map(|broker| broker.generation.disk);
            known.is_some_and(|known| Some(known.disk) == disk)
        };
        let rank = |id: &&i32| match id {
            id if has_disk(state.in_isr(**id), id) => 0,
            id if has_disk(state.in_elr(**id), id) => 1,
            _ => 2,
        };
        let elected = state.replicas.iter().filter(serves).min_by_key(rank)?;
        let generation = self.brokers.get(elected)?.generation;
        Some((state.elect_unclean(*elected, generation).ok()?, Why::Unclean))
    }

    fn find(&self, members: &[Member], wanted: impl Fn(&Broker) -> bool) -> Option<i32> {
        let fit = |member: &&Member| {
            self.brokers.get(&member.broker).is_some_and(|broker| self.fits(broker, member) && wanted(broker))
        };
        members.iter().find(fit).map(|member| member.broker)
    }

    fn fits(&self, broker: &Broker, member: &Member) -> bool {
        self.serves(broker) && broker.generation == member.generation
    }

    pub(crate) fn serves(&self, broker: &Broker) -> bool {
        broker.liveness == Liveness::Alive && !broker.offline.contains(&self.key)
    }

    fn elect(&self, broker: i32, why: Why) -> Option<(PartitionState, Why)> {
        Some((self.state.elect(broker).ok()?, why))
    }

    /// Rule 8 where there is nobody to compare with: the only member is back, with its disk.
    fn recover_alone(&self) -> Option<PartitionState> {
        let mut members = self.state.isr.iter().chain(&self.state.elr);
        let (Some(only), None) = (members.next(), members.next()) else { return None };
        let broker = self.brokers.get(&only.broker).filter(|broker| self.serves(broker))?;
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
