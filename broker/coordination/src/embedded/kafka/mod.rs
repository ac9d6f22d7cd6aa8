//! A data directory that Apache Kafka wrote: its topics become objects here, with their ids, settings and leader
//! epochs. Kafka's own metadata stay as they are, so that the directory can be given back to it.

pub mod quorum;
mod records;

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use milena_crds::settings::{self, Config};
use milena_storage::{LogDir, PartitionDir, TopicPartition};
use tracing::{info, warn};
use uuid::Uuid;

use crate::cluster::is_internal;
use quorum::{Quorum, QuorumTopic};

/// What is taken over.
#[derive(Debug, Default)]
pub struct Adoption {
    /// Topics with data in the directory.
    pub topics: Vec<AdoptedTopic>,
    /// How far Kafka's metadata log was read; none where there is none and directories were all there was to see.
    pub position: Option<String>,
}

/// A topic to take over.
#[derive(Debug)]
pub struct AdoptedTopic {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its own settings, those that are known here.
    pub config: Config,
    /// Its partitions, and the leader epoch that each is led in at least.
    pub partitions: BTreeMap<i32, i32>,
}

impl Adoption {
    /// Whether the directory still has data of a topic.
    pub fn has(&self, id: Uuid) -> bool {
        self.topics.iter().any(|topic| topic.id == id)
    }

    /// What there is to take over. `seen` is how far Kafka's metadata log was read before; `fresh`: no object was
    /// ever made here.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn look(dir: &LogDir, seen: Option<&str>, fresh: bool) -> Result<Option<Adoption>, String> {
        let on_disk = OnDisk::list(dir)?;
        if let Some(log) = dir.kafka_metadata() {
            let position = quorum::position(&log).map_err(|error| format!("{}: {error}", log.display()))?;
            if seen == Some(&*position) {
                return Ok(None);
            }
            match quorum::read(&log) {
                Ok(quorum) => return on_disk.adopt(dir, quorum, &log, position).map(Some),
                Err(error) => {
                    warn!(error, "Kafka's metadata log cannot be read: settings of its topics are not known")
                }
            }
        }
        if !fresh || on_disk.0.is_empty() {
            return Ok(None);
        }
        on_disk.adopt_directories(dir).map(Some)
    }
}

/// The partitions' directories.
struct OnDisk(BTreeMap<TopicPartition, Option<Uuid>>);

impl OnDisk {
    fn list(dir: &LogDir) -> Result<OnDisk, String> {
        let found = dir.partitions().map_err(|error| error.to_string())?;
        let named = |PartitionDir { topic_partition, topic_id, .. }| (topic_partition, topic_id);
        Ok(OnDisk(found.into_iter().map(named).collect()))
    }

    fn adopt(&self, dir: &LogDir, quorum: Quorum, log: &Path, position: String) -> Result<Adoption, String> {
        let here: HashSet<Uuid> = self.0.values().copied().flatten().collect();
        let mut adoption = Adoption { topics: Vec::new(), position: Some(position) };
        for (id, topic) in quorum.topics {
            if here.contains(&id) {
                adoption.topics.push(self.adopt_topic(dir, id, topic)?);
            } else {
                info!(topic = topic.name, topic_id = %id, "not taken over: no replica of it is in this directory");
            }
        }
        adoption.topics.sort_by(|a, b| a.name.cmp(&b.name));
        info!(topics = adoption.topics.len(), from = %log.display(), "taking over from Apache Kafka, settings included");
        Ok(adoption)
    }

    fn adopt_topic(&self, dir: &LogDir, id: Uuid, topic: QuorumTopic) -> Result<AdoptedTopic, String> {
        let mut partitions = BTreeMap::new();
        for (index, partition) in topic.partitions {
            let tp = TopicPartition::new(topic.name.as_str(), index);
            let mut epoch = partition.leader_epoch.max(0);
            if self.0.contains_key(&tp) {
                epoch = epoch.max(stored_epoch(dir, &tp)?);
            } else if partition.replicas != [dir.node_id()] {
                warn!(partition = %tp, replicas = ?partition.replicas, "begins empty: its records are with other brokers");
            }
            partitions.insert(index, epoch);
        }
        let config = known_settings(&topic.name, topic.config);
        Ok(AdoptedTopic { id, name: topic.name, config, partitions })
    }

    /// Names and ids of directories are all that is known.
    fn adopt_directories(&self, dir: &LogDir) -> Result<Adoption, String> {
        let mut topics: BTreeMap<&str, AdoptedTopic> = BTreeMap::new();
        for (tp, id) in &self.0 {
            let Some(id) = *id else {
                warn!(partition = %tp, "not taken over: partition.metadata does not tell its topic's id");
                continue;
            };
            let topic = topics.entry(tp.topic()).or_insert_with(|| AdoptedTopic {
                id,
                name: tp.topic().to_owned(),
                config: default_settings(tp.topic()),
                partitions: BTreeMap::new(),
            });
            if topic.id == id {
                topic.partitions.insert(tp.partition(), stored_epoch(dir, tp)?);
            } else {
                warn!(partition = %tp, topic_id = %id, "not taken over: another partition of that name has topic id {}", topic.id);
            }
        }
        warn!(
            topics = topics.len(),
            "taking over the topics whose directories are there, with default settings: there is no log of Kafka's \
             metadata (__cluster_metadata-0) that would tell them"
        );
        Ok(Adoption { topics: topics.into_values().collect(), position: None })
    }
}

fn stored_epoch(dir: &LogDir, tp: &TopicPartition) -> Result<i32, String> {
    Ok(dir.stored_leader_epoch(tp).map_err(|error| error.to_string())?.unwrap_or(0))
}

/// Those settings that this version has; the others are told.
fn known_settings(topic: &str, config: BTreeMap<String, String>) -> Config {
    let check = |(name, value): &(String, String)| match settings::check_topic(name, value) {
        Ok(()) => true,
        Err(error) => {
            warn!(topic, setting = name, value, %error, "a setting is not taken over");
            false
        }
    };
    let kept = config.into_iter().filter(check);
    kept.map(|(name, value)| (name.clone(), settings::canonical(&name, &value).into())).collect()
}

fn default_settings(topic: &str) -> Config {
    match is_internal(topic) {
        true => Config::from([("cleanup.policy".to_owned(), "compact".into())]),
        false => Config::new(),
    }
}
