//! A store in memory, a controller, and the loop between them. Every write is checked against the rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use milena_crds::partition::{Generation, PartitionState, check_transition};
use milena_crds::partitions::{MAX_PARTITIONS_PER_OBJECT, RUN};
use milena_crds::{KafkaPartitionsSpec, KafkaTopic, KafkaTopicSpec, names};
use uuid::Uuid;

use crate::{Broker, ChunkWrite, Cluster, Controller, Liveness, Note, Plan, Removal};

/// Most rounds of plans until nothing is left to do.
const ROUNDS: usize = 8;

pub(crate) struct World {
    pub controller: Controller,
    pub chunks: BTreeMap<u32, KafkaPartitionsSpec>,
    pub topics: BTreeMap<String, KafkaTopic>,
    pub brokers: BTreeMap<i32, Broker>,
    pub cluster: Option<Cluster>,
    pub notes: Vec<Note>,
    pub now: Timestamp,
    /// Writes of objects and of statuses.
    pub writes: (usize, usize),
    /// Unclean elections that were written.
    pub unclean: u64,
    /// The annotation that declares a restore may go.
    pub restored: Option<String>,
    uids: u128,
}

impl World {
    /// A cluster that wants `brokers` brokers, all of which are alive.
    pub fn new(brokers: i32) -> Self {
        let mut world = Self {
            controller: Controller::new("demo"),
            chunks: BTreeMap::new(),
            topics: BTreeMap::new(),
            brokers: BTreeMap::new(),
            cluster: None,
            notes: Vec::new(),
            now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1),
            writes: (0, 0),
            unclean: 0,
            restored: None,
            uids: 0,
        };
        // Nothing is due by the clock that a test does not ask for.
        let config = [("auto.leader.rebalance.enable".to_owned(), "false".into())].into();
        world.set_cluster(Some(Cluster { brokers, config, ..Cluster::default() }));
        for id in 0..brokers {
            world.start(id, true);
        }
        world
    }

    pub fn set_cluster(&mut self, cluster: Option<Cluster>) {
        self.cluster = cluster.clone();
        self.controller.apply_cluster(cluster);
    }

    pub fn set_broker(&mut self, id: i32, broker: Broker) {
        self.brokers.insert(id, broker.clone());
        self.controller.apply_broker(id, Some(broker));
    }

    /// A broker starts: on its disk, with the next broker epoch; `clean` if it lost nothing.
    pub fn start(&mut self, id: i32, clean: bool) {
        let new = Generation { disk: 0xd15c_0000 + u32::try_from(id).unwrap(), unclean_starts: 0 };
        let known = self.brokers.get(&id).map(|broker| (broker.epoch, broker.generation));
        let (epoch, mut generation) = known.unwrap_or((0, new));
        generation.unclean_starts += u32::from(!clean);
        let broker = Broker {
            liveness: Liveness::Alive,
            epoch: epoch + 1,
            generation,
            rack: None,
            draining: false,
            offline: Default::default(),
            older: Default::default(),
        };
        self.set_broker(id, broker);
    }

    pub fn set_liveness(&mut self, id: i32, liveness: Liveness) {
        let broker = self.brokers.get(&id).unwrap().clone();
        self.set_broker(id, Broker { liveness, ..broker });
    }

    pub fn kill(&mut self, id: i32) {
        self.set_liveness(id, Liveness::Dead);
    }

    pub fn spec(partitions: i32) -> KafkaTopicSpec {
        let cluster = "demo".to_owned();
        KafkaTopicSpec { cluster, topic_name: None, partitions, replicas: 1, config: BTreeMap::new() }
    }

    pub fn create(&mut self, name: &str, partitions: i32) {
        self.create_with(name, Self::spec(partitions), None);
    }

    pub fn create_with(&mut self, name: &str, spec: KafkaTopicSpec, adopt: Option<Uuid>) {
        self.uids += 1;
        self.now += SignedDuration::from_secs(1);
        let mut topic = KafkaTopic::new(name, spec);
        topic.metadata.uid = Some(Uuid::from_u128(self.uids).to_string());
        topic.metadata.creation_timestamp = Some(Time(self.now));
        topic.metadata.resource_version = Some("1".to_owned());
        topic.metadata.generation = Some(1);
        if let Some(id) = adopt {
            topic.metadata.annotations = Some([(names::TOPIC_ID.to_owned(), id.to_string())].into());
        }
        self.controller.apply_topic(Arc::new(topic.clone()));
        self.topics.insert(name.to_owned(), topic);
    }

    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut KafkaTopic)) {
        let topic = self.topics.get_mut(name).unwrap();
        change(topic);
        let version: u64 = topic.metadata.resource_version.as_deref().unwrap().parse().unwrap();
        topic.metadata.resource_version = Some((version + 1).to_string());
        self.controller.apply_topic(Arc::new(topic.clone()));
    }

    pub fn delete(&mut self, name: &str, how: Removal) {
        self.topics.remove(name);
        self.controller.remove_topic(name, how);
    }

    /// A new operator, which lists everything.
    pub fn restart_controller(&mut self) {
        self.controller = Controller::new("demo");
        self.controller.apply_cluster(self.cluster.clone());
        for (id, broker) in &self.brokers {
            self.controller.apply_broker(*id, Some(broker.clone()));
        }
        for (chunk, spec) in &self.chunks {
            self.controller.apply_chunk(*chunk, spec.clone());
        }
        for topic in self.topics.values() {
            self.controller.apply_topic(Arc::new(topic.clone()));
        }
    }

    /// Plans and writes until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS {
            if self.step() {
                return;
            }
        }
        panic!("no end of writes");
    }

    /// One plan, carried out. True if there was nothing to do.
    pub fn step(&mut self) -> bool {
        let plan = self.controller.plan(self.now);
        let idle = plan.chunks.is_empty()
            && plan.topics.is_empty()
            && plan.wishes.is_empty()
            && plan.answers.is_empty();
        let unclean = self.unclean + plan.unclean_elections;
        self.carry_out(plan);
        assert_eq!(self.unclean, unclean, "each one is counted");
        idle
    }

    fn carry_out(&mut self, plan: Plan) {
        self.notes.extend(plan.notes);
        self.restored = plan.restored;
        for write in plan.chunks {
            self.writes.0 += 1;
            self.store(&write);
            self.controller.apply_chunk(write.chunk, write.spec);
        }
        for answer in plan.answers {
            self.change(&answer.topic, |topic| {
                let annotations = topic.metadata.annotations.as_mut().unwrap();
                assert_eq!(annotations.remove(answer.annotation), Some(answer.value));
            });
        }
        for write in plan.topics {
            self.writes.1 += 1;
            self.change(&write.name, |topic| topic.status = Some(write.status));
            self.controller.status_done(&write.name);
        }
        for done in plan.wishes {
            self.change(&done.name, |topic| {
                topic.metadata.annotations.as_mut().unwrap().remove(names::ELECT_LEADERS);
            });
            self.controller.wishes_done(&done.name);
        }
    }

    /// Takes an object into the store, as the API server would, if every step in it is legal.
    pub fn store(&mut self, write: &ChunkWrite) {
        let old = self.chunks.get(&write.chunk).cloned();
        assert!(old.is_some() || write.create, "a put of an object that is not there");
        assert!(write.spec.partitions.len() <= MAX_PARTITIONS_PER_OBJECT);
        for (key, text) in &write.spec.partitions {
            let new: PartitionState = text.parse().unwrap();
            match old.as_ref().and_then(|old| old.partitions.get(key)) {
                Some(old) if old == text => {}
                Some(text) if old.as_ref().is_some_and(|old| old.held.contains_key(key)) => {
                    let old: PartitionState = text.parse().unwrap();
                    assert!(new.leader_epoch > old.leader_epoch && new.partition_epoch > old.partition_epoch);
                }
                Some(old) => {
                    let old: PartitionState = old.parse().unwrap();
                    match check_transition(&old, &new, 1) {
                        Err(_) if new.is_unclean_successor_of(&old) => self.unclean += 1,
                        judged => judged.unwrap(),
                    }
                }
                None => assert_eq!(new.partition_epoch, 0, "{key}"),
            }
            if let Some(leader) = new.leader {
                assert!(write.spec.broker_epochs.contains_key(&leader.to_string()));
            }
        }
        self.chunks.insert(write.chunk, write.spec.clone());
    }

    pub fn id(&self, name: &str) -> Uuid {
        self.topics[name].topic_id().unwrap()
    }

    pub fn states(&self, name: &str) -> Vec<PartitionState> {
        self.controller.partitions(self.id(name)).into_iter().map(|(_, state)| state).collect()
    }

    pub fn condition(&self, name: &str) -> Condition {
        self.topics[name].status.as_ref().unwrap().conditions[0].clone()
    }

    pub fn reason(&self, name: &str) -> String {
        self.condition(name).reason
    }

    /// No run of a topic's partitions in one object is longer than [`RUN`] unless runs lie side by side.
    pub fn objects_of(&self, name: &str) -> Vec<u32> {
        let prefix = self.id(name).to_string();
        let has =
            |spec: &KafkaPartitionsSpec| spec.partitions.keys().filter(|k| k.starts_with(&prefix)).count();
        let runs = self.chunks.iter().map(|(chunk, spec)| (*chunk, has(spec)));
        runs.flat_map(|(chunk, count)| std::iter::repeat_n(chunk, count.div_ceil(RUN))).collect()
    }
}
