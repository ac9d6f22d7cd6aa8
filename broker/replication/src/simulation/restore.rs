//! Etcd is restored from a backup (rule 13): an older version is there again, brokers say what they remember, and an
//! operator puts the newest state back.

use milena_controller::Cluster;
use milena_crds::partition::{Generation, PartitionKey, PartitionState, Recollection};
use milena_crds::recall::Asked;
use milena_crds::restore::Declared;

use super::ghost::Violation;
use super::network::Message;
use super::profile::Restores;
use super::rules::Broken;
use super::store::{TOPIC, key};
use super::world::World;

/// How far back a backup goes, in versions.
const OLDEST: usize = 12;

/// What a broker says that it remembers.
#[derive(Clone, Debug)]
pub struct Remembered {
    pub broker: usize,
    pub generation: Generation,
    pub partition: usize,
    pub recollection: Recollection,
}

impl World {
    /// An older version of the object is there again.
    pub fn restore(&mut self, _: usize) {
        let (newest, floor) = (self.store.newest(), self.store.floor);
        let stored = self.store.version(newest);
        let under_way = self.store.truth.iter().any(Option::is_some) || !stored.spec.held.is_empty();
        if under_way || newest == floor || stored.declared.is_some() {
            return;
        }
        let version = newest - 1 - self.rng.below((newest - floor).min(OLDEST));
        let how = self.profile.restores;
        let declared = how != Restores::Undeclared;
        let stopped = how == Restores::Stopped || (how == Restores::Undeclared && self.rng.percent(50));
        self.say(|| {
            format!("etcd is restored: version {version} of {newest}; declared {declared}, stopped {stopped}")
        });
        for partition in 0..self.partitions {
            let restored = self.store.version(version).states[partition].clone();
            let known = self.nodes.iter().filter_map(|node| node.disk.memory[partition].as_ref());
            let newest = known.max_by_key(|state| state.epochs()).cloned();
            self.store.truth[partition] = newest.filter(|newest| !restored.is_successor_of(newest));
            if !stopped
                && self.broken != Some(Broken::RestoreStopped)
                && self.store.truth[partition].is_some()
            {
                self.ghost.be_lenient(partition);
            }
        }
        self.store.restore(version, declared);
        if stopped {
            (0..self.nodes.len()).for_each(|broker| self.end(broker));
            self.net.on_their_way.clear();
        }
        self.net.api_restarts();
        for process in self.nodes.iter_mut().filter_map(|node| node.process.as_mut()) {
            process.seen = None;
            process.ahead.fill(false);
        }
        (0..self.operators.len()).for_each(|at| self.start_operator(at));
    }

    /// The object has changed: is the newest state of a partition back, or has somebody gone on from an older one?
    pub fn look_at_restore(&mut self, before: usize) {
        if self.store.newest() == before {
            return;
        }
        let (old, new) = (self.store.version(before), self.store.version(self.store.newest()));
        for partition in 0..self.partitions {
            let (was, is) = (&old.states[partition], &new.states[partition]);
            if self.store.truth[partition].is_none() || was == is {
                continue;
            }
            let name = key(partition);
            self.store.truth[partition] = None;
            if old.spec.held.contains_key(&name) && !new.spec.held.contains_key(&name) {
                self.say(|| format!("the newest state of {partition} is back: {is}"));
                self.put_back += 1;
                continue;
            }
            self.say(|| format!("somebody goes on from the restored state of {partition}: {is}"));
            if self.profile.restores == Restores::Stopped && self.broken.is_none() {
                self.ghost.find(Violation::Illegal, format!("partition {partition}: {was} -> {is}"));
            }
            if self.broken.is_none() {
                self.ghost.promise_nothing(partition);
                self.in_the_dark += 1;
            }
        }
    }

    /// Whether a change is the putting back of a state.
    pub fn is_put_back(&self, before: usize, partition: usize) -> bool {
        let (old, new) = (self.store.version(before), self.store.version(self.store.newest()));
        let (was, is) = (&old.states[partition], &new.states[partition]);
        let above = is.leader_epoch > was.leader_epoch && is.partition_epoch > was.partition_epoch;
        above && old.spec.held.contains_key(&key(partition))
    }

    /// The KafkaCluster as that version has it.
    pub fn cluster_at(&self, version: usize) -> Cluster {
        let brokers = i32::try_from(self.nodes.len()).unwrap();
        let declared = self.store.version(version).declared.clone();
        let restored = declared.map(|text| Declared { id: text.clone(), text, ..Declared::default() });
        Cluster { brokers, restored, ..Cluster::default() }
    }

    /// An operator asks what brokers remember.
    pub fn recall(&mut self, at: usize) {
        let life = self.operators[at].life;
        for (broker, wanted) in self.operators[at].controller.wanted_recollections() {
            for (key, asked) in wanted {
                let (to, partition) =
                    (usize::try_from(broker).unwrap(), usize::try_from(key.partition).unwrap());
                self.net.send(
                    Message::Recall { from: at, life, to, partition, asked },
                    self.now,
                    &mut self.rng,
                );
            }
        }
    }

    /// A broker is asked what it remembers.
    pub fn is_recalled(&mut self, from: usize, life: u32, broker: usize, partition: usize, asked: Asked) {
        let node = &mut self.nodes[broker];
        let state = node.disk.memory[partition].clone();
        let Some(process) = &mut node.process else { return };
        if asked.refuse && !process.held.contains(&partition) && self.broken != Some(Broken::RestoreHolds) {
            // A question that is late: it has gone on since.
            return;
        }
        let generation = process.me.generation;
        let known = state.as_ref().map_or(-1, |state| state.leader_epoch).max(asked.leader_epoch);
        let refuses = match asked.refuse {
            true => process.parts[partition].replica.freeze(known),
            false => known,
        };
        let recollection = Recollection { state, refuses };
        self.say(|| format!("broker {broker} tells what it remembers of {partition}: {recollection:?}"));
        self.publish(broker, partition);
        let remembered = Remembered { broker, generation, partition, recollection };
        self.net.send(Message::Recalled { to: from, life, remembered }, self.now, &mut self.rng);
    }

    /// An operator hears what a broker remembers.
    pub fn hears(&mut self, at: usize, life: u32, remembered: Remembered) {
        if self.operators[at].life != life {
            return;
        }
        let Remembered { broker, generation, partition, mut recollection } = remembered;
        let key = PartitionKey { topic_id: TOPIC, partition: i32::try_from(partition).unwrap() };
        let known = self.store.version(self.operators[at].known()).states[partition].clone();
        if self.broken == Some(Broken::RestoreMemory) {
            // What is stored counts, whatever is remembered.
            recollection.state = Some(known.clone());
        }
        let controller = &mut self.operators[at].controller;
        if self.broken == Some(Broken::RestoreAll) {
            // Who has not answered is taken for somebody who knows of nothing newer.
            let facts = self.operators[at].facts.clone();
            for (other, lease) in facts.into_iter().filter(|(id, _)| usize::try_from(*id) != Ok(broker)) {
                let nothing = Recollection { state: None, refuses: recollection.refuses };
                self.operators[at].controller.recalled(other, lease.generation, key, nothing);
            }
            return self.operators[at].controller.recalled(id(broker), generation, key, recollection);
        }
        controller.recalled(id(broker), generation, key, recollection);
    }

    /// With the rule off that epochs rise above all that were named, they rise above what is stored alone.
    pub fn one_above(old: &PartitionState, new: &mut PartitionState) {
        new.leader_epoch = old.leader_epoch + 1;
        new.partition_epoch = old.partition_epoch + 1;
    }
}

fn id(broker: usize) -> i32 {
    i32::try_from(broker).unwrap()
}
