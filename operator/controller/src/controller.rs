//! What is known of one KafkaCluster, and what has changed since the last plan.

use std::borrow::{Borrow, Cow};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use milena_crds::elections::Wish;
use milena_crds::partition::{PartitionKey, PartitionState};
use milena_crds::restore::Declared;
use milena_crds::settings::{Config, effective, topic_setting};
use milena_crds::topic::KafkaTopicStatus;
use milena_crds::{KafkaCluster, KafkaPartitionsSpec, KafkaTopic, names};
use uuid::Uuid;

use crate::broker::{Broker, Brokers};
use crate::chunks::Chunks;
use crate::gathering::Gathering;
use crate::rebalance::Rebalance;
use crate::recovery::Recoveries;
use crate::restore::{Doubts, Restores};
use crate::wishes::wishes_of;

/// Most ids of topics that were seen to go that are remembered, in case their partitions show up later.
const MAX_GONE: usize = 16_384;

/// One KafkaCluster, as far as topics and partitions are concerned.
///
/// What watches bring goes in by the `apply_` and `remove_` methods, in any order and as often as one likes; only what
/// differs from what is known costs anything. [`Controller::plan`] says what to write. Plans are carried out one after
/// the other, and each answer of the API server goes back in before the next plan. Do not plan before the first lists
/// of KafkaTopics, KafkaPartitions and Leases are complete: what is not there yet counts as missing.
#[derive(Debug)]
pub struct Controller {
    pub(crate) name: String,
    pub(crate) cluster: Option<Cluster>,
    pub(crate) topics: BTreeMap<String, Entry>,
    /// Objects by the topic name that they claim.
    pub(crate) claims: HashMap<String, BTreeSet<String>>,
    /// Objects by topic id.
    pub(crate) ids: HashMap<Uuid, BTreeSet<String>>,
    pub(crate) chunks: Chunks,
    pub(crate) brokers: Brokers,
    pub(crate) dirty: BTreeSet<String>,
    pub(crate) dirty_chunks: BTreeSet<u32>,
    /// Objects that somebody deleted, until they are seen again; their content is still known.
    pub(crate) absent: BTreeSet<u32>,
    /// Topics that wait for brokers.
    pub(crate) waiting: BTreeSet<String>,
    /// KafkaTopics whose annotation asks for elections.
    pub(crate) wishing: BTreeSet<String>,
    /// Elections that were asked for directly.
    pub(crate) asked: BTreeMap<PartitionKey, Wish>,
    /// Whether the first topics wait for brokers that are on their way.
    pub(crate) gathering: Gathering,
    /// Partitions of which every member lost its generation, and what was heard of their logs.
    pub(crate) recoveries: Recoveries,
    /// Partitions that are held since etcd was restored, and what was heard of them.
    pub(crate) restores: Restores,
    /// Partitions of which a broker says that it remembers a newer state.
    pub(crate) doubts: Doubts,
    /// When leadership goes back to the first replicas.
    pub(crate) rebalance: Rebalance,
    /// Topics that keep brokers from leaving: they have more replicas than there are brokers left.
    pub(crate) stuck: BTreeSet<String>,
    /// Ids to record as deleted.
    pub(crate) doomed: BTreeSet<Uuid>,
    /// Ids with partitions and without a KafkaTopic, and since when.
    pub(crate) orphans: BTreeMap<Uuid, Option<Time>>,
    /// Ids of topics that were seen to go, the oldest first.
    gone: VecDeque<Uuid>,
}

/// What counts of a KafkaCluster here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// How many brokers it wants.
    pub brokers: i32,
    /// The id that brokers are numbered from: 0, but for a data directory that Apache Kafka numbered.
    pub first_broker: i32,
    /// Its settings.
    pub config: Config,
    /// Missing topics that its status tells of, with the time when they were found missing.
    pub missing: BTreeMap<Uuid, Time>,
    /// Missing topics that a person gives up.
    pub drop: BTreeSet<Uuid>,
    /// Brokers that are to have no partitions, although they run.
    pub leaving: BTreeSet<i32>,
    /// A restored backup of etcd that a person declares.
    pub restored: Option<Declared>,
}

impl Cluster {
    /// The ids of the brokers that it wants.
    pub(crate) fn ids(&self) -> Range<i32> {
        self.first_broker..self.first_broker.saturating_add(self.brokers)
    }
}

impl From<&KafkaCluster> for Cluster {
    fn from(object: &KafkaCluster) -> Self {
        let missing = object.status.iter().flat_map(|status| &status.missing_topics);
        let drop = object.metadata.annotations.iter().filter_map(|all| all.get(names::DROP_TOPICS));
        let leaving = object.metadata.annotations.iter().filter_map(|all| all.get(names::EMPTY_BROKERS));
        Self {
            brokers: object.spec.brokers,
            restored: Declared::of(object.metadata.annotations.as_ref()),
            first_broker: 0,
            config: object.spec.config.clone(),
            missing: missing
                .filter_map(|topic| Some((Uuid::parse_str(&topic.topic_id).ok()?, topic.since.clone())))
                .collect(),
            leaving: leaving.flat_map(|ids| ids.split(',')).filter_map(|id| id.trim().parse().ok()).collect(),
            drop: drop
                .flat_map(|ids| ids.split(','))
                .filter_map(|id| Uuid::parse_str(id.trim()).ok())
                .collect(),
        }
    }
}

/// A KafkaTopic.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) object: Arc<KafkaTopic>,
    /// A status that is on its way to the API server.
    pub(crate) sent: Option<KafkaTopicStatus>,
    /// The annotation that is being taken away, because what it asks for was done.
    pub(crate) wishes_sent: Option<String>,
}

/// How an object went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Its deletion was seen.
    Seen,
    /// It was missing from a list: it may have been deleted, or a backup was restored.
    FoundMissing,
}

impl Controller {
    /// Knows nothing yet but the name of the KafkaCluster.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cluster: None,
            topics: BTreeMap::new(),
            claims: HashMap::new(),
            ids: HashMap::new(),
            chunks: Chunks::default(),
            brokers: Brokers::new(),
            dirty: BTreeSet::new(),
            dirty_chunks: BTreeSet::new(),
            absent: BTreeSet::new(),
            waiting: BTreeSet::new(),
            wishing: BTreeSet::new(),
            asked: BTreeMap::new(),
            gathering: Gathering::default(),
            recoveries: Recoveries::new(),
            restores: Restores::new(),
            doubts: Doubts::new(),
            rebalance: Rebalance::default(),
            stuck: BTreeSet::new(),
            doomed: BTreeSet::new(),
            orphans: BTreeMap::new(),
            gone: VecDeque::new(),
        }
    }

    /// The KafkaCluster as it is; `None` if there is none.
    pub fn apply_cluster(&mut self, cluster: Option<Cluster>) {
        if self.cluster == cluster {
            return;
        }
        if self.cluster.is_none() || cluster.is_none() {
            self.dirty.extend(self.topics.keys().cloned());
            self.dirty_chunks.extend(self.chunks.objects().keys());
        } else {
            self.dirty.extend(self.waiting.iter().cloned());
            let counts = |cluster: &Option<Cluster>| {
                cluster.as_ref().map(|cluster| (cluster.config.clone(), cluster.restored.clone()))
            };
            if counts(&self.cluster) != counts(&cluster) {
                // Who may lead depends on them.
                self.dirty_chunks.extend(self.chunks.objects().keys());
            }
        }
        self.cluster = cluster;
        if self.cluster.is_none() {
            // They went with it.
            for chunk in std::mem::take(&mut self.absent) {
                self.forget_chunk(chunk);
            }
        }
    }

    /// A broker as it is; `None` if there is no sign of it. Renewals of its Lease are no news and cost nothing.
    pub fn apply_broker(&mut self, id: i32, broker: Option<Broker>) {
        if self.brokers.get(&id) == broker.as_ref() {
            return;
        }
        match broker {
            Some(broker) => self.brokers.insert(id, broker),
            None => self.brokers.remove(&id),
        };
        // To find out which of them it concerns costs as much as to hold the elections.
        self.dirty_chunks.extend(self.chunks.objects().keys());
        self.dirty.extend(self.waiting.iter().cloned());
    }

    /// A KafkaTopic as a watch or an answer shows it. One that is older than what is known is passed over.
    pub fn apply_topic(&mut self, object: Arc<KafkaTopic>) {
        let Some(name) = object.metadata.name.clone() else { return };
        let (mut sent, mut wishes_sent) = (None, None);
        if let Some(known) = self.topics.get(&name) {
            let same_uid = known.object.metadata.uid == object.metadata.uid;
            if same_uid && version(&object) < version(&known.object) {
                return;
            }
            if same_uid {
                sent = known.sent.clone().filter(|sent| object.status.as_ref() != Some(sent));
                wishes_sent = known.wishes_sent.clone();
                if known.object.spec.config != object.spec.config
                    && let Some(id) = object.topic_id()
                {
                    // Who may lead depends on them.
                    self.dirty_chunks.extend(self.chunks.chunks_of(id));
                }
            } else {
                // Deleted and made anew between two looks.
                self.remove_topic(&name, Removal::Seen);
            }
        }
        self.forget(&name);
        if let Some(id) = object.topic_id() {
            self.ids.entry(id).or_default().insert(name.clone());
            self.orphans.remove(&id);
            self.touch_claims_of(id);
        }
        let claimants = self.claims.entry(object.topic_name().to_owned()).or_default();
        claimants.insert(name.clone());
        self.dirty.extend(claimants.iter().cloned());
        let entry = Entry { object, sent, wishes_sent };
        if wishes_of(&entry).is_some() {
            self.wishing.insert(name.clone());
        }
        self.topics.insert(name, entry);
    }

    /// A KafkaTopic that is gone.
    pub fn remove_topic(&mut self, name: &str, how: Removal) {
        let Some(entry) = self.forget(name) else { return };
        self.dirty.remove(name);
        self.waiting.remove(name);
        // Who waited for its name, or for its data, may have them now.
        let heirs = self.claims.get(entry.object.topic_name()).cloned().unwrap_or_default();
        self.dirty.extend(heirs);
        let Some(id) = entry.object.topic_id() else { return };
        self.touch_claims_of(id);
        if self.ids.contains_key(&id) {
            return;
        }
        match how {
            Removal::Seen => {
                self.gone.push_back(id);
                if self.gone.len() > MAX_GONE {
                    self.gone.pop_front();
                }
                if self.chunks.chunks_of(id).next().is_some() {
                    self.doomed.insert(id);
                }
            }
            Removal::FoundMissing => self.look_for_owner(id),
        }
    }

    /// A KafkaPartitions object as a watch or an answer shows it.
    pub fn apply_chunk(&mut self, chunk: u32, spec: KafkaPartitionsSpec) {
        self.absent.remove(&chunk);
        if self.chunks.objects().get(&chunk) == Some(&spec) {
            return;
        }
        for id in self.chunks.replace(chunk, Some(spec)) {
            self.dirty.extend(self.ids.get(&id).into_iter().flatten().cloned());
            self.look_for_owner(id);
        }
        self.dirty_chunks.insert(chunk);
    }

    /// A KafkaPartitions object is gone. While its KafkaCluster is there nobody may delete one: it is put back.
    pub fn remove_chunk(&mut self, chunk: u32) {
        if self.cluster.is_none() {
            self.forget_chunk(chunk);
        } else if self.chunks.objects().contains_key(&chunk) {
            self.absent.insert(chunk);
        }
    }

    fn forget_chunk(&mut self, chunk: u32) {
        self.dirty_chunks.remove(&chunk);
        self.recoveries.remove(&chunk);
        self.restores.remove(&chunk);
        for id in self.chunks.replace(chunk, None) {
            self.dirty.extend(self.ids.get(&id).into_iter().flatten().cloned());
            self.look_for_owner(id);
        }
    }

    /// The writing of a topic's status has ended, well or not. If it ended well, hand in the answer by
    /// [`Controller::apply_topic`] before.
    pub fn status_done(&mut self, name: &str) {
        if let Some(entry) = self.topics.get_mut(name) {
            entry.sent = None;
            self.dirty.insert(name.to_owned());
        }
    }

    /// An annotation could not be taken out: it is looked at again.
    pub fn answer_failed(&mut self, name: &str) {
        self.dirty.insert(name.to_owned());
    }

    /// Brokers that may be given replicas, as far as a person has a say in it.
    pub(crate) fn willing(&self) -> Cow<'_, Brokers> {
        match self.cluster.as_ref().map(|cluster| &cluster.leaving).filter(|leaving| !leaving.is_empty()) {
            None => Cow::Borrowed(&self.brokers),
            Some(leaving) => {
                let stays = |(id, _): &(&i32, &Broker)| !leaving.contains(id);
                let stay = self.brokers.iter().filter(stays).map(|(id, broker)| (*id, broker.clone()));
                Cow::Owned(stay.collect())
            }
        }
    }

    /// Whether [`Controller::plan`] may have something to say before the next change.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
            || !self.dirty_chunks.is_empty()
            || !self.absent.is_empty()
            || !self.doomed.is_empty()
    }

    /// The state of every partition of a topic that is known, in order; for whoever hosts brokers.
    #[must_use]
    pub fn partitions(&self, topic: Uuid) -> Vec<(i32, PartitionState)> {
        let found = self.chunks.partitions(topic).into_iter();
        found.filter_map(|found| Some((found.partition, found.state?))).collect()
    }

    /// Takes an object out of the indexes.
    fn forget(&mut self, name: &str) -> Option<Entry> {
        let entry = self.topics.remove(name)?;
        self.wishing.remove(name);
        remove_from(&mut self.claims, entry.object.topic_name(), name);
        if let Some(id) = entry.object.topic_id() {
            remove_from(&mut self.ids, &id, name);
        }
        Some(entry)
    }

    /// Whether a topic's partitions may be led by whoever is left, at the price of acknowledged records.
    pub(crate) fn allows_unclean(&self, topic: Uuid) -> bool {
        let name = self.ids.get(&topic).and_then(BTreeSet::first);
        let (Some(entry), Some(cluster)) = (name.and_then(|name| self.topics.get(name)), &self.cluster)
        else {
            return false;
        };
        topic_setting("unclean.leader.election.enable")
            .is_some_and(|row| effective(row, &entry.object.spec.config, &cluster.config).value == "true")
    }

    /// Everybody who claims this id, or the name of who claims it, is looked at again.
    fn touch_claims_of(&mut self, id: Uuid) {
        self.dirty.extend(self.ids.get(&id).into_iter().flatten().cloned());
    }

    /// Partitions without a KafkaTopic: deleted, if that was seen, else missing.
    fn look_for_owner(&mut self, id: Uuid) {
        let has_data = self.chunks.chunks_of(id).next().is_some();
        if !has_data || self.ids.contains_key(&id) {
            self.orphans.remove(&id);
            self.doomed.remove(&id);
        } else if self.gone.contains(&id) {
            self.doomed.insert(id);
        } else {
            self.orphans.entry(id).or_insert(None);
        }
    }
}

fn remove_from<K, Q>(index: &mut HashMap<K, BTreeSet<String>>, key: &Q, name: &str)
where
    K: Borrow<Q> + Hash + Eq,
    Q: Hash + Eq + ?Sized,
{
    if let Some(names) = index.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
}

/// Versions of one object are in the order of their numbers; objects that no API server keeps have none.
fn version(object: &KafkaTopic) -> Option<u64> {
    object.metadata.resource_version.as_deref().and_then(|version| version.parse().ok())
}
