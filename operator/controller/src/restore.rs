//! Rule 13: after etcd was restored from a backup. What stands there is older than what brokers have acted on, so nothing
//! is decided on it: partitions are held, in the objects, where brokers see it too. Every replica is asked for the newest
//! state that it remembers; when all have answered, the newest of all is put back, in epochs above all that were named.

use std::collections::{BTreeMap, BTreeSet};

use milena_crds::KafkaPartitionsSpec;
use milena_crds::elections::ElectionType;
use milena_crds::partition::{Generation, Offline, PartitionKey, PartitionState, Recollection};
use milena_crds::recall::Asked as Recall;
use uuid::Uuid;

use crate::broker::{Broker, Brokers, Liveness};
use crate::chunks::{Chunks, Found};
use crate::controller::Controller;
use crate::election::{Ballot, Why};
use crate::status::Standing;
use crate::tally::Tally;
use crate::wishes::Asked;
use crate::writes::Writes;

/// Partitions that are held, by KafkaPartitions object.
pub(crate) type Restores = BTreeMap<u32, BTreeMap<PartitionKey, Restore>>;
/// Partitions of which a broker says that it remembers a newer state.
pub(crate) type Doubts = BTreeMap<PartitionKey, Doubt>;

/// A partition that is held, and what was heard of it.
#[derive(Clone, Debug)]
pub(crate) struct Restore {
    /// Epochs of the state that is stored.
    stored: (i32, i32),
    heard: BTreeMap<i32, (Generation, Recollection)>,
    /// Who has to be heard yet.
    missing: BTreeSet<i32>,
}

/// A partition of which a broker says that it remembers a newer state.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    chunk: u32,
    stored: PartitionState,
    /// Whether what the broker remembers is newer than that.
    newer: BTreeMap<i32, bool>,
}

/// What comes of a look at one partition.
#[derive(Debug)]
pub(crate) enum Look {
    /// Nothing is in the way of elections.
    Free,
    /// Nothing may be decided.
    Held,
    /// It is to be held from this plan on, for that broker remembers something newer.
    Older(i32),
    /// The newest state, to be put back.
    PutBack(PartitionState, Why),
}

/// What holds the partitions of one object in one plan.
pub(crate) struct Holds {
    chunk: u32,
    /// Partitions on which nobody acts; of those that are not stored as held yet nobody is asked.
    held: BTreeSet<PartitionKey>,
    stored: BTreeSet<PartitionKey>,
    /// Brokers that a person gives up.
    without: BTreeSet<i32>,
    /// Partitions of which a broker remembers a newer state for certain.
    older: BTreeMap<PartitionKey, i32>,
    before: BTreeMap<PartitionKey, Restore>,
    after: BTreeMap<PartitionKey, Restore>,
    touched: BTreeSet<Uuid>,
}

impl Restore {
    fn new(state: &PartitionState) -> Self {
        Self { stored: state.epochs(), heard: BTreeMap::new(), missing: BTreeSet::new() }
    }

    /// The newest state that anybody remembers, or the one that is stored where nobody remembers a newer one.
    fn newest<'a>(&'a self, stored: &'a PartitionState) -> &'a PartitionState {
        let remembered = self.heard.values().filter_map(|(_, heard)| heard.state.as_ref());
        let newest = remembered.max_by_key(|state| state.epochs());
        newest.filter(|newest| !stored.is_successor_of(newest)).unwrap_or(stored)
    }

    /// Who has to be heard yet: replicas by the newest state, and whoever else is there.
    fn missing(&self, newest: &PartitionState, brokers: &Brokers) -> BTreeSet<i32> {
        let alive = brokers.iter().filter(|(_, broker)| broker.liveness == Liveness::Alive);
        let all = newest.replicas.iter().chain(alive.map(|(id, _)| id));
        let heard = |id: &&i32| {
            let now = brokers.get(id).map(|broker| broker.generation);
            self.heard.get(id).is_some_and(|(then, _)| now.is_none_or(|now| now == *then))
        };
        all.filter(|id| !heard(id)).copied().collect()
    }

    /// The newest state in epochs above all that were named, and who leads by it.
    fn put_back(&self, ballot: &Ballot<'_>, without: bool) -> Option<(PartitionState, Why)> {
        let named = self.heard.values().flat_map(|(_, heard)| {
            let state = heard.state.as_ref().map(PartitionState::epochs);
            state.into_iter().chain([(heard.refuses, 0)])
        });
        let back = self.newest(ballot.state).put_back(named.chain([ballot.state.epochs()])).ok()?;
        let elected = Ballot { state: &back, ..*ballot }.decide();
        let why = if without { Why::RestoredWithout } else { Why::Restored };
        Some(match elected {
            Some((next, Why::Recovered)) => (next, Why::Recovered),
            Some((next, _)) => (next, why),
            None => (back, why),
        })
    }
}

impl Holds {
    /// Whether anything may be decided on a partition, and what is put back.
    pub(crate) fn look(&mut self, ballot: &Ballot<'_>, asked: &Asked) -> Look {
        let key = ballot.key;
        if let Some(broker) = self.older.get(&key) {
            self.touched.insert(key.topic_id);
            return Look::Older(*broker);
        }
        if !self.held.contains(&key) {
            return Look::Free;
        }
        self.touched.insert(key.topic_id);
        if !self.stored.contains(&key) {
            return Look::Held;
        }
        let known = self.before.remove(&key).filter(|restore| restore.stored == ballot.state.epochs());
        let mut restore = known.unwrap_or_else(|| Restore::new(ballot.state));
        restore.missing = restore.missing(restore.newest(ballot.state), ballot.brokers);
        let away = |id: &i32| ballot.brokers.get(id).is_none_or(|broker| broker.liveness == Liveness::Dead);
        let unclean = asked.kind(key) == Some(ElectionType::Unclean);
        let waits = |id: &&i32| !(away(id) && (unclean || self.without.contains(id)));
        let waits = restore.missing.iter().any(|id| waits(&id));
        let put_back = (!waits).then(|| restore.put_back(ballot, !restore.missing.is_empty())).flatten();
        self.after.insert(key, restore);
        put_back.map_or(Look::Held, |(next, why)| Look::PutBack(next, why))
    }
}

impl Controller {
    /// Partitions of one object of which a broker remembers a newer state than stands there. What a broker reports is
    /// believed once it has said what it remembers, for what it was shown may only have been old: until then nothing is
    /// decided in that object, and the answer is none.
    pub(crate) fn look_at_reports(
        &mut self,
        chunk: u32,
        object: &KafkaPartitionsSpec,
    ) -> Option<BTreeMap<PartitionKey, i32>> {
        let mut older = BTreeMap::new();
        let reports = |(id, broker): (&i32, &Broker)| {
            let reports = broker.liveness == Liveness::Alive && !broker.older.is_empty();
            reports.then(|| (*id, broker.older.clone()))
        };
        let reporters: Vec<(i32, Offline)> = self.brokers.iter().filter_map(reports).collect();
        self.doubts.retain(|_, doubt| doubt.chunk != chunk || !reporters.is_empty());
        if reporters.is_empty() || self.cluster.as_ref().is_some_and(|cluster| cluster.restored.is_some()) {
            return Some(older);
        }
        let mut pending = false;
        for (name, text) in &object.partitions {
            let Ok(key) = name.parse::<PartitionKey>() else { continue };
            let mut doubting = reporters.iter().filter(|(_, older)| older.contains(&key)).peekable();
            if doubting.peek().is_none() || object.held.contains_key(name) {
                self.doubts.remove(&key);
                continue;
            }
            let Ok(stored) = text.parse::<PartitionState>() else { continue };
            let new = || Doubt { chunk, stored: stored.clone(), newer: BTreeMap::new() };
            let doubt = self.doubts.entry(key).or_insert_with(new);
            if doubt.stored != stored {
                *doubt = new();
            }
            for (id, _) in doubting {
                match doubt.newer.get(id) {
                    Some(true) => {
                        older.insert(key, *id);
                    }
                    Some(false) => {}
                    None => pending = true,
                }
            }
        }
        (!pending).then_some(older)
    }

    /// What is held in one object: what it says, and all of it where a restore is declared of which it has not taken
    /// note yet.
    pub(crate) fn hold_what_is_restored(
        &mut self,
        chunk: u32,
        object: &KafkaPartitionsSpec,
        older: BTreeMap<PartitionKey, i32>,
        writes: &mut Writes<'_>,
        tally: &mut Tally,
    ) -> Holds {
        let declared = self.cluster.as_ref().and_then(|cluster| cluster.restored.clone());
        let id = declared.as_ref().map(|declared| declared.id.as_str());
        let keys = |names: &BTreeSet<String>| names.iter().filter_map(|name| name.parse().ok()).collect();
        let held: BTreeSet<String> = object.not_settled(id).cloned().collect();
        let noted = id.unwrap_or_default() == object.restored;
        if !noted {
            let next = writes.object(chunk);
            id.unwrap_or_default().clone_into(&mut next.restored);
            next.held.extend(held.iter().map(|key| (key.clone(), "declared".to_owned())));
            tally.declared += if id.is_some() { held.len() } else { 0 };
        }
        Holds {
            chunk,
            held: keys(&held),
            stored: if noted || id.is_none() { keys(&held) } else { BTreeSet::new() },
            without: declared.map(|declared| declared.without).unwrap_or_default(),
            older,
            before: self.restores.remove(&chunk).unwrap_or_default(),
            after: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }

    /// What was heard stays for the next plan.
    pub(crate) fn keep(&mut self, holds: Holds) {
        if !holds.after.is_empty() {
            self.restores.insert(holds.chunk, holds.after);
        }
        for id in holds.touched {
            self.dirty.extend(self.ids.get(&id).into_iter().flatten().cloned());
        }
    }

    /// Whom to ask what it remembers: by broker the partitions. To be asked again until nothing is wanted any more.
    #[must_use]
    pub fn wanted_recollections(&self) -> BTreeMap<i32, Vec<(PartitionKey, Recall)>> {
        let mut wanted: BTreeMap<i32, Vec<(PartitionKey, Recall)>> = BTreeMap::new();
        let alive = |id: &i32| self.brokers.get(id).filter(|broker| broker.liveness == Liveness::Alive);
        for (key, doubt) in &self.doubts {
            let asked = Recall { leader_epoch: doubt.stored.leader_epoch, refuse: false };
            for (id, broker) in &self.brokers {
                if alive(id).is_some() && broker.older.contains(key) && !doubt.newer.contains_key(id) {
                    wanted.entry(*id).or_default().push((*key, asked));
                }
            }
        }
        for (key, restore) in self.restores.values().flatten() {
            let asked = Recall { leader_epoch: restore.stored.0, refuse: true };
            for id in restore.missing.iter().filter(|id| alive(id).is_some()) {
                wanted.entry(*id).or_default().push((*key, asked));
            }
        }
        wanted
    }

    /// What a broker remembers of a partition. What it was asked for another state counts nothing.
    pub fn recalled(&mut self, broker: i32, generation: Generation, key: PartitionKey, heard: Recollection) {
        if let Some(doubt) = self.doubts.get_mut(&key) {
            let newer = heard.state.as_ref().is_some_and(|state| !doubt.stored.is_successor_of(state));
            doubt.newer.insert(broker, newer);
            self.dirty_chunks.insert(doubt.chunk);
        }
        for (chunk, restores) in &mut self.restores {
            let Some(restore) = restores.get_mut(&key) else { continue };
            if heard.refuses >= restore.stored.0 {
                restore.heard.insert(broker, (generation, heard));
                self.dirty_chunks.insert(*chunk);
            }
            return;
        }
    }

    /// The annotation that declares a restore, once every object has taken note of it and nothing is held any more.
    pub(crate) fn restore_is_over(&self, chunks: &Chunks) -> Option<String> {
        let declared = self.cluster.as_ref()?.restored.as_ref()?;
        let done = |object: &KafkaPartitionsSpec| object.restored == declared.id && object.held.is_empty();
        chunks.objects().values().all(done).then(|| declared.text.clone())
    }

    /// Brokers that are waited for.
    pub(crate) fn awaited(&self) -> BTreeSet<i32> {
        self.restores.values().flatten().flat_map(|(_, restore)| restore.missing.iter().copied()).collect()
    }

    /// How a topic stands of which partitions are held.
    pub(crate) fn held_back(&self, id: Uuid, found: &[Found], chunks: &Chunks) -> Option<Standing> {
        let declared = self.cluster.as_ref().and_then(|cluster| cluster.restored.as_ref());
        let declared = declared.map(|declared| declared.id.as_str());
        let mut held: Vec<PartitionKey> = Vec::new();
        for chunk in chunks.chunks_of(id) {
            let Some(object) = chunks.objects().get(&chunk) else { continue };
            let keys = object.not_settled(declared).filter_map(|key| key.parse::<PartitionKey>().ok());
            held.extend(keys.filter(|key| key.topic_id == id));
        }
        let first = held.iter().min()?;
        let restore = self.restores.values().find_map(|restores| restores.get(first));
        let missing: Vec<String> =
            restore.iter().flat_map(|restore| &restore.missing).map(ToString::to_string).collect();
        let (count, all, partition) = (held.len(), found.len(), first.partition);
        let waits = match missing.is_empty() {
            true => String::new(),
            false => format!(
                "; partition {partition} waits for broker {}: start it, or give up what it alone knows by the annotation \
                 {}: \"true without={}\" of the KafkaCluster {}",
                missing.join(", "),
                milena_crds::names::RESTORED,
                missing.join(","),
                self.name
            ),
        };
        let message = format!(
            "etcd was restored from a backup: {count} of {all} partitions have no leader until every replica has said \
             which state it remembers{waits}"
        );
        Some(Standing::not_ready("Restoring", message))
    }
}
