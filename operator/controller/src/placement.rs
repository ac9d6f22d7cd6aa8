//! Where the replicas of new partitions go: even in leaders and in replicas, each partition over as many racks as it
//! has replicas. The same input gives the same placement.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::broker::{Brokers, Liveness};

/// How much each broker has, by id. Brokers without an entry have nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    of: BTreeMap<i32, Share>,
}

/// What one broker has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// Partitions of which it is the first replica, the preferred leader.
    pub leaders: usize,
    /// Partitions of which it is a replica.
    pub replicas: usize,
}

impl Load {
    /// What a broker has.
    #[must_use]
    pub fn share(&self, broker: i32) -> Share {
        self.of.get(&broker).copied().unwrap_or_default()
    }

    /// The highest id of a broker that has anything.
    #[must_use]
    pub fn highest(&self) -> Option<i32> {
        self.of.keys().next_back().copied()
    }

    /// Counts a partition with these replicas in.
    pub fn add(&mut self, replicas: &[i32]) {
        for (index, broker) in replicas.iter().enumerate() {
            let share = self.of.entry(*broker).or_default();
            share.replicas += 1;
            share.leaders += usize::from(index == 0);
        }
    }

    /// Counts a partition with these replicas out.
    pub fn remove(&mut self, replicas: &[i32]) {
        for (index, broker) in replicas.iter().enumerate() {
            let Some(share) = self.of.get_mut(broker) else { continue };
            share.replicas = share.replicas.saturating_sub(1);
            share.leaders = share.leaders.saturating_sub(usize::from(index == 0));
            if *share == Share::default() {
                self.of.remove(broker);
            }
        }
    }
}

/// Too few brokers to place a partition on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} brokers are needed and {there} are there")]
pub struct TooFew {
    /// Replicas of a partition.
    pub wanted: usize,
    /// Brokers that can take one.
    pub there: usize,
}

/// Replicas for `partitions` new partitions, the preferred leader first, on live brokers with ids below `size`; on
/// draining ones only if there are no others. `load` grows by them.
///
/// # Errors
/// [`TooFew`] if a partition has more replicas than there are brokers; `load` is then as it was.
pub fn place(
    partitions: usize,
    replicas: usize,
    brokers: &Brokers,
    size: i32,
    load: &mut Load,
) -> Result<Vec<Vec<i32>>, TooFew> {
    let candidates = candidates(brokers, size, replicas);
    if candidates.len() < replicas || replicas == 0 {
        return Err(TooFew { wanted: replicas.max(1), there: candidates.len() });
    }
    let place_one = |_| {
        let chosen = choose(replicas, &candidates, load);
        load.add(&chosen);
        chosen
    };
    Ok((0..partitions).map(place_one).collect())
}

/// Ids and racks of those that can take replicas.
fn candidates(brokers: &Brokers, size: i32, replicas: usize) -> Vec<(i32, Option<&str>)> {
    let alive = brokers.iter().filter(|(id, broker)| **id < size && broker.liveness == Liveness::Alive);
    let (draining, willing): (Vec<_>, Vec<_>) = alive
        .map(|(id, broker)| (broker.draining, (*id, broker.rack.as_deref())))
        .partition(|(draining, _)| *draining);
    let mut all: Vec<_> = willing.into_iter().map(|(_, candidate)| candidate).collect();
    if all.len() < replicas {
        all.extend(draining.into_iter().map(|(_, candidate)| candidate));
    }
    all
}

/// The leader is who leads least, the followers are who has least, first on racks that the partition is not on yet.
fn choose(replicas: usize, candidates: &[(i32, Option<&str>)], load: &Load) -> Vec<i32> {
    let mut chosen: Vec<i32> = Vec::with_capacity(replicas);
    let mut racks: BTreeSet<Option<&str>> = BTreeSet::new();
    while chosen.len() < replicas {
        let rank = |(id, rack): &&(i32, Option<&str>)| {
            let share = load.share(*id);
            let first = if chosen.is_empty() { share.leaders } else { 0 };
            // Among equals, who leads more of what it has makes room for leadership elsewhere.
            (racks.contains(rack), first, share.replicas, Reverse(share.leaders), *id)
        };
        let free = candidates.iter().filter(|(id, _)| !chosen.contains(id));
        let Some((id, rack)) = free.min_by_key(rank) else { break };
        chosen.push(*id);
        racks.insert(*rack);
    }
    chosen
}
