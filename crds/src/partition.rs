//! The state of one partition: its text in KafkaPartitions, and the changes that the coordination rules allow.

mod offline;
mod reassign;
mod report;
mod restore;
mod text;
mod transition;
mod unclean;

#[cfg(test)]
mod tests;

use uuid::Uuid;

pub use offline::Offline;
pub use report::Report;
pub use restore::Recollection;
pub use text::ParseError;
pub use transition::{Illegal, NotPossible, check_transition};

/// Most replicas that one partition may have.
pub const MAX_REPLICAS: usize = 64;
/// Longest text of a partition's state that is read, in bytes.
pub const MAX_TEXT: usize = 8192;

/// Generation of a data directory: it changes whenever the log may have lost what the broker acknowledged.
///
/// Text form `9f2c41d7-1`: the disk id in eight hex digits, the number of unclean starts in decimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation {
    /// Drawn at random when the directory is made.
    pub disk: u32,
    /// Starts without a clean-shutdown marker on another boot of the machine.
    pub unclean_starts: u32,
}

/// An entry of ISR or ELR: a broker, and the generation of the log that counts.
///
/// Text form `0.9f2c41d7-1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Broker id.
    pub broker: i32,
    /// Generation of its data directory when it joined.
    pub generation: Generation,
}

/// The state of one partition.
///
/// Text form, exactly one space between fields:
/// `replicas=0,1 leader=0 leaderEpoch=3 partitionEpoch=5 isr=0.9f2c41d7-1,1.11d09ac2-0 elr=`; without a leader
/// `leader=none`; while it moves to other brokers with ` adding=3 removing=1` behind that. What is read holds the
/// invariants of [`PartitionState::validate`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionState {
    /// Brokers that hold a replica, in order of preference as leader; while it moves those of before and of after.
    pub replicas: Vec<i32>,
    /// The leader; `None` while the partition is offline.
    pub leader: Option<i32>,
    /// Rises on every change of leader and whenever a restarted broker leads again.
    pub leader_epoch: i32,
    /// Rises by one on every change.
    pub partition_epoch: i32,
    /// In-sync replicas, in replica order.
    pub isr: Vec<Member>,
    /// Eligible leader replicas (KIP-966), in replica order.
    pub elr: Vec<Member>,
    /// Replicas that it did not have before it began to move (KIP-455), in replica order.
    pub adding: Vec<i32>,
    /// Replicas that leave once all others are in sync, in replica order.
    pub removing: Vec<i32>,
}

/// A partition of a topic; the key of its state in KafkaPartitions, `<topic id>/<partition>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// The topic's id.
    pub topic_id: Uuid,
    /// Number of the partition, from 0.
    pub partition: i32,
}

impl PartitionState {
    /// The generation with which `broker` stands in the ISR.
    #[must_use]
    pub fn in_isr(&self, broker: i32) -> Option<Generation> {
        find(&self.isr, broker)
    }

    /// The generation with which `broker` stands in the ELR.
    #[must_use]
    pub fn in_elr(&self, broker: i32) -> Option<Generation> {
        find(&self.elr, broker)
    }

    /// Whether some replica is not in sync.
    #[must_use]
    pub fn is_under_replicated(&self) -> bool {
        self.isr.len() < self.replicas.len()
    }

    /// What holds of every state: replicas are distinct and some, epochs are not negative, ISR and ELR are disjoint
    /// sets of replicas in replica order, the leader is in the ISR, and a move keeps some and leaves some.
    ///
    /// # Errors
    /// Says which of these does not hold.
    pub fn validate(&self) -> Result<(), &'static str> {
        if self.replicas.is_empty() || self.replicas.len() > MAX_REPLICAS {
            return Err("the number of replicas is out of bounds");
        }
        let distinct: std::collections::BTreeSet<_> = self.replicas.iter().collect();
        if distinct.len() != self.replicas.len() || self.replicas.iter().any(|id| *id < 0) {
            return Err("replicas are negative or repeated");
        }
        if self.leader_epoch < 0 || self.partition_epoch < 0 {
            return Err("an epoch is negative");
        }
        if !self.in_replica_order(&self.isr) || !self.in_replica_order(&self.elr) {
            return Err("ISR and ELR must be replicas, in replica order");
        }
        if !self.is_part_of_replicas(&self.adding) || !self.is_part_of_replicas(&self.removing) {
            return Err("replicas that are added or removed must be some of the replicas, in replica order");
        }
        if self.adding.iter().any(|id| self.removing.contains(id)) {
            return Err("a replica is added and removed");
        }
        if self.isr.iter().any(|member| self.in_elr(member.broker).is_some()) {
            return Err("a replica is in ISR and ELR");
        }
        match self.leader {
            Some(leader) if self.in_isr(leader).is_none() => Err("the leader is not in the ISR"),
            _ => Ok(()),
        }
    }

    /// Whether `ids` are some of the replicas, but not all, in their order.
    fn is_part_of_replicas(&self, ids: &[i32]) -> bool {
        let mut replicas = self.replicas.iter();
        ids.len() < self.replicas.len() && ids.iter().all(|id| replicas.any(|replica| replica == id))
    }

    /// Whether `members` is a subsequence of the replicas.
    fn in_replica_order(&self, members: &[Member]) -> bool {
        let mut replicas = self.replicas.iter();
        members.iter().all(|member| replicas.any(|id| *id == member.broker))
    }
}

fn find(members: &[Member], broker: i32) -> Option<Generation> {
    members.iter().find(|member| member.broker == broker).map(|member| member.generation)
}
