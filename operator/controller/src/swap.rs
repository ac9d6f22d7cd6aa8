//! Changes that leaders make: by compare-and-swap on one partition's text (rule 1). For whoever hosts brokers and keeps
//! the objects itself; against an API server a JSON Patch does the same.

use std::collections::BTreeMap;

use milena_crds::KafkaPartitionsSpec;
use milena_crds::partition::{PartitionKey, PartitionState};

use crate::controller::Controller;
use crate::plan::ChunkWrite;

impl Controller {
    /// Puts each new state in the place of its old one, where that is what stands there. Answers the objects to write,
    /// and for each change whether it is in them.
    #[must_use]
    pub fn swap<'a>(
        &self,
        changes: impl IntoIterator<Item = (PartitionKey, &'a PartitionState, &'a PartitionState)>,
    ) -> (Vec<ChunkWrite>, Vec<bool>) {
        let mut objects: BTreeMap<u32, KafkaPartitionsSpec> = BTreeMap::new();
        let mut swap = |key: PartitionKey, old: &PartitionState, new: &PartitionState| {
            let (name, text) = (key.to_string(), old.to_string());
            let holds = |chunk: &u32| {
                let there = objects.get(chunk).or_else(|| self.chunks.objects().get(chunk));
                there.and_then(|spec| spec.partitions.get(&name)) == Some(&text)
            };
            let chunk = self.chunks.chunks_of(key.topic_id).find(holds)?;
            let before = self.chunks.objects().get(&chunk)?;
            let object = objects.entry(chunk).or_insert_with(|| before.clone());
            object.partitions.insert(name, new.to_string());
            Some(())
        };
        let done = changes.into_iter().map(|(key, old, new)| swap(key, old, new).is_some()).collect();
        let writes = objects.into_iter().map(|(chunk, spec)| ChunkWrite { chunk, create: false, spec });
        (writes.collect(), done)
    }
}
