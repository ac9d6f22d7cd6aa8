//! From objects to the picture of the cluster, one object at a time: what a change costs depends on what it
//! changes, not on how many topics there are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use milena_crds::{
    KafkaPartitions, KafkaPartitionsSpec, KafkaTopic,
    partition::{PartitionKey, PartitionState},
    settings::Config,
    topic::MAX_PARTITIONS,
};
use tracing::warn;
use uuid::Uuid;

use crate::cluster::{BrokerInfo, ClusterImage, Topic};

/// Keeps what the objects say and the picture that follows from it.
#[derive(Default)]
pub struct Assembler {
    image: ClusterImage,
    topics: HashMap<Uuid, Named>,
    states: HashMap<Uuid, BTreeMap<i32, PartitionState>>,
    /// The last content of each KafkaPartitions object, to tell what a new one changes.
    objects: HashMap<String, Texts>,
    /// The restore of etcd that the KafkaCluster declares.
    declared: Option<String>,
}

struct Named {
    name: Arc<str>,
    config: Config,
    replicas: i32,
}

#[derive(Default)]
struct Texts {
    spec: KafkaPartitionsSpec,
    deleted: BTreeSet<Uuid>,
    held: BTreeSet<PartitionKey>,
}

impl Assembler {
    /// The picture as it is now.
    pub fn image(&self) -> Arc<ClusterImage> {
        Arc::new(self.image.clone())
    }

    /// The cluster's id.
    pub fn set_cluster_id(&mut self, id: Arc<str>) {
        self.image.cluster_id = id;
    }

    /// The restore of etcd that the KafkaCluster declares: nobody acts on what objects say that have not taken note of it.
    pub fn set_declared(&mut self, declared: Option<String>) {
        if self.declared == declared {
            return;
        }
        self.declared = declared;
        let objects: Vec<(String, KafkaPartitionsSpec)> =
            self.objects.iter().map(|(name, texts)| (name.clone(), texts.spec.clone())).collect();
        for (name, spec) in objects {
            self.replace(name, spec);
        }
    }

    /// The settings in the KafkaCluster.
    pub fn set_settings(&mut self, settings: &Config) {
        if *self.image.settings != *settings {
            self.image.settings = Arc::new(settings.clone());
        }
    }

    /// A broker as it registered, or as it is believed to be now.
    pub fn set_broker(&mut self, id: i32, broker: BrokerInfo) {
        if self.image.brokers.get(&id) != Some(&broker) {
            self.image.brokers.insert(id, broker);
        }
    }

    /// A broker that is no longer part of the cluster.
    pub fn remove_broker(&mut self, id: i32) {
        self.image.brokers.remove(&id);
    }

    /// The ids of the brokers in the picture.
    pub fn brokers(&self) -> Vec<i32> {
        self.image.brokers.keys().copied().collect()
    }

    /// A KafkaTopic that was made or changed.
    pub fn apply_topic(&mut self, topic: &KafkaTopic) {
        let Some(id) = topic.topic_id() else { return };
        let named = Named {
            name: Arc::from(topic.topic_name()),
            config: topic.spec.config.clone(),
            replicas: topic.spec.replicas,
        };
        self.topics.insert(id, named);
        self.rebuild(id);
    }

    /// A KafkaTopic that is gone. Its data is not: that goes only where the deletion is recorded (rule 12).
    pub fn remove_topic(&mut self, topic: &KafkaTopic) {
        if let Some(id) = topic.topic_id() {
            self.forget_topic(id);
        }
    }

    /// The topic of that id has no KafkaTopic any more.
    pub fn forget_topic(&mut self, id: Uuid) {
        self.topics.remove(&id);
        self.rebuild(id);
    }

    /// A KafkaPartitions object that was made or changed.
    pub fn apply_partitions(&mut self, object: &KafkaPartitions) {
        let name = object.metadata.name.clone().unwrap_or_default();
        self.replace(name, object.spec.clone());
    }

    /// A KafkaPartitions object that is gone: nothing is known of its partitions any more.
    pub fn remove_partitions(&mut self, name: &str) {
        self.replace(name.to_owned(), KafkaPartitionsSpec::default());
        self.objects.remove(name);
    }

    fn replace(&mut self, name: String, spec: KafkaPartitionsSpec) {
        let deleted = spec.deleted.keys().filter_map(|id| Uuid::parse_str(id).ok()).collect();
        let held = spec.not_settled(self.declared.as_deref()).filter_map(|key| key.parse().ok()).collect();
        let new = Texts { spec, deleted, held };
        let old = self.objects.remove(&name).unwrap_or_default();
        let mut touched = BTreeSet::new();
        for key in old.held.difference(&new.held) {
            self.image.held.remove(key);
            touched.insert(key.topic_id);
        }
        for key in new.held.difference(&old.held) {
            self.image.held.insert(*key);
            touched.insert(key.topic_id);
        }
        for key in old.spec.partitions.keys().filter(|key| !new.spec.partitions.contains_key(*key)) {
            if let Some(key) = parse_key(&name, key) {
                self.forget_state(key);
                touched.insert(key.topic_id);
            }
        }
        let same = |key: &String, text: &String| old.spec.partitions.get(key) == Some(text);
        for (key, text) in new.spec.partitions.iter().filter(|(key, text)| !same(key, text)) {
            let Some(key) = parse_key(&name, key) else { continue };
            match text.parse::<PartitionState>() {
                Ok(state) => {
                    self.states.entry(key.topic_id).or_default().insert(key.partition, state);
                    touched.insert(key.topic_id);
                }
                Err(error) => warn!(object = name, partition = %key, %error, "partition state ignored"),
            }
        }
        for id in old.deleted.difference(&new.deleted) {
            self.image.deleted.remove(id);
        }
        for id in &new.deleted {
            self.image.deleted.insert(*id);
        }
        self.objects.insert(name, new);
        for id in touched {
            self.rebuild(id);
        }
    }

    fn forget_state(&mut self, key: PartitionKey) {
        if let Some(states) = self.states.get_mut(&key.topic_id) {
            states.remove(&key.partition);
            if states.is_empty() {
                self.states.remove(&key.topic_id);
            }
        }
    }

    /// Brings the picture of one topic in line. Clients see a topic that has both an object and partitions.
    fn rebuild(&mut self, id: Uuid) {
        let states = self.states.get(&id);
        match states {
            Some(_) => self.image.known.insert(id),
            None => self.image.known.remove(&id),
        };
        let (Some(named), Some(states)) = (self.topics.get(&id), states) else {
            self.image.remove_topic(id);
            return;
        };
        let count = states.keys().next_back().map_or(0, |last| last + 1);
        let held = &self.image.held;
        let acts = |partition| !held.contains(&PartitionKey { topic_id: id, partition });
        let topic = Topic {
            id,
            name: named.name.clone(),
            config: named.config.clone(),
            replicas: named.replicas,
            partitions: (0..count).map(|index| states.get(&index).filter(|_| acts(index)).cloned()).collect(),
        };
        if self.image.topic_by_id(id).map(AsRef::as_ref) != Some(&topic) {
            self.image.put_topic(Arc::new(topic));
        }
    }
}

fn parse_key(object: &str, text: &str) -> Option<PartitionKey> {
    match text.parse::<PartitionKey>() {
        Ok(key) if key.partition < MAX_PARTITIONS => Some(key),
        _ => {
            warn!(object, key = text, "ignored: not <topic id>/<partition>");
            None
        }
    }
}

#[cfg(test)]
mod tests;
