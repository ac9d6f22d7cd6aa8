//! Objects for topics that Apache Kafka made in this data directory.

use std::collections::{BTreeMap, BTreeSet};

use milena_crds::{
    KafkaPartitions, KafkaTopic, KafkaTopicSpec, names,
    partition::{Member, PartitionKey, PartitionState},
};
use milena_storage::{LogDir, StorageError, TopicPartition};
use tracing::{info, warn};
use uuid::Uuid;

use super::{ADOPTED, KAFKA, KafkaRecord, PARTITIONS, Store, new_topic};
use crate::embedded::{
    files::FileError,
    kafka::{AdoptedTopic, Adoption},
};

impl Store {
    /// Makes an object for each topic that has none, and brings those in line that Kafka has changed since. The
    /// answer is the topics that are new here.
    pub fn adopt(&mut self, adoption: &Adoption) -> Result<BTreeSet<Uuid>, FileError> {
        let mut new = BTreeSet::new();
        for topic in &adoption.topics {
            let known = self.topics.values().find(|object| object.topic_id() == Some(topic.id)).cloned();
            match known {
                Some(object) => self.follow(&object, topic)?,
                None if self.make(topic)? => {
                    new.insert(topic.id);
                }
                None => {}
            }
        }
        self.forget_deleted(adoption)?;
        Ok(new)
    }

    fn make(&mut self, topic: &AdoptedTopic) -> Result<bool, FileError> {
        if self.topics.values().any(|object| object.topic_name() == topic.name) {
            warn!(
                topic = topic.name, topic_id = %topic.id,
                "not taken over: there is another topic of that name here; delete one of the two"
            );
            return Ok(false);
        }
        let object_name = names::object_name(&topic.name);
        let spec = KafkaTopicSpec {
            cluster: self.cluster.metadata.name.clone().unwrap_or_default(),
            topic_name: (object_name != topic.name).then(|| topic.name.clone()),
            partitions: topic.count(),
            replicas: 1,
            config: topic.config.clone(),
        };
        let mut object = new_topic(&object_name, spec, topic.id);
        object.metadata.annotations = Some([(ADOPTED.to_owned(), "kafka".to_owned())].into());
        self.put_topic(object)?;
        info!(topic = topic.name, topic_id = %topic.id, partitions = topic.count(), settings = topic.settings(), "taken over");
        Ok(true)
    }

    /// Kafka has run since: its settings are the newest, and its partitions may be more.
    fn follow(&mut self, object: &KafkaTopic, topic: &AdoptedTopic) -> Result<(), FileError> {
        let mut changed = object.clone();
        changed.spec.partitions = changed.spec.partitions.max(topic.count());
        changed.spec.config = topic.config.clone();
        if changed.spec == object.spec {
            return Ok(());
        }
        info!(
            topic = topic.name,
            partitions = changed.spec.partitions,
            settings = topic.settings(),
            "changed by Apache Kafka"
        );
        changed.metadata.generation = changed.metadata.generation.map(|generation| generation + 1);
        self.put_topic(changed)
    }

    /// Topics that came from Kafka, and that it has deleted since.
    fn forget_deleted(&mut self, adoption: &Adoption) -> Result<(), FileError> {
        if adoption.position.is_none() {
            return Ok(());
        }
        let from_kafka = |object: &KafkaTopic| {
            object.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(ADOPTED))
        };
        let gone = |object: &KafkaTopic| object.topic_id().is_some_and(|id| !adoption.has(id));
        let objects: Vec<String> = self
            .topics
            .iter()
            .filter(|(_, object)| from_kafka(object) && gone(object))
            .map(|(name, _)| name.clone())
            .collect();
        for name in objects {
            info!(object = name, "deleted by Apache Kafka");
            self.forget(&name)?;
        }
        Ok(())
    }

    /// Kafka sets topics aside that it does not know. Those that are known here get their directories back.
    pub fn take_back_strays(&self, dir: &LogDir) -> Result<(), StorageError> {
        let known = |tp: &TopicPartition, id| {
            self.topics
                .values()
                .any(|object| object.topic_id() == Some(id) && object.topic_name() == tp.topic())
        };
        for partition in dir.take_back(known)? {
            info!(%partition, "was set aside, and is back");
        }
        Ok(())
    }

    /// After the decisions: the partitions that were taken over are led by the broker that has their logs, in leader
    /// epochs that are not below what is on disk. What is `new` has been shown to nobody, and begins in exactly that
    /// epoch: Kafka's next one is above it.
    pub fn pin(
        &mut self,
        adoption: &Adoption,
        new: &BTreeSet<Uuid>,
        me: Member,
        broker_epoch: i64,
    ) -> Result<(), FileError> {
        let epochs: BTreeMap<PartitionKey, i32> = adoption.epochs().collect();
        let cluster = self.cluster.metadata.name.clone().unwrap_or_default();
        for mut object in self.files.load::<KafkaPartitions>(PARTITIONS)? {
            let before = object.spec.clone();
            for (key, text) in &mut object.spec.partitions {
                let (Ok(key), Ok(state)) = (key.parse::<PartitionKey>(), text.parse::<PartitionState>())
                else {
                    continue;
                };
                let Some(epoch) = epochs.get(&key) else { continue };
                let at_least = if new.contains(&key.topic_id) { 0 } else { state.leader_epoch };
                *text = led_by(me, at_least.max(*epoch), &state).to_string();
            }
            let name = object.metadata.name.clone().unwrap_or_default();
            let Some(chunk) = names::chunk_of_object(&cluster, &name).filter(|_| object.spec != before)
            else {
                continue;
            };
            object.spec.broker_epochs.insert(me.broker.to_string(), broker_epoch);
            self.files.put(PARTITIONS, &name, &object)?;
            self.assembler.apply_partitions(&object);
            self.controller.apply_chunk(chunk, object.spec);
        }
        if let Some(position) = &adoption.position {
            // Last, so that what is interrupted is done again.
            self.files.put(KAFKA, "metadata", &KafkaRecord { position: position.clone() })?;
            self.kafka_position = Some(position.clone());
        }
        Ok(())
    }
}

fn led_by(me: Member, leader_epoch: i32, before: &PartitionState) -> PartitionState {
    PartitionState {
        replicas: vec![me.broker],
        leader: Some(me.broker),
        leader_epoch,
        partition_epoch: before.partition_epoch.saturating_add(1),
        isr: vec![me],
        elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
    }
}

impl AdoptedTopic {
    /// Its settings for people.
    fn settings(&self) -> String {
        let all = self.config.iter().map(|(name, value)| format!("{name}={}", value.as_str()));
        all.collect::<Vec<String>>().join(" ")
    }

    /// Number of partitions, as clients count them.
    fn count(&self) -> i32 {
        self.partitions.keys().next_back().map_or(1, |last| last.saturating_add(1))
    }
}

impl Adoption {
    /// The leader epoch of each partition.
    fn epochs(&self) -> impl Iterator<Item = (PartitionKey, i32)> {
        self.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|(partition, epoch)| {
                (PartitionKey { topic_id: topic.id, partition: *partition }, *epoch)
            })
        })
    }
}
