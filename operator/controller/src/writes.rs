//! KafkaPartitions objects as a plan is about to leave them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use milena_crds::KafkaPartitionsSpec;
use milena_crds::partition::{PartitionKey, PartitionState};
use uuid::Uuid;

use crate::chunks::{Chunks, Room};
use crate::placement::Load;
use crate::plan::ChunkWrite;

/// How long the id of a deleted topic stays on record. A broker that was away for longer sets the data aside.
const DELETED_KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Most ids of deleted topics in one object; the oldest go first.
const MAX_DELETED: usize = 512;

/// Changes of one plan, one object each however many partitions change.
pub(crate) struct Writes<'a> {
    chunks: &'a Chunks,
    cluster: &'a str,
    now: Timestamp,
    objects: BTreeMap<u32, KafkaPartitionsSpec>,
    /// Made when the first partition is placed.
    room: Option<Room>,
    load: Option<Load>,
}

impl<'a> Writes<'a> {
    pub(crate) fn new(chunks: &'a Chunks, cluster: &'a str, now: Timestamp) -> Self {
        Self { chunks, cluster, now, objects: BTreeMap::new(), room: None, load: None }
    }

    /// The object as it was before this plan.
    pub(crate) fn before(&self, chunk: u32) -> Option<&'a KafkaPartitionsSpec> {
        self.chunks.objects().get(&chunk)
    }

    /// The object, to be changed.
    pub(crate) fn object(&mut self, chunk: u32) -> &mut KafkaPartitionsSpec {
        let (chunks, cluster) = (self.chunks, self.cluster);
        self.objects.entry(chunk).or_insert_with(|| match chunks.objects().get(&chunk) {
            Some(spec) => spec.clone(),
            None => KafkaPartitionsSpec { cluster: cluster.to_owned(), ..KafkaPartitionsSpec::default() },
        })
    }

    pub(crate) fn put(&mut self, chunk: u32, key: PartitionKey, state: &PartitionState) {
        self.object(chunk).partitions.insert(key.to_string(), state.to_string());
    }

    /// Whether this plan has changed the state of a partition.
    pub(crate) fn has_changed(&self, chunk: u32, key: PartitionKey) -> bool {
        let name = key.to_string();
        let before = self.before(chunk).and_then(|spec| spec.partitions.get(&name));
        self.objects.get(&chunk).is_some_and(|spec| spec.partitions.get(&name) != before)
    }

    /// Whether nobody may act on a partition, or may not from this plan on.
    pub(crate) fn is_held(&self, chunk: u32, key: PartitionKey) -> bool {
        let object = self.objects.get(&chunk).or_else(|| self.before(chunk));
        object.is_some_and(|object| object.held.contains_key(&key.to_string()))
    }

    /// Room in objects, with what this plan takes of it.
    pub(crate) fn room(&mut self) -> &mut Room {
        self.room.get_or_insert_with(|| Room::new(self.chunks))
    }

    /// Load of brokers, with what this plan adds to it.
    pub(crate) fn load(&mut self) -> &mut Load {
        self.load.get_or_insert_with(|| self.chunks.load().clone())
    }

    /// Takes a topic's partitions out and records its id as deleted, in each object that has some.
    pub(crate) fn delete(&mut self, topic: Uuid) {
        let prefix = format!("{}/", topic.as_hyphenated());
        let chunks: Vec<u32> = self.chunks.chunks_of(topic).collect();
        let (now, text) = (self.now, self.now.to_string());
        for chunk in chunks {
            let object = self.object(chunk);
            object.partitions.retain(|key, _| !key.starts_with(&prefix));
            object.held.retain(|key, _| !key.starts_with(&prefix));
            object.deleted.insert(topic.as_hyphenated().to_string(), text.clone());
            forget_old(&mut object.deleted, now);
        }
    }

    /// What to write: every object that differs from what is there, and those that are `absent`.
    pub(crate) fn finish(mut self, absent: &BTreeSet<u32>) -> Vec<ChunkWrite> {
        for chunk in absent {
            self.object(*chunk);
        }
        let chunks = self.chunks;
        let write = |(chunk, spec): (u32, KafkaPartitionsSpec)| {
            let there = chunks.objects().get(&chunk);
            let create = there.is_none() || absent.contains(&chunk);
            (create || there != Some(&spec)).then_some(ChunkWrite { chunk, create, spec })
        };
        self.objects.into_iter().filter_map(write).collect()
    }
}

fn forget_old(deleted: &mut BTreeMap<String, String>, now: Timestamp) {
    let when = |text: &String| text.parse::<Timestamp>().unwrap_or(Timestamp::MIN);
    deleted.retain(|_, time| now.duration_since(when(time)) < DELETED_KEPT);
    while deleted.len() > MAX_DELETED {
        let oldest = deleted.iter().min_by_key(|(_, time)| when(time)).map(|(id, _)| id.clone());
        let Some(oldest) = oldest else { return };
        deleted.remove(&oldest);
    }
}
