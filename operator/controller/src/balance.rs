//! Partitions that move because brokers come or go: off brokers that are to leave, and to brokers that have much less
//! than others. A bit at a time; what is even enough stays where it is.

use std::collections::{BTreeMap, BTreeSet};

use milena_crds::names;
use milena_crds::partition::{PartitionKey, PartitionState};

use crate::broker::{Broker, Liveness};
use crate::chunks::{Chunks, Found};
use crate::controller::{Cluster, Controller};
use crate::moves::reassign;
use crate::placement::Load;
use crate::writes::Writes;

/// Most partitions that move at a time for the sake of balance.
const AT_ONCE: usize = 8;
/// Brokers may differ by so many replicas, or by a fifth of what they have on average.
const SLACK: usize = 2;
const SLACK_PART: usize = 5;

/// Brokers that partitions may go to, with their racks.
type Hosts = BTreeMap<i32, Option<String>>;

impl Cluster {
    /// Whether a broker is to have no partitions.
    fn is_leaving(&self, broker: i32) -> bool {
        !self.ids().contains(&broker) || self.leaving.contains(&broker)
    }
}

impl Controller {
    /// Begins moves that are due, up to as many as may be under way.
    pub(crate) fn balance(&mut self, chunks: &Chunks, writes: &mut Writes<'_>) {
        self.stuck.clear();
        let Some(cluster) = &self.cluster else { return };
        if cluster.restored.is_some() || chunks.objects().values().any(|object| !object.held.is_empty()) {
            // Where replicas are is known once the newest state of everything is put back.
            return;
        }
        let is_up = |broker: &Broker| broker.liveness == Liveness::Alive && !broker.draining;
        let stays = |(id, broker): &(&i32, &Broker)| !cluster.is_leaving(**id) && is_up(broker);
        let hosts: Hosts =
            self.brokers.iter().filter(stays).map(|(id, broker)| (*id, broker.rack.clone())).collect();
        let mut free = AT_ONCE.saturating_sub(chunks.totals().moving);
        if chunks.load().ids().any(|id| cluster.is_leaving(id)) {
            self.stuck = self.evacuate(cluster, &hosts, chunks, &mut free, writes);
            return;
        }
        let wanted = cluster.ids().filter(|id| !cluster.leaving.contains(id)).count();
        if hosts.len() == wanted && is_uneven(&hosts, chunks.load()) {
            self.even_out(&hosts, chunks, free, writes);
        }
    }

    /// Moves partitions off brokers that are to leave. Answers the topics that have too many replicas for who is left.
    fn evacuate(
        &self,
        cluster: &Cluster,
        hosts: &Hosts,
        chunks: &Chunks,
        free: &mut usize,
        writes: &mut Writes<'_>,
    ) -> BTreeSet<String> {
        let mut stuck = BTreeSet::new();
        for (key, there, state) in all(chunks) {
            let target = state.target();
            if !target.iter().any(|id| cluster.is_leaving(*id)) || self.is_left_alone(key) {
                continue;
            }
            let leaving = |id: i32| cluster.is_leaving(id);
            let Some(next) = replace(&target, leaving, hosts, writes.load()) else {
                stuck.extend(self.ids.get(&key.topic_id).into_iter().flatten().cloned());
                continue;
            };
            // One that moves already, to a broker that is to leave, takes no more than it has.
            if (*free > 0 || state.is_reassigning())
                && reassign(&there, key, &state, &next, writes) == Ok(true)
                && !state.is_reassigning()
            {
                *free -= 1;
            }
        }
        stuck
    }

    /// Moves replicas from who has most to who has least.
    fn even_out(&self, hosts: &Hosts, chunks: &Chunks, free: usize, writes: &mut Writes<'_>) {
        let mut moved = 0;
        // A partition once: the state that it has after its move is not known to the next look.
        let mut seen = BTreeSet::new();
        while moved < free && is_uneven(hosts, writes.load()) {
            let best = all(chunks)
                .filter(|(key, _, state)| {
                    !seen.contains(key) && !state.is_reassigning() && !self.is_left_alone(*key)
                })
                .filter_map(|(key, there, state)| {
                    let (gain, next) = improve(&state, hosts, writes.load())?;
                    Some((gain, key, there, state, next))
                })
                .max_by_key(|(gain, key, ..)| (*gain, std::cmp::Reverse(*key)));
            let Some((_, key, there, state, next)) = best else { return };
            seen.insert(key);
            if reassign(&there, key, &state, &next, writes) == Ok(true) {
                moved += 1;
            }
        }
    }

    /// Whether somebody asked for the topic to be left alone.
    fn is_left_alone(&self, key: PartitionKey) -> bool {
        let owners = self.ids.get(&key.topic_id).into_iter().flatten();
        let paused = |name: &String| {
            let annotations =
                self.topics.get(name).and_then(|entry| entry.object.metadata.annotations.as_ref());
            annotations.and_then(|all| all.get(names::PAUSED)).is_some_and(|value| value == "true")
        };
        owners.into_iter().any(paused)
    }

    /// How many replicas are still to leave brokers, or to go to others, beyond those that move.
    pub(crate) fn to_move(&self) -> usize {
        let Some(cluster) = &self.cluster else { return 0 };
        let load = self.chunks.load();
        load.ids().filter(|id| cluster.is_leaving(*id)).map(|id| load.share(id).replicas).sum()
    }
}

fn all(chunks: &Chunks) -> impl Iterator<Item = (PartitionKey, Found, PartitionState)> {
    chunks.objects().iter().flat_map(|(chunk, spec)| {
        spec.partitions.iter().filter_map(|(key, text)| {
            let (key, state) = (key.parse::<PartitionKey>().ok()?, text.parse::<PartitionState>().ok()?);
            let found = Found { chunk: *chunk, partition: key.partition, state: None };
            Some((key, found, state))
        })
    })
}

fn is_uneven(hosts: &Hosts, load: &Load) -> bool {
    let counts = || hosts.keys().map(|id| load.share(*id).replicas);
    let (most, least) = (counts().max().unwrap_or_default(), counts().min().unwrap_or_default());
    most.saturating_sub(least) > slack(hosts, load)
}

fn slack(hosts: &Hosts, load: &Load) -> usize {
    let sum: usize = hosts.keys().map(|id| load.share(*id).replicas).sum();
    (sum / hosts.len().max(1) / SLACK_PART).max(SLACK)
}

/// The target with others in the place of who leaves; none where there are too few.
fn replace(target: &[i32], leaving: impl Fn(i32) -> bool, hosts: &Hosts, load: &Load) -> Option<Vec<i32>> {
    let mut next = target.to_vec();
    for at in 0..next.len() {
        if next.get(at).is_none_or(|id| !leaving(*id)) {
            continue;
        }
        let racks: BTreeSet<Option<&String>> = next
            .iter()
            .filter(|id| !leaving(**id))
            .filter_map(|id| hosts.get(id))
            .map(Option::as_ref)
            .collect();
        let rank = |(id, rack): &(&i32, &Option<String>)| {
            let share = load.share(**id);
            (racks.contains(&rack.as_ref()), if at == 0 { share.leaders } else { 0 }, share.replicas, **id)
        };
        let (id, _) = hosts.iter().filter(|(id, _)| !next.contains(id)).min_by_key(rank)?;
        *next.get_mut(at)? = *id;
    }
    Some(next)
}

/// The best move of one replica of a partition that makes brokers more even, and by how many replicas they differ.
fn improve(state: &PartitionState, hosts: &Hosts, load: &Load) -> Option<(usize, Vec<i32>)> {
    let target = state.target();
    let racks = |ids: &[i32]| ids.iter().filter_map(|id| hosts.get(id)).collect::<BTreeSet<_>>().len();
    let before = racks(&target);
    let mut best: Option<(usize, Vec<i32>)> = None;
    for (at, from) in target.iter().enumerate().filter(|(_, id)| hosts.contains_key(id)) {
        for to in hosts.keys().filter(|id| !target.contains(id)) {
            let gain = load.share(*from).replicas.saturating_sub(load.share(*to).replicas);
            if gain <= slack(hosts, load) || best.as_ref().is_some_and(|(known, _)| *known >= gain) {
                continue;
            }
            let mut next = target.clone();
            if let Some(place) = next.get_mut(at) {
                *place = *to;
            }
            if racks(&next) >= before {
                best = Some((gain, next));
            }
        }
    }
    best
}
