//! Which replicas this broker has open.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use imbl::HashMap;
use kafka_protocol::ResponseError;
use milena_crds::partition::PartitionKey;
use uuid::Uuid;

use super::{Partition, PartitionError};
use crate::{cluster::Topic, node::View};

/// This broker's replicas, by topic id. Clones share all that does not change.
#[derive(Clone, Default)]
pub struct Hosted {
    topics: HashMap<Uuid, Arc<HostedTopic>>,
}

/// This broker's replicas of one topic.
#[derive(Clone, Default)]
pub struct HostedTopic {
    /// Open replicas, by partition.
    pub open: BTreeMap<i32, Arc<Partition>>,
    /// Partitions whose log could not be opened; the broker's log says why.
    pub failed: BTreeSet<i32>,
    /// Partitions whose log directory is out of service, and why.
    pub offline: BTreeMap<i32, Arc<str>>,
}

impl Hosted {
    /// An open replica.
    pub fn partition(&self, topic: Uuid, index: i32) -> Option<&Arc<Partition>> {
        self.topics.get(&topic)?.open.get(&index)
    }

    /// The replicas of a topic.
    pub fn topic(&self, id: Uuid) -> Option<&Arc<HostedTopic>> {
        self.topics.get(&id)
    }

    /// Puts the replicas of a topic in the place of those before.
    pub fn put(&mut self, id: Uuid, topic: Arc<HostedTopic>) {
        self.topics.insert(id, topic);
    }

    /// Takes a topic out; what was open comes back.
    pub fn remove(&mut self, id: Uuid) -> Option<Arc<HostedTopic>> {
        self.topics.remove(&id)
    }

    /// All open replicas.
    pub fn replicas(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.topics.values().flat_map(|topic| topic.open.values())
    }

    /// Numbers of replicas that are open, that lead, and that cannot be served. It is asked for with each picture.
    pub fn counts(&self) -> (usize, usize, usize) {
        self.topics.values().fold((0, 0, 0), |(open, leading, unserved), topic| {
            let leaders = topic.open.values().filter(|replica| replica.is_leader()).count();
            (open + topic.open.len(), leading + leaders, unserved + topic.failed.len() + topic.offline.len())
        })
    }

    /// Number of replicas whose log could not be opened, which is tried again.
    pub fn failed(&self) -> usize {
        self.topics.values().map(|topic| topic.failed.len()).sum()
    }

    /// The partitions that are this broker's and that it cannot serve.
    pub fn unserved(&self) -> impl Iterator<Item = PartitionKey> {
        self.topics.iter().flat_map(|(id, topic)| {
            let all = topic.failed.iter().chain(topic.offline.keys());
            all.map(|index| PartitionKey { topic_id: *id, partition: *index })
        })
    }

    /// Takes the replicas that `lost` names out of service. They come back, and serve nobody any more.
    pub fn take_offline(
        &mut self,
        reason: &Arc<str>,
        lost: impl Fn(&Partition) -> bool,
    ) -> Vec<Arc<Partition>> {
        let mut gone = Vec::new();
        let topics: Vec<(Uuid, Arc<HostedTopic>)> =
            self.topics.iter().map(|(id, topic)| (*id, topic.clone())).collect();
        for (id, topic) in topics {
            let (off, open) = topic.open.clone().into_iter().partition(|(_, replica)| lost(replica));
            let off: BTreeMap<i32, Arc<Partition>> = off;
            if off.is_empty() {
                continue;
            }
            let mut topic = HostedTopic { open, ..topic.as_ref().clone() };
            topic.offline.extend(off.keys().map(|index| (*index, reason.clone())));
            self.topics.insert(id, Arc::new(topic));
            gone.extend(off.into_values());
        }
        gone
    }
}

impl View {
    /// This broker's replica of a partition.
    ///
    /// # Errors
    /// What a client is told that asks the wrong broker, or for a partition that there is not.
    pub fn replica(&self, topic: &Topic, index: i32) -> Result<Arc<Partition>, PartitionError> {
        let hosted = self.hosted.topic(topic.id);
        if let Some(replica) = hosted.and_then(|hosted| hosted.open.get(&index)) {
            return Ok(replica.clone());
        }
        if hosted.is_some_and(|hosted| hosted.failed.contains(&index)) {
            let message = "the log of this partition could not be opened; the broker's log says why";
            return Err(PartitionError::new(index, ResponseError::KafkaStorageError, message));
        }
        if let Some(reason) = hosted.and_then(|hosted| hosted.offline.get(&index)) {
            return Err(PartitionError::new(index, ResponseError::KafkaStorageError, reason.to_string()));
        }
        let Some(state) = topic.partition(index) else {
            let message = format!("topic '{}' has {} partition(s)", topic.name, topic.partition_count());
            return Err(PartitionError::new(index, ResponseError::UnknownTopicOrPartition, message));
        };
        let message = "another broker has this partition";
        let mut error = PartitionError::new(index, ResponseError::NotLeaderOrFollower, message);
        error.leader = state.leader.map(|leader| (leader, state.leader_epoch));
        Err(error)
    }
}
