//! Where the replicas of new partitions go: even in leaders and in replicas, each partition over as many racks as it
//! has replicas. The same input gives the same placement.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use milena_crds::partition::PartitionState;

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

    /// The brokers that have anything.
    pub fn ids(&self) -> impl Iterator<Item = i32> {
        self.of.keys().copied()
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

/// The replicas of a partition with more of them, `wanted` in all, by the same rules: on live brokers with one of `ids`.
///
/// # Errors
/// [`TooFew`] if there are not so many brokers.
pub fn add_replicas(
    replicas: &[i32],
    wanted: usize,
    brokers: &Brokers,
    ids: Range<i32>,
    load: &Load,
) -> Result<Vec<i32>, TooFew> {
    let mut candidates = candidates(brokers, ids.end, wanted);
    candidates.retain(|(id, _)| *id >= ids.start && !replicas.contains(id));
    if replicas.len() + candidates.len() < wanted {
        return Err(TooFew { wanted, there: replicas.len() + candidates.len() });
    }
    let mut chosen = replicas.to_vec();
    let rack = |id: &i32| brokers.get(id).and_then(|broker| broker.rack.as_deref());
    let racks = replicas.iter().map(rack).collect();
    choose_more(&mut chosen, racks, wanted, &candidates, load);
    Ok(chosen)
}

/// The replicas of a partition without some of them, `wanted` in all. Those that cannot be used go first, then those on
/// a rack that has another, then those of the fullest brokers; the preferred leader goes last.
pub fn drop_replicas(state: &PartitionState, wanted: usize, brokers: &Brokers, load: &Load) -> Vec<i32> {
    let mut stay = state.target();
    let alive = |id: i32| brokers.get(&id).is_some_and(|broker| broker.liveness == Liveness::Alive);
    let rack = |id: i32| brokers.get(&id).and_then(|broker| broker.rack.as_deref());
    while stay.len() > wanted.max(1) {
        let rank = |(at, id): &(usize, &i32)| {
            let unusable = !alive(**id) || state.in_isr(**id).is_none();
            let same_rack = stay.iter().filter(|other| rack(**other) == rack(**id)).count() > 1;
            (unusable, *at > 0, same_rack, load.share(**id).replicas, **id)
        };
        let Some((at, _)) = stay.iter().enumerate().max_by_key(rank) else { break };
        stay.remove(at);
    }
    stay
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
    choose_more(&mut chosen, BTreeSet::new(), replicas, candidates, load);
    chosen
}

/// Chooses until there are `replicas`; `racks` are those of who was chosen before.
fn choose_more<'a>(
    chosen: &mut Vec<i32>,
    mut racks: BTreeSet<Option<&'a str>>,
    replicas: usize,
    candidates: &[(i32, Option<&'a str>)],
    load: &Load,
) {
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
}
