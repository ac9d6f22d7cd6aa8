use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::requests::{FetchTopic, FetchedOffset, FetchedTopic};
use crate::Error;
use crate::log::{OffsetKey, OffsetValue};

/// A committed offset and where the log says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// What was committed.
    pub value: OffsetValue,
    /// The offset of its record in `__consumer_offsets`.
    pub record_offset: i64,
}

/// The offsets of one group.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<Arc<str>, BTreeMap<i32, CommittedOffset>>,
    /// How many records about an offset are being written.
    in_flight: HashMap<(Arc<str>, i32), u32>,
}

impl Offsets {
    pub(crate) fn is_empty(&self) -> bool {
        self.committed.is_empty()
    }

    /// Takes over a record of the log. An older record than the one that is known changes nothing.
    pub(crate) fn apply(&mut self, key: &OffsetKey, value: Option<OffsetValue>, record_offset: i64) {
        let known = self.get(&key.topic, key.partition);
        if known.is_some_and(|known| known.record_offset > record_offset) {
            return;
        }
        match value {
            Some(value) => {
                let committed = CommittedOffset { value, record_offset };
                self.committed.entry(key.topic.clone()).or_default().insert(key.partition, committed);
            }
            None => {
                if let Some(partitions) = self.committed.get_mut(&key.topic) {
                    partitions.remove(&key.partition);
                    if partitions.is_empty() {
                        self.committed.remove(&key.topic);
                    }
                }
            }
        }
    }

    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.committed.get(topic)?.get(&partition)
    }

    /// A record about this offset is on its way to the log.
    pub(crate) fn begin_write(&mut self, key: &OffsetKey) {
        let count = self.in_flight.entry((key.topic.clone(), key.partition)).or_default();
        *count = count.saturating_add(1);
    }

    /// The record is in the log, or never will be.
    pub(crate) fn end_write(&mut self, key: &OffsetKey) {
        let in_flight = (key.topic.clone(), key.partition);
        if let Some(count) = self.in_flight.get_mut(&in_flight) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.in_flight.remove(&in_flight);
            }
        }
    }

    pub(crate) fn is_in_flight(&self, topic: &str, partition: i32) -> bool {
        !self.in_flight.is_empty() && self.in_flight.contains_key(&(topic.into(), partition))
    }

    /// Whether the log has, or may come to have, an offset of this partition.
    pub(crate) fn may_have(&self, topic: &str, partition: i32) -> bool {
        self.get(topic, partition).is_some() || self.is_in_flight(topic, partition)
    }

    /// Every offset that the log has or may come to have.
    pub(crate) fn keys(&self) -> BTreeSet<(Arc<str>, i32)> {
        let committed = self
            .committed
            .iter()
            .flat_map(|(topic, partitions)| partitions.keys().map(|partition| (topic.clone(), *partition)));
        committed.chain(self.in_flight.keys().cloned()).collect()
    }

    pub(crate) fn of_topic(&self, topic: &str) -> impl Iterator<Item = (i32, &CommittedOffset)> {
        let partitions = self.committed.get(topic).into_iter().flatten();
        partitions.map(|(partition, offset)| (*partition, offset))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, &CommittedOffset)> {
        self.committed
            .iter()
            .flat_map(|(topic, offsets)| offsets.iter().map(move |(partition, at)| (topic, *partition, at)))
    }

    /// The offsets that a client asks for, each with an answer.
    pub(crate) fn fetch(&self, topics: &[FetchTopic], require_stable: bool) -> Vec<FetchedTopic> {
        let fetch_topic = |topic: &FetchTopic| FetchedTopic {
            name: topic.name.clone(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| self.fetch_one(&topic.name, topic.topic_id, *partition, require_stable))
                .collect(),
        };
        topics.iter().map(fetch_topic).collect()
    }

    /// All offsets.
    pub(crate) fn fetch_all(&self, require_stable: bool) -> Vec<FetchedTopic> {
        let fetch_topic = |(topic, offsets): (&Arc<str>, &BTreeMap<i32, CommittedOffset>)| FetchedTopic {
            name: topic.to_string(),
            partitions: offsets
                .keys()
                .map(|partition| self.fetch_one(topic, None, *partition, require_stable))
                .collect(),
        };
        self.committed.iter().map(fetch_topic).collect()
    }

    fn fetch_one(
        &self,
        topic: &str,
        topic_id: Option<Uuid>,
        partition: i32,
        require_stable: bool,
    ) -> FetchedOffset {
        if require_stable && self.is_in_flight(topic, partition) {
            return FetchedOffset { error: Some(Error::UnstableOffsetCommit), ..none(partition) };
        }
        let of_that_topic = |committed: &&CommittedOffset| !matches!((topic_id, committed.value.topic_id), (Some(asked), Some(known)) if asked != known);
        match self.get(topic, partition).filter(of_that_topic) {
            Some(committed) => FetchedOffset {
                partition,
                offset: committed.value.offset,
                leader_epoch: committed.value.leader_epoch,
                metadata: committed.value.metadata.clone(),
                error: None,
            },
            None => none(partition),
        }
    }
}

/// What a client hears of an offset that nobody has committed.
pub(crate) fn none(partition: i32) -> FetchedOffset {
    FetchedOffset { partition, offset: -1, leader_epoch: -1, metadata: String::new(), error: None }
}
