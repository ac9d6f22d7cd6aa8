//! Coordination in this process: the objects are files, and the same decisions are made here as by the operator.

mod apply;
pub mod files;
pub mod kafka;
pub mod manifest;
mod store;
mod yaml;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use kafka_protocol::ResponseError;
use milena_controller::{Broker, Liveness};
use milena_crds::{
    KafkaCluster,
    elections::Wish,
    moves::Moves,
    names,
    partition::{Generation, Member, PartitionKey, Report},
    settings::Config,
};
use milena_storage::LogDir;
use parking_lot::Mutex;
use tokio::{sync::watch, task::block_in_place, time::sleep};
use tracing::warn;
use uuid::Uuid;

use super::{Answered, ConfigChanges, Coordination, IsrChange, NewTopic, Refusal};
use crate::cluster::{BrokerInfo, ClusterImage};

use files::{FileError, ObjectFiles};
use kafka::Adoption;
use manifest::Manifest;
use store::Store;

/// Shortest and longest wait for a decision that is due by the clock.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// All brokers of this process, their topics, and who decides on them.
pub struct Embedded {
    store: Mutex<Store>,
    images: watch::Sender<Arc<ClusterImage>>,
}

impl Embedded {
    /// The cluster whose objects are in `files`; a new one of that id where there are none.
    ///
    /// # Errors
    /// An object that cannot be read or written.
    pub fn open(files: ObjectFiles, id: Uuid) -> Result<Embedded, FileError> {
        let store = Store::load(files, id)?;
        let images = watch::Sender::new(store.image());
        Ok(Embedded { store: Mutex::new(store), images })
    }

    /// The cluster's id, for data directories and clients.
    pub fn cluster_id(&self) -> Arc<str> {
        self.store.lock().image().cluster_id.clone()
    }

    /// The KafkaCluster that was applied last, or the one that this process made for itself.
    pub fn cluster(&self) -> KafkaCluster {
        self.store.lock().cluster().clone()
    }

    /// Whether a user has applied a KafkaCluster.
    pub fn is_applied(&self) -> bool {
        self.store.lock().is_applied()
    }

    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.store.lock().topics()
    }

    /// How many brokers there are to be, and the settings that they share.
    ///
    /// # Errors
    /// The object cannot be written.
    pub fn set_brokers(&self, brokers: i32, config: Config) -> Result<(), FileError> {
        self.store.lock().set_brokers(brokers, config)
    }

    /// Adds a broker that has started; the answer is its broker epoch, one more than at its last start.
    ///
    /// `same_life`: it goes on in the broker epoch that it had, so that leader epochs stay as they are. Only where it
    /// was stopped in order, and nobody else has led meanwhile.
    pub fn register(&self, id: i32, info: BrokerInfo, generation: Generation, same_life: bool) -> i64 {
        let mut store = self.store.lock();
        let epoch = match store.last_epoch(id).filter(|_| same_life) {
            Some(epoch) => epoch,
            None => store.next_epoch(id),
        };
        let rack = info.rack.as_deref().map(str::to_owned);
        let broker = Broker {
            liveness: Liveness::Alive,
            epoch,
            generation,
            rack,
            draining: false,
            offline: Default::default(),
            older: Default::default(),
        };
        store.set_broker(id, info, broker);
        epoch
    }

    /// Brokers are numbered from `id` on: Kafka's data directory says which it is of.
    pub fn set_first_broker(&self, id: i32) {
        self.store.lock().set_first_broker(id);
    }

    /// What there is to take over from Apache Kafka in a data directory.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn look_for_kafka(&self, dir: &LogDir) -> Result<Option<Adoption>, String> {
        let store = self.store.lock();
        Adoption::look(dir, store.kafka_position(), store.is_fresh())
    }

    /// Makes objects for topics that are taken over, and puts back what Kafka has set aside; the answer is those that are new here. Their partitions follow
    /// by [`Embedded::decide_adopted`].
    ///
    /// # Errors
    /// An object cannot be written, or a directory cannot be renamed.
    pub fn adopt(&self, adoption: &Adoption, dir: &LogDir) -> Result<BTreeSet<Uuid>, String> {
        let mut store = self.store.lock();
        let new = store.adopt(adoption).map_err(|error| error.to_string())?;
        store.take_back_strays(dir).map_err(|error| error.to_string())?;
        Ok(new)
    }

    /// As [`Embedded::decide`], with topics that were taken over by the broker `me`, in its life `epoch`.
    ///
    /// # Errors
    /// An object cannot be written.
    pub fn decide_adopted(
        &self,
        adoption: &Adoption,
        new: &BTreeSet<Uuid>,
        me: Member,
        epoch: i64,
    ) -> Result<(), FileError> {
        let mut store = self.store.lock();
        let decided =
            store.decide().and_then(|()| store.pin(adoption, new, me, epoch)).and_then(|()| store.decide());
        self.images.send_replace(store.image());
        decided
    }

    /// A broker that runs is to be rid of what it leads (`draining`), or does not run any more. What follows is decided
    /// at once.
    ///
    /// # Errors
    /// An object cannot be written.
    pub fn change_broker(&self, id: i32, liveness: Liveness, draining: bool) -> Result<(), FileError> {
        self.store.lock().change_broker(id, liveness, draining);
        self.decide()
    }

    /// Makes every decision that is due, then shows the result to the brokers.
    ///
    /// # Errors
    /// An object cannot be written.
    pub fn decide(&self) -> Result<(), FileError> {
        let mut store = self.store.lock();
        let decided = store.decide();
        self.images.send_replace(store.image());
        decided
    }

    /// Waits until it may be time for [`Embedded::decide`] although nothing changed.
    pub async fn until_due(&self) {
        if !self.wanted_reports().is_empty() {
            return sleep(SHORTEST_WAIT).await;
        }
        let due = self.store.lock().next_deadline();
        let left = due.and_then(|due| Duration::try_from(due.duration_since(Timestamp::now())).ok());
        sleep(left.unwrap_or(LONGEST_WAIT).clamp(SHORTEST_WAIT, LONGEST_WAIT)).await;
    }

    /// Which brokers have to say how far which logs go, each with the leader epoch that is to be refused.
    pub fn wanted_reports(&self) -> BTreeMap<i32, Vec<(PartitionKey, i32)>> {
        self.store.lock().controller().wanted_reports()
    }

    /// What a broker said of its logs; it counts at the next [`Embedded::decide`].
    pub fn heard(&self, broker: i32, reports: BTreeMap<PartitionKey, Report>) {
        let mut store = self.store.lock();
        for (key, report) in reports {
            store.controller().heard(broker, key, report);
        }
    }

    /// Applies objects as `kubectl apply` would; what is the same already is left alone. Answers what changed, in
    /// words. What follows for partitions is decided once brokers have registered, by [`Embedded::decide`].
    ///
    /// # Errors
    /// What can never be, such as fewer partitions than before; nothing is applied then.
    pub fn apply(&self, manifests: &[Manifest]) -> Result<Vec<String>, String> {
        let mut store = self.store.lock();
        let changes = apply::apply(&mut store, manifests);
        self.images.send_replace(store.image());
        changes
    }

    /// Runs a change under the lock, then the decisions that follow from it.
    fn change<T>(&self, change: impl FnOnce(&mut Store) -> Result<T, Refusal>) -> Result<T, Refusal> {
        block_in_place(|| {
            let mut store = self.store.lock();
            let result = change(&mut store);
            let decided = store.decide();
            self.images.send_replace(store.image());
            let result = result?;
            decided?;
            Ok(result)
        })
    }
}

impl Coordination for Embedded {
    fn image(&self) -> watch::Receiver<Arc<ClusterImage>> {
        self.images.subscribe()
    }

    fn create_topic(&self, topic: NewTopic) -> BoxFuture<'_, Result<Uuid, Refusal>> {
        Box::pin(async move { self.change(|store| store.create(topic)) })
    }

    fn grow_topic(&self, name: &str, count: i32) -> BoxFuture<'_, Result<(), Refusal>> {
        let name = name.to_owned();
        Box::pin(async move {
            self.change(|store| {
                store.edit(&name, |topic| {
                    if count < topic.spec.partitions {
                        let message = format!("the topic has {} partitions by now", topic.spec.partitions);
                        return Err(Refusal::new(ResponseError::InvalidPartitions, message));
                    }
                    topic.spec.partitions = count;
                    Ok(())
                })
            })
        })
    }

    fn alter_topic(&self, name: &str, changes: ConfigChanges) -> BoxFuture<'_, Result<(), Refusal>> {
        let name = name.to_owned();
        Box::pin(async move {
            self.change(|store| {
                store.edit(&name, |topic| {
                    for (name, value) in changes {
                        match value {
                            Some(value) => topic.spec.config.insert(name, value.into()),
                            None => topic.spec.config.remove(&name),
                        };
                    }
                    Ok(())
                })
            })
        })
    }

    fn reassign(
        &self,
        name: &str,
        moves: Moves,
        replicas: Option<i32>,
    ) -> BoxFuture<'_, Result<(), Refusal>> {
        let name = name.to_owned();
        Box::pin(async move {
            self.change(|store| {
                store.edit(&name, |topic| {
                    let annotations = topic.metadata.annotations.get_or_insert_default();
                    annotations.insert(names::REASSIGN.to_owned(), moves.to_string());
                    topic.spec.replicas = replicas.unwrap_or(topic.spec.replicas);
                    Ok(())
                })
            })
        })
    }

    fn change_isr<'a>(&'a self, changes: Vec<IsrChange>, mut answered: Answered<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let outcomes = block_in_place(|| {
                let mut store = self.store.lock();
                let outcomes = store.change_isr(&changes);
                if let Err(error) = store.decide() {
                    warn!(%error, "decisions wait for the next change");
                }
                self.images.send_replace(store.image());
                outcomes
            });
            outcomes.into_iter().enumerate().for_each(|(index, outcome)| answered(index, outcome));
        })
    }

    fn elect_leaders(&self, topic: Uuid, wishes: Vec<Wish>) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            self.change(|store| {
                store.ask_elections(topic, wishes);
                Ok(())
            })
        })
    }

    fn cannot_serve(&self, broker: i32, partitions: BTreeSet<PartitionKey>) {
        let decided = self.change(|store| {
            store.set_offline(broker, partitions);
            Ok(())
        });
        if let Err(error) = decided {
            warn!(broker, %error, "leaders stay as they are; the next change tries again");
        }
    }

    fn delete_topic(&self, id: Uuid) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move { self.change(|store| store.delete(id)) })
    }
}

impl From<FileError> for Refusal {
    fn from(error: FileError) -> Refusal {
        Refusal::new(ResponseError::KafkaStorageError, error.to_string())
    }
}

#[cfg(test)]
mod tests;
