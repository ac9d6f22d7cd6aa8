//! What this broker tells an operator that asks: how far its logs go, for a recovery election (rule 8), and which states
//! it remembers, after etcd was restored (rule 13).

use std::collections::BTreeMap;

use milena_crds::{
    inquiry::{self, Unreadable},
    partition::{PartitionKey, Recollection, Report},
    recall::{self, Asked},
};
use tracing::info;

use crate::{
    node::{Broker, View},
    partitions::generation,
};

/// The answer to a question's frame.
///
/// # Errors
/// It is not understood.
pub fn answer(broker: &Broker, frame: &[u8]) -> Result<Vec<u8>, Unreadable> {
    if recall::is_question(frame) {
        let question = recall::Question::decode(frame)?;
        let partitions = broker.recollections(&question.partitions);
        let generation = generation(&broker.dirs);
        return Ok(recall::Answer { broker: broker.id, generation, partitions }.encode());
    }
    let question = inquiry::Question::decode(frame)?;
    Ok(inquiry::Answer { broker: broker.id, reports: broker.reports(&question.partitions) }.encode())
}

impl Broker {
    /// What is known of these partitions: those whose log is open here, and that by the newest state, of that leader
    /// epoch at least, nobody leads. From then on everything up to that epoch is refused there.
    pub fn reports(&self, asked: &BTreeMap<PartitionKey, i32>) -> BTreeMap<PartitionKey, Report> {
        let view = self.view();
        if view.image.unkept {
            // What is refused has to be on disk before the answer leaves.
            return BTreeMap::new();
        }
        let report = |(key, epoch): (&PartitionKey, &i32)| {
            let partition = view.hosted.partition(key.topic_id, key.partition)?;
            let report = partition.report(*epoch)?;
            info!(
                broker = self.id, partition = %partition.name(), last_epoch = report.last_epoch, end = report.log_end,
                "told how far the log goes, for a recovery election"
            );
            Some((*key, report))
        };
        asked.iter().filter_map(report).collect()
    }

    /// The newest states that this broker remembers of these partitions. Where it is to refuse all of that from then on
    /// it answers only once it sees that the partition is held: a question that is late must not stop who has gone on.
    pub fn recollections(
        &self,
        asked: &BTreeMap<PartitionKey, Asked>,
    ) -> BTreeMap<PartitionKey, Recollection> {
        let view = self.view();
        let recall = |(key, asked): (&PartitionKey, &Asked)| Some((*key, self.recall(&view, key, *asked)?));
        asked.iter().filter_map(recall).collect()
    }

    fn recall(&self, view: &View, key: &PartitionKey, asked: Asked) -> Option<Recollection> {
        if asked.refuse && !view.image.held.contains(key) {
            return None;
        }
        let remembered = self.coordination.remembered(key);
        let partition = view.hosted.partition(key.topic_id, key.partition);
        let acted_on = partition.map(|partition| partition.state().as_ref().clone());
        let states = remembered.into_iter().chain(acted_on);
        let state = states.max_by_key(milena_crds::partition::PartitionState::epochs);
        let known = state.as_ref().map_or(-1, |state| state.leader_epoch).max(asked.leader_epoch);
        let refuses = match partition.filter(|_| asked.refuse) {
            Some(partition) => partition.freeze(known),
            None => known,
        };
        if asked.refuse {
            let state = state.as_ref().map(ToString::to_string).unwrap_or_default();
            info!(broker = self.id, partition = %key, state, "told which state is the newest that is remembered");
        }
        Some(Recollection { state, refuses })
    }
}
