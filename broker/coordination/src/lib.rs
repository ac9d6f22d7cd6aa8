//! Where the cluster's state lives and who decides on it: one trait, two implementations. In Kubernetes the
//! objects are in the API server and the operator decides; embedded, they are files and this process decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use milena_crds::{
    elections::Wish,
    moves::Moves,
    partition::{PartitionKey, PartitionState},
    settings::Config,
};
use milena_replication::{Change, Outcome};
use tokio::sync::watch;
use uuid::Uuid;

use crate::cluster::ClusterImage;

mod assembler;
pub mod cluster;
pub mod embedded;
pub mod kubernetes;
#[cfg(test)]
#[path = "../../storage/tests/support/mutate.rs"]
mod mutate;

/// What a broker needs from the control plane.
///
/// Changes are requests: they are done once the image shows them. Nothing here is on the path of a record.
pub trait Coordination: Send + Sync {
    /// The newest picture of the cluster, and a signal at each change.
    fn image(&self) -> watch::Receiver<Arc<ClusterImage>>;

    /// Makes a KafkaTopic object. The answer is its topic id.
    fn create_topic(&self, topic: NewTopic) -> BoxFuture<'_, Result<Uuid, Refusal>>;

    /// Raises the number of partitions of a topic to `count`.
    fn grow_topic(&self, name: &str, count: i32) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Sets (some) or resets (none) topic settings; settings that are not named stay.
    fn alter_topic(&self, name: &str, changes: ConfigChanges) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Has partitions of a topic moved to the replicas that are named for them (KIP-455). `replicas`: what the topic asks
    /// for from then on of each partition, where that changes.
    fn reassign(&self, name: &str, moves: Moves, replicas: Option<i32>)
    -> BoxFuture<'_, Result<(), Refusal>>;

    /// Changes who is in sync with partitions that this broker leads, each by compare-and-swap on the state that its
    /// change names (rule 1). Answers how each attempt has ended, by its place among `changes`, as soon as it is known.
    fn change_isr<'a>(&'a self, changes: Vec<IsrChange>, answered: Answered<'a>) -> BoxFuture<'a, ()>;

    /// Asks for elections in a topic: held where they are possible, in the leader epochs that they name.
    fn elect_leaders(&self, topic: Uuid, wishes: Vec<Wish>) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Says which partitions a broker cannot serve, because their log directory is out of service or their logs cannot
    /// be opened: others may lead them.
    fn cannot_serve(&self, broker: i32, partitions: BTreeSet<PartitionKey>);

    /// The newest state of a partition that this broker has seen and acted on, or been about to (rule 13).
    fn remembered(&self, key: &PartitionKey) -> Option<PartitionState> {
        self.image().borrow().topic_by_id(key.topic_id)?.partition(key.partition).cloned()
    }

    /// Whether the newest state that was seen is where the next start finds it; where not, a stop is not in order
    /// (rule 13).
    fn is_remembered(&self) -> bool {
        true
    }

    /// Deletes the KafkaTopic object of that topic, and no other that took its name since.
    fn delete_topic(&self, id: Uuid) -> BoxFuture<'_, Result<(), Refusal>>;
}

/// A leader's change of one partition.
#[derive(Clone, Debug)]
pub struct IsrChange {
    /// The partition.
    pub key: PartitionKey,
    /// Its state before and after.
    pub change: Change,
}

/// Is told how the attempt has ended at one of several changes, by its place among them.
pub type Answered<'a> = Box<dyn FnMut(usize, Outcome) + Send + 'a>;

/// Settings to set or, where there is no value, to reset to their default.
pub type ConfigChanges = BTreeMap<String, Option<String>>;

/// A topic as a client asks for it, checked against the settings' table.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Kafka's name.
    pub name: String,
    /// Number of partitions, 1 or more.
    pub partitions: i32,
    /// Replicas of each partition, 1 or more.
    pub replicas: i32,
    /// Settings that differ from the defaults.
    pub config: Config,
}

/// Why a request was not carried out: Kafka's error and a message for whoever asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Kafka's error code.
    pub code: ResponseError,
    /// What was wrong, with the wrong value.
    pub message: String,
}

impl Refusal {
    /// A refusal with that code and message.
    pub fn new(code: ResponseError, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }
}
