//! The objects, the decisions on them, and the picture that follows.

mod adopt;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Time},
    jiff::Timestamp,
};
use kafka_protocol::ResponseError;
use milena_controller::{Answer, Broker, ChunkWrite, Cluster, Controller, Liveness, Note, Plan, Removal};
use milena_crds::{
    KafkaCluster, KafkaClusterSpec, KafkaPartitions, KafkaTopic, KafkaTopicSpec,
    cluster::Storage,
    elections::Wish,
    names,
    partition::{Offline, PartitionKey},
    settings::Config,
};
use milena_replication::Outcome;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use uuid::Uuid;

use super::files::{FileError, ObjectFiles};
use crate::{
    IsrChange, NewTopic, Refusal,
    assembler::Assembler,
    cluster::{BrokerInfo, ClusterImage},
};

/// Folders, by the plural of the kind.
const CLUSTERS: &str = "kafkaclusters";
const TOPICS: &str = "kafkatopics";
const PARTITIONS: &str = "kafkapartitions";
const BROKERS: &str = "brokers";
const KAFKA: &str = "kafka";
/// Annotation of topics that were taken over from Apache Kafka.
const ADOPTED: &str = "milena.dev/adopted-from";
/// Name of the KafkaCluster until a user applies one.
const OWN_CLUSTER: &str = "milena";
/// Rounds of decisions until nothing is left to decide; two are what it takes.
const MAX_ROUNDS: usize = 16;

/// What a Lease is in Kubernetes: how often a broker was started.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct BrokerRecord {
    broker: i32,
    epoch: i64,
}

/// How far the log of Kafka's metadata was read, in a directory that is shared with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KafkaRecord {
    position: String,
}

/// Everything that the embedded cluster knows.
pub struct Store {
    files: ObjectFiles,
    cluster: KafkaCluster,
    topics: BTreeMap<String, Arc<KafkaTopic>>,
    epochs: BTreeMap<i32, i64>,
    /// Brokers of this process, as they are.
    brokers: BTreeMap<i32, (BrokerInfo, Broker)>,
    /// Id of the first broker: 0, or what Kafka's data directory says.
    first_broker: i32,
    /// Whether this process has made the KafkaCluster.
    fresh: bool,
    kafka_position: Option<String>,
    controller: Controller,
    assembler: Assembler,
}

impl Store {
    /// Reads all objects.
    pub fn load(files: ObjectFiles, id: Uuid) -> Result<Store, FileError> {
        let (cluster, fresh) = match files.load::<KafkaCluster>(CLUSTERS)?.pop() {
            Some(cluster) => (cluster, false),
            None => (own_cluster(&files, id)?, true),
        };
        let name = cluster.metadata.name.clone().unwrap_or_default();
        let records: Vec<BrokerRecord> = files.load(BROKERS)?;
        let mut store = Store {
            controller: Controller::new(&name),
            assembler: Assembler::default(),
            topics: BTreeMap::new(),
            brokers: BTreeMap::new(),
            epochs: records.iter().map(|record| (record.broker, record.epoch)).collect(),
            first_broker: 0,
            fresh,
            kafka_position: files.load::<KafkaRecord>(KAFKA)?.pop().map(|record| record.position),
            files,
            cluster,
        };
        let uid = store.cluster.metadata.uid.as_deref().and_then(|uid| Uuid::parse_str(uid).ok());
        store.assembler.set_cluster_id(Arc::from(names::kafka_uuid(uid.unwrap_or_default())));
        store.show_cluster();
        for topic in store.files.load::<KafkaTopic>(TOPICS)? {
            store.show_topic(Arc::new(topic));
        }
        for object in store.files.load::<KafkaPartitions>(PARTITIONS)? {
            let object_name = object.metadata.name.clone().unwrap_or_default();
            if let Some(chunk) = names::chunk_of_object(&name, &object_name) {
                store.assembler.apply_partitions(&object);
                store.controller.apply_chunk(chunk, object.spec);
            }
        }
        Ok(store)
    }

    /// The picture for the brokers.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.assembler.image()
    }

    /// The KafkaCluster.
    pub fn cluster(&self) -> &KafkaCluster {
        &self.cluster
    }

    /// Whether a user has applied a KafkaCluster.
    pub fn is_applied(&self) -> bool {
        self.cluster.metadata.name.as_deref() != Some(OWN_CLUSTER)
    }

    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// The KafkaTopic of an object's name.
    pub fn topic(&self, object: &str) -> Option<&Arc<KafkaTopic>> {
        self.topics.get(object)
    }

    /// Another KafkaCluster in the place of this one; the uid, which is the cluster's id, stays.
    pub fn put_cluster(&mut self, spec: KafkaClusterSpec) -> Result<(), FileError> {
        let mut cluster = self.cluster.clone();
        cluster.spec = spec;
        self.files.put(CLUSTERS, &cluster.metadata.name.clone().unwrap_or_default(), &cluster)?;
        self.cluster = cluster;
        self.show_cluster();
        Ok(())
    }

    /// The name that a user gives the cluster. Objects of partitions carry it, so it is given once.
    pub fn rename_cluster(&mut self, name: &str) -> Result<(), Refusal> {
        let old = self.cluster.metadata.name.clone().unwrap_or_default();
        if old == name {
            return Ok(());
        }
        if old != OWN_CLUSTER || !self.topics.is_empty() {
            let message =
                format!("the data directory belongs to KafkaCluster '{old}'; '{name}' needs another one");
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
        self.cluster.metadata.name = Some(name.to_owned());
        self.files.put(CLUSTERS, name, &self.cluster)?;
        self.files.remove(CLUSTERS, &old)?;
        self.controller = Controller::new(name);
        self.show_cluster();
        Ok(())
    }

    /// How many brokers there are to be, and the settings that they share.
    pub fn set_brokers(&mut self, brokers: i32, config: Config) -> Result<(), FileError> {
        let spec = KafkaClusterSpec { brokers, ..self.cluster.spec.clone() };
        if spec != self.cluster.spec {
            self.put_cluster(spec)?;
        }
        let first_broker = self.first_broker;
        // Objects and logs lie in one directory: there is no older copy of the one beside the other.
        let cluster = Cluster { config, first_broker, restored: None, ..Cluster::from(&self.cluster) };
        self.assembler.set_settings(&cluster.config);
        self.controller.apply_cluster(Some(cluster));
        Ok(())
    }

    /// The id that brokers are numbered from.
    pub fn set_first_broker(&mut self, id: i32) {
        self.first_broker = id;
    }

    /// The broker epoch of the last start, if there was one.
    pub fn last_epoch(&self, broker: i32) -> Option<i64> {
        self.epochs.get(&broker).copied()
    }

    /// Counts a start of a broker. With a full disk it serves what it has, in the leader epochs that it had.
    pub fn next_epoch(&mut self, broker: i32) -> i64 {
        let epoch = self.epochs.get(&broker).copied().unwrap_or(0).saturating_add(1);
        if let Err(error) = self.files.put(BROKERS, &broker.to_string(), &BrokerRecord { broker, epoch }) {
            warn!(broker, %error, "this start is not counted");
        }
        self.epochs.insert(broker, epoch);
        epoch
    }

    /// A broker as it is.
    pub fn set_broker(&mut self, id: i32, info: BrokerInfo, broker: Broker) {
        self.brokers.insert(id, (info.clone(), broker.clone()));
        self.assembler.set_broker(id, info);
        self.controller.apply_broker(id, Some(broker));
    }

    /// A broker that runs is to be rid of what it leads, or does not run any more.
    pub fn change_broker(&mut self, id: i32, liveness: Liveness, draining: bool) {
        if let Some((info, broker)) = self.brokers.get(&id).cloned() {
            let info = BrokerInfo { alive: liveness == Liveness::Alive, ..info };
            self.set_broker(id, info, Broker { liveness, draining, ..broker });
        }
    }

    /// The partitions that a broker cannot serve.
    pub fn set_offline(&mut self, id: i32, offline: BTreeSet<PartitionKey>) {
        if let Some((info, broker)) = self.brokers.get(&id).cloned() {
            let offline = Offline::These(offline);
            let info = BrokerInfo { offline: Arc::new(offline.clone()), ..info };
            self.set_broker(id, info, Broker { offline, ..broker });
        }
    }

    /// Makes a topic, its partitions included.
    pub fn create(&mut self, topic: NewTopic) -> Result<Uuid, Refusal> {
        let taken = |object: &KafkaTopic| object.topic_name() == topic.name;
        if self.topics.values().any(|object| taken(object)) {
            let message = format!("Topic '{}' already exists.", topic.name);
            return Err(Refusal::new(ResponseError::TopicAlreadyExists, message));
        }
        let object_name = names::object_name(&topic.name);
        let spec = KafkaTopicSpec {
            cluster: self.cluster.metadata.name.clone().unwrap_or_default(),
            topic_name: (object_name != topic.name).then(|| topic.name.clone()),
            partitions: topic.partitions,
            replicas: topic.replicas,
            config: topic.config,
        };
        let id = self.put_new_topic(&object_name, spec)?;
        if let Err(error) = self.decide() {
            // Nothing half done: without its partitions there is no topic.
            self.forget(&object_name)?;
            return Err(error.into());
        }
        Ok(id)
    }

    /// Writes a new KafkaTopic, as the API server does: with a uid and the time.
    pub fn put_new_topic(&mut self, object_name: &str, spec: KafkaTopicSpec) -> Result<Uuid, FileError> {
        let id = Uuid::new_v4();
        self.put_topic(new_topic(object_name, spec, id))?;
        Ok(id)
    }

    /// Writes a KafkaTopic.
    fn put_topic(&mut self, object: KafkaTopic) -> Result<(), FileError> {
        self.files.put(TOPICS, &object.metadata.name.clone().unwrap_or_default(), &object)?;
        self.show_topic(Arc::new(object));
        Ok(())
    }

    /// Changes the KafkaTopic of a topic; what follows from it is decided by [`Store::decide`].
    pub fn edit(
        &mut self,
        topic: &str,
        change: impl FnOnce(&mut KafkaTopic) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let object = self.topics.values().find(|object| object.topic_name() == topic).ok_or_else(|| {
            Refusal::new(ResponseError::UnknownTopicOrPartition, format!("There is no topic '{topic}'."))
        })?;
        let mut changed = object.as_ref().clone();
        change(&mut changed)?;
        if changed == **object {
            return Ok(());
        }
        let spec_changed = changed.spec != object.spec;
        changed.metadata.generation =
            changed.metadata.generation.map(|generation| generation + i64::from(spec_changed));
        Ok(self.put_topic(changed)?)
    }

    /// Deletes the topic of that id; one that is gone is no error. Its data goes by [`Store::decide`].
    pub fn delete(&mut self, id: Uuid) -> Result<(), Refusal> {
        let name = self.topics.iter().find(|(_, object)| object.topic_id() == Some(id));
        let Some(name) = name.map(|(name, _)| name.clone()) else { return Ok(()) };
        Ok(self.forget(&name)?)
    }

    fn forget(&mut self, object_name: &str) -> Result<(), FileError> {
        self.files.remove(TOPICS, object_name)?;
        if let Some(object) = self.topics.remove(object_name) {
            self.controller.remove_topic(object_name, Removal::Seen);
            self.assembler.remove_topic(&object);
        }
        Ok(())
    }

    /// Whether no object was ever made here.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// How far the log of Kafka's metadata was read before.
    pub fn kafka_position(&self) -> Option<&str> {
        self.kafka_position.as_deref()
    }

    /// Makes every decision that is due, and writes what follows from it.
    pub fn decide(&mut self) -> Result<(), FileError> {
        for _ in 0..MAX_ROUNDS {
            let plan = self.controller.plan(Timestamp::now());
            if plan == Plan::default() {
                return Ok(());
            }
            self.carry_out(plan)?;
        }
        warn!("decisions did not come to an end in {MAX_ROUNDS} rounds; going on at the next change");
        Ok(())
    }

    /// Makes leaders' changes; each is made on the state that it names, or not at all (rule 1).
    pub fn change_isr(&mut self, changes: &[IsrChange]) -> Vec<Outcome> {
        let states = changes.iter().map(|change| (change.key, &change.change.old, &change.change.new));
        let (writes, done) = self.controller.swap(states);
        if let Err(error) = self.write_partitions(writes) {
            warn!(%error, "in-sync replicas cannot be changed");
            return vec![Outcome::Unknown; changes.len()];
        }
        done.into_iter().map(|done| if done { Outcome::Succeeded } else { Outcome::Conflict }).collect()
    }

    /// Who decides.
    pub fn controller(&mut self) -> &mut Controller {
        &mut self.controller
    }

    /// When something is to be decided although nothing changed.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.controller.next_deadline()
    }

    /// Elections that a client asks for; they are held by [`Store::decide`].
    pub fn ask_elections(&mut self, topic: Uuid, wishes: Vec<Wish>) {
        self.controller.ask_elections(topic, wishes);
    }

    /// Writes KafkaPartitions objects, and shows those that are written.
    fn write_partitions(&mut self, writes: Vec<ChunkWrite>) -> Result<(), FileError> {
        let cluster = self.cluster.metadata.name.clone().unwrap_or_default();
        let object = |write: &ChunkWrite| {
            let name = names::partitions_object(&cluster, write.chunk);
            KafkaPartitions::new(&name, write.spec.clone())
        };
        let objects: Vec<KafkaPartitions> = writes.iter().map(object).collect();
        let named: Vec<(&str, &KafkaPartitions)> = objects
            .iter()
            .map(|object| (object.metadata.name.as_deref().unwrap_or_default(), object))
            .collect();
        if let Err(error) = self.files.put_all(PARTITIONS, &named) {
            writes.iter().for_each(|write| self.controller.chunk_failed(write));
            return Err(error);
        }
        for (write, object) in writes.into_iter().zip(&objects) {
            self.assembler.apply_partitions(object);
            self.controller.apply_chunk(write.chunk, write.spec);
        }
        Ok(())
    }

    fn carry_out(&mut self, plan: Plan) -> Result<(), FileError> {
        self.write_partitions(plan.chunks)?;
        for answer in &plan.answers {
            self.take_out(answer)?;
        }
        for write in plan.topics {
            if let Some(object) = self.topics.get(&write.name) {
                let mut object = object.as_ref().clone();
                object.status = Some(write.status);
                self.show_topic(Arc::new(object));
            }
            self.controller.status_done(&write.name);
        }
        for done in plan.wishes {
            if let Some(object) = self.topics.get(&done.name) {
                let mut object = object.as_ref().clone();
                object.metadata.annotations.iter_mut().for_each(|all| drop(all.remove(names::ELECT_LEADERS)));
                self.put_topic(object)?;
            }
            self.controller.wishes_done(&done.name);
        }
        plan.notes.iter().for_each(tell);
        Ok(())
    }

    /// Takes the annotation of a request that is carried out from its KafkaTopic.
    fn take_out(&mut self, answer: &Answer) -> Result<(), FileError> {
        let Some(object) = self.topics.get(&answer.topic) else { return Ok(()) };
        let mut object = object.as_ref().clone();
        let says = |all: &BTreeMap<String, String>| all.get(answer.annotation) == Some(&answer.value);
        if let Some(annotations) = object.metadata.annotations.as_mut().filter(|all| says(all)) {
            annotations.remove(answer.annotation);
            self.put_topic(object)?;
        }
        Ok(())
    }

    fn show_cluster(&mut self) {
        self.assembler.set_settings(&self.cluster.spec.config);
        let cluster = Cluster { restored: None, ..Cluster::from(&self.cluster) };
        self.controller.apply_cluster(Some(cluster));
    }

    fn show_topic(&mut self, object: Arc<KafkaTopic>) {
        self.assembler.apply_topic(&object);
        self.controller.apply_topic(object.clone());
        self.topics.insert(object.metadata.name.clone().unwrap_or_default(), object);
    }
}

fn new_topic(object_name: &str, spec: KafkaTopicSpec, id: Uuid) -> KafkaTopic {
    let mut object = KafkaTopic::new(object_name, spec);
    object.metadata.uid = Some(id.to_string());
    object.metadata.creation_timestamp = Some(Time(Timestamp::now()));
    object.metadata.generation = Some(1);
    object
}

/// The KafkaCluster of a process to which nobody has applied one.
fn own_cluster(files: &ObjectFiles, id: Uuid) -> Result<KafkaCluster, FileError> {
    let storage = Storage {
        size: Quantity("1Gi".to_owned()),
        volumes: 1,
        storage_class_name: None,
        delete_with_cluster: false,
    };
    let spec = KafkaClusterSpec {
        brokers: 1,
        storage,
        config: Config::new(),
        resources: None,
        pod: Default::default(),
        image: None,
    };
    let mut cluster = KafkaCluster::new(OWN_CLUSTER, spec);
    cluster.metadata.uid = Some(id.to_string());
    files.put(CLUSTERS, OWN_CLUSTER, &cluster)?;
    Ok(cluster)
}

fn tell(note: &Note) {
    let topic = note.topic.as_deref().unwrap_or("-");
    if note.warning {
        warn!(topic, reason = note.reason, "{}", note.message);
    } else {
        info!(topic, reason = note.reason, "{}", note.message);
    }
}
