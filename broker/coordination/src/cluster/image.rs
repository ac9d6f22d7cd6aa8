//! One immutable picture of the cluster. A change makes a new picture that shares all the rest with the old
//! one, so that 10,000 topics cost a change no more than ten do.

use std::sync::Arc;

use imbl::{HashMap, HashSet, OrdMap};
use milena_crds::{
    partition::{Offline, PartitionKey, PartitionState},
    settings::Config,
};
use uuid::Uuid;

/// Brokers, topics and settings at one moment.
#[derive(Clone, Debug, Default)]
pub struct ClusterImage {
    /// Kafka's cluster id: 22 characters of URL-safe base64.
    pub cluster_id: Arc<str>,
    /// Every broker that has ever registered, by id.
    pub brokers: OrdMap<i32, BrokerInfo>,
    /// Topics that have partitions, by Kafka name. Topics refused by the control plane are not here.
    pub topics: OrdMap<Arc<str>, Arc<Topic>>,
    /// The names of the topics above, by topic id (KIP-516).
    pub names: HashMap<Uuid, Arc<str>>,
    /// Ids of topics whose deletion is recorded: their data may go.
    pub deleted: HashSet<Uuid>,
    /// Ids of all topics that have partition state, those without a name (found missing) included: their data
    /// is kept.
    pub known: HashSet<Uuid>,
    /// Partitions on which nobody may act until their newest state is put back, for etcd was restored (rule 13). They have
    /// no state here.
    pub held: HashSet<PartitionKey>,
    /// How many partitions there are of which this broker remembers a newer state than it is shown.
    pub older: usize,
    /// Whether this is what the broker remembered of its former life, because the control plane cannot be reached
    /// (rule 10).
    pub from_memory: bool,
    /// Whether the broker could not keep on its disk that it saw this.
    pub unkept: bool,
    /// Cluster-wide broker settings that can change while brokers run.
    pub settings: Arc<Config>,
}

/// A broker as clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Host name or address for clients; none: the address on which the client reached this process.
    pub host: Option<Arc<str>>,
    /// Port for clients.
    pub port: u16,
    /// Address for other brokers, where it is another one than clients are told: names may be known late.
    pub pod_ip: Option<Arc<str>>,
    /// Failure domain (`broker.rack`).
    pub rack: Option<Arc<str>>,
    /// Whether it is believed to be up: a hint for clients, and for leaders.
    pub alive: bool,
    /// Partitions that it cannot serve, as it says.
    pub offline: Arc<Offline>,
}

/// A topic and the state of each of its partitions, in partition order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Topic id; all bits zero is never used.
    pub id: Uuid,
    /// Kafka's name of the topic.
    pub name: Arc<str>,
    /// Settings that differ from the broker's defaults.
    pub config: Config,
    /// Replicas that the topic was asked to have for each partition.
    pub replicas: i32,
    /// By partition number; none where the state is not known (yet).
    pub partitions: Vec<Option<PartitionState>>,
}

impl Topic {
    /// Kafka hides these from consumers that subscribe by pattern, and refuses clients' writes to them.
    #[inline]
    pub fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }

    /// Whether a broker leads any of its partitions.
    pub fn is_led_by(&self, broker: i32) -> bool {
        self.partitions.iter().flatten().any(|state| state.leader == Some(broker))
    }

    /// The state of one partition.
    #[inline]
    pub fn partition(&self, index: i32) -> Option<&PartitionState> {
        self.partitions.get(usize::try_from(index).ok()?)?.as_ref()
    }

    /// Number of partitions, as clients count them.
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }
}

/// Topics that belong to the brokers themselves.
pub fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

impl ClusterImage {
    /// The topic of that name.
    #[inline]
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// The topic of that id.
    #[inline]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(&id)?)
    }

    /// The broker, if it is believed to be up.
    #[inline]
    pub fn live_broker(&self, id: i32) -> Option<&BrokerInfo> {
        self.brokers.get(&id).filter(|broker| broker.alive)
    }

    /// Puts a topic in, in the place of one with the same name or the same id.
    pub fn put_topic(&mut self, topic: Arc<Topic>) {
        if let Some(old_name) = self.names.get(&topic.id).filter(|name| **name != topic.name).cloned() {
            self.topics.remove(&old_name);
        }
        if let Some(old) = self.topics.get(&topic.name).filter(|old| old.id != topic.id).map(|old| old.id) {
            self.names.remove(&old);
        }
        self.names.insert(topic.id, topic.name.clone());
        self.topics.insert(topic.name.clone(), topic);
    }

    /// Takes a topic out of clients' sight.
    pub fn remove_topic(&mut self, id: Uuid) {
        if let Some(name) = self.names.remove(&id) {
            self.topics.remove(&name);
        }
    }
}
