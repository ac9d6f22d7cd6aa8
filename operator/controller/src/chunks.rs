//! Which KafkaPartitions object a partition lies in, and what stands there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use milena_crds::KafkaPartitionsSpec;
use milena_crds::partition::{PartitionKey, PartitionState};
use milena_crds::partitions::{MAX_PARTITIONS_PER_OBJECT, RUN};
use uuid::Uuid;

use crate::placement::Load;

/// The KafkaPartitions objects of one cluster, by number.
///
/// The texts are the only copy: a state is read from its text when it is looked at, which takes a microsecond and
/// saves the memory of everything else.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    objects: BTreeMap<u32, KafkaPartitionsSpec>,
    /// The objects that each topic has partitions in.
    of_topic: HashMap<Uuid, BTreeSet<u32>>,
    load: Load,
    /// By broker: how many replicas are there, those that are about to leave included.
    in_use: Counts,
    totals: Totals,
}

/// How many, by broker.
#[derive(Clone, Debug, Default)]
struct Counts(BTreeMap<i32, usize>);

impl Counts {
    fn count(&mut self, replicas: &[i32], there: bool) {
        for broker in replicas {
            let count = self.0.entry(*broker).or_default();
            *count = if there { count.saturating_add(1) } else { count.saturating_sub(1) };
            if *count == 0 {
                self.0.remove(broker);
            }
        }
    }
}

/// Counts of partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All of them.
    pub partitions: usize,
    /// Those without a leader.
    pub offline: usize,
    /// Those of which some replica is not in sync.
    pub under_replicated: usize,
    /// Those that move.
    pub moving: usize,
}

/// A partition as it stands in an object.
#[derive(Clone, Debug)]
pub struct Found {
    /// Number of the object.
    pub chunk: u32,
    /// Number of the partition.
    pub partition: i32,
    /// Its state; `None` where the text is none.
    pub state: Option<PartitionState>,
}

impl Chunks {
    /// Every object.
    #[must_use]
    pub fn objects(&self) -> &BTreeMap<u32, KafkaPartitionsSpec> {
        &self.objects
    }

    /// How the brokers are loaded by what stands here, where it moves by what it is to become.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// Ids of all topics that have partitions.
    pub fn topics(&self) -> impl Iterator<Item = Uuid> {
        self.of_topic.keys().copied()
    }

    /// Takes the content of an object in the place of what was known of it. The answer is the topics that changed.
    pub fn replace(&mut self, chunk: u32, spec: Option<KafkaPartitionsSpec>) -> BTreeSet<Uuid> {
        let old = self.objects.remove(&chunk).unwrap_or_default();
        let exists = spec.is_some();
        let new = spec.unwrap_or_default();
        let mut changed = BTreeSet::new();
        for (key, text) in &old.partitions {
            if new.partitions.get(key) != Some(text) {
                self.count(text, false);
                changed.extend(topic_of(key));
            }
        }
        for (key, text) in &new.partitions {
            if old.partitions.get(key) != Some(text) {
                self.count(text, true);
                changed.extend(topic_of(key));
            }
        }
        for id in &changed {
            let chunks = self.of_topic.entry(*id).or_default();
            if states_of(&new, *id).next().is_some() {
                chunks.insert(chunk);
            } else {
                chunks.remove(&chunk);
            }
            if chunks.is_empty() {
                self.of_topic.remove(id);
            }
        }
        if exists {
            self.objects.insert(chunk, new);
        }
        changed
    }

    fn count(&mut self, text: &str, there: bool) {
        let one = |number: usize| if there { number.saturating_add(1) } else { number.saturating_sub(1) };
        let totals = &mut self.totals;
        totals.partitions = one(totals.partitions);
        let Ok(state) = text.parse::<PartitionState>() else { return };
        if state.leader.is_none() {
            totals.offline = one(totals.offline);
        }
        if state.is_under_replicated() {
            totals.under_replicated = one(totals.under_replicated);
        }
        if state.is_reassigning() {
            totals.moving = one(totals.moving);
        }
        self.in_use.count(&state.replicas, there);
        let target = state.target();
        if there { self.load.add(&target) } else { self.load.remove(&target) }
    }

    /// How many partitions there are, and how many of them are not as they should be.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The highest id of a broker that has a replica, be it one that is about to leave.
    #[must_use]
    pub fn highest_in_use(&self) -> Option<i32> {
        self.in_use.0.keys().next_back().copied()
    }

    /// The partitions of a topic, in order.
    #[must_use]
    pub fn partitions(&self, topic: Uuid) -> Vec<Found> {
        let mut found = Vec::new();
        for chunk in self.of_topic.get(&topic).into_iter().flatten() {
            let Some(spec) = self.objects.get(chunk) else { continue };
            found.extend(states_of(spec, topic).map(|(partition, text)| Found {
                chunk: *chunk,
                partition,
                state: text.parse().ok(),
            }));
        }
        found.sort_by_key(|found| found.partition);
        found
    }

    /// The objects that a topic has partitions in.
    pub fn chunks_of(&self, topic: Uuid) -> impl Iterator<Item = u32> {
        self.of_topic.get(&topic).into_iter().flatten().copied()
    }
}

/// How full objects are, with what is about to be written: room for new partitions.
#[derive(Clone, Debug, Default)]
pub struct Room {
    used: BTreeMap<u32, usize>,
}

impl Room {
    /// As it is.
    #[must_use]
    pub fn new(chunks: &Chunks) -> Self {
        Self { used: chunks.objects.iter().map(|(chunk, spec)| (*chunk, spec.partitions.len())).collect() }
    }

    /// Runs for the new partitions of a topic whose last partitions, `last`, lie in one object: the last run goes on
    /// while it has fewer than [`RUN`] and its object has room, then new runs begin, each in the first object that
    /// has room for all of it.
    pub fn assign(&mut self, new: Range<i32>, last: Option<(u32, usize)>) -> Vec<(u32, Range<i32>)> {
        let mut runs = Vec::new();
        let mut next = new.start;
        if let Some((chunk, length)) = last {
            let room = RUN.saturating_sub(length % RUN).min(self.room(chunk));
            let full = length > 0 && length.is_multiple_of(RUN);
            self.take(chunk, if full { 0 } else { room }, &mut next, new.end, &mut runs);
        }
        while next < new.end {
            let wanted = RUN.min(usize::try_from(new.end.saturating_sub(next)).unwrap_or(RUN));
            let chunk = self.first_with(wanted);
            self.take(chunk, wanted, &mut next, new.end, &mut runs);
        }
        runs
    }

    fn take(
        &mut self,
        chunk: u32,
        at_most: usize,
        next: &mut i32,
        end: i32,
        runs: &mut Vec<(u32, Range<i32>)>,
    ) {
        let length = i32::try_from(at_most).unwrap_or(i32::MAX).min(end.saturating_sub(*next));
        let to = next.saturating_add(length);
        if to <= *next {
            return;
        }
        *self.used.entry(chunk).or_default() += usize::try_from(length).unwrap_or_default();
        runs.push((chunk, *next..to));
        *next = to;
    }

    fn room(&self, chunk: u32) -> usize {
        MAX_PARTITIONS_PER_OBJECT.saturating_sub(self.used.get(&chunk).copied().unwrap_or_default())
    }

    fn first_with(&self, wanted: usize) -> u32 {
        let mut next = 0;
        for chunk in self.used.keys() {
            if *chunk > next || self.room(next) >= wanted {
                break;
            }
            next = chunk.saturating_add(1);
        }
        next
    }
}

fn topic_of(key: &str) -> Option<Uuid> {
    key.parse::<PartitionKey>().ok().map(|key| key.topic_id)
}

/// The partitions of one topic in an object: keys with one prefix.
pub(crate) fn states_of(spec: &KafkaPartitionsSpec, topic: Uuid) -> impl Iterator<Item = (i32, &str)> {
    let prefix = format!("{}/", topic.as_hyphenated());
    let from = prefix.clone();
    spec.partitions
        .range(from..)
        .take_while(move |(key, _)| key.starts_with(&prefix))
        .filter_map(|(key, text)| Some((key.parse::<PartitionKey>().ok()?.partition, text.as_str())))
}
