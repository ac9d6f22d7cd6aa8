//! Coordination by Kubernetes: the objects are in the API server, the operator decides.
//!
//! The broker tells where it is by its [`lease`], sees the cluster through [`watches`], from which [`picture`] makes the
//! picture that it serves by, and keeps that in its [`memory`]. What Kafka clients want changed it changes in the
//! [`topics`]' objects. It goes on serving while the API server is away.

mod elections;
mod follow;
mod index;
mod isr;
mod lease;
pub mod memory;
mod outage;
mod picture;
mod place;
mod refusal;
mod topics;
mod watches;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use futures::{FutureExt as _, future::BoxFuture};
use kafka_protocol::ResponseError;
use milena_crds::{
    elections::Wish,
    moves::Moves,
    partition::{Generation, Offline, PartitionKey, PartitionState},
};
use milena_kubeclient::Access;
use milena_storage::LogDirs;
use parking_lot::RwLock;
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};
use uuid::Uuid;

use super::{Answered, ConfigChanges, Coordination, IsrChange, NewTopic, Refusal};
use crate::cluster::ClusterImage;
use follow::Follower;
use isr::Isr;
use lease::{Registration, record::Life};
use memory::{Home, Memory, Remembered};
use picture::Picture;
use topics::Topics;

pub use lease::Registered;
pub use place::{KubernetesArgs, Place};

/// Field manager of everything that brokers write.
const MANAGER: &str = "milena-broker";
/// Who this is, to the API server.
const AGENT: &str = concat!("milena-broker/", env!("CARGO_PKG_VERSION"));

/// Why a broker cannot take its place in the cluster.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No client can be made from the configuration.
    #[error("no client can be made for the Kubernetes API server: {0}")]
    Client(#[from] milena_kubeclient::Error),
    /// What was seen last cannot be read.
    #[error(transparent)]
    Memory(#[from] memory::FileError),
    /// No thread can be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// What follows the cluster ended.
    #[error("the cluster's objects cannot be followed")]
    Ended,
}

/// A broker's place in a cluster that Kubernetes keeps.
pub struct Kubernetes {
    images: watch::Receiver<Arc<ClusterImage>>,
    topics: Topics,
    isr: Isr,
    registration: Registration,
    /// Whether what was seen last is not on the disk.
    forgetful: Arc<AtomicBool>,
    /// What is remembered.
    remembered: Arc<ArcSwap<Remembered>>,
    /// Ends with this.
    _follower: JoinSet<()>,
}

impl Kubernetes {
    /// Registers the broker and waits for the first picture of the cluster: that of the API server, or, where it cannot
    /// be reached within two seconds, the one that the broker remembers in its log directories. A broker that may not go by what
    /// it remembers waits for the API server.
    ///
    /// # Errors
    /// Nothing that waiting would help with.
    pub async fn start(
        place: Place,
        generation: Generation,
        dirs: &LogDirs,
        api_server: Access,
    ) -> Result<Kubernetes, StartError> {
        let client = milena_kubeclient::client(&api_server, AGENT)?;
        let memory = Memory::open(Home::in_all(dirs), place.broker, generation)?;
        let life = Life { identity: lease::identity(&place.pod), place: place.clone(), generation };
        let (forgetful, remembered) = (memory.behind(), memory.shared());
        let registration = Registration::start(api_server, life, memory.broker_epoch())?;
        let index = Arc::new(RwLock::default());
        let topics =
            Topics::new(client.clone(), &place.namespace, &place.cluster, &place.pod, Arc::clone(&index));
        let (images, shown) = watch::channel(Arc::default());
        let (first, seen) = oneshot::channel();
        let objects = Arc::new(RwLock::default());
        let isr = Isr::new(client.clone(), &place, Arc::clone(&objects));
        let picture = Picture::new(place.clone(), index, objects);
        let reporter = registration.reporter();
        let follower = Follower { picture, memory, images, reporter, first: Some(first) };
        let mut tasks = JoinSet::new();
        tasks.spawn(follower.run(client, place, registration.state()));
        seen.await.map_err(|_| StartError::Ended)?;
        Ok(Kubernetes { images: shown, topics, isr, registration, forgetful, remembered, _follower: tasks })
    }

    /// The broker epoch and whether the API server is reached, and a signal at each change.
    pub fn registration(&self) -> watch::Receiver<Registered> {
        self.registration.state()
    }

    /// Asks the operator to move leadership away; it sees it in the Lease.
    pub fn drain(&self) {
        self.registration.drain();
    }

    /// This broker is willing to lead again.
    pub fn serve(&self) {
        self.registration.serve();
    }

    /// Gives the Lease back, after all is stopped and synced.
    pub async fn release(&self) {
        self.registration.release().await;
    }

    /// What is remembered shows topics, and not which objects they are.
    fn check_objects_known(&self) -> Result<(), Refusal> {
        if self.images.borrow().from_memory {
            let message = "The Kubernetes API server cannot be reached since this broker was started.";
            return Err(Refusal::new(ResponseError::NotController, message));
        }
        Ok(())
    }

    /// The id of the topic that clients see under that name.
    fn topic_id(&self, name: &str) -> Result<Uuid, Refusal> {
        self.check_objects_known()?;
        let image = self.images.borrow();
        image.topic(name).map(|topic| topic.id).ok_or_else(|| {
            Refusal::new(ResponseError::UnknownTopicOrPartition, format!("There is no topic '{name}'."))
        })
    }
}

impl Coordination for Kubernetes {
    fn image(&self) -> watch::Receiver<Arc<ClusterImage>> {
        self.images.clone()
    }

    fn create_topic(&self, topic: NewTopic) -> BoxFuture<'_, Result<Uuid, Refusal>> {
        async move { self.topics.create(&topic).await }.boxed()
    }

    fn grow_topic(&self, name: &str, count: i32) -> BoxFuture<'_, Result<(), Refusal>> {
        let id = self.topic_id(name);
        async move { self.topics.grow(id?, count).await }.boxed()
    }

    fn alter_topic(&self, name: &str, changes: ConfigChanges) -> BoxFuture<'_, Result<(), Refusal>> {
        let id = self.topic_id(name);
        async move { self.topics.alter(id?, &changes).await }.boxed()
    }

    fn reassign(
        &self,
        name: &str,
        moves: Moves,
        replicas: Option<i32>,
    ) -> BoxFuture<'_, Result<(), Refusal>> {
        let id = self.topic_id(name);
        async move { self.topics.reassign(id?, &moves, replicas).await }.boxed()
    }

    fn change_isr<'a>(&'a self, changes: Vec<IsrChange>, answered: Answered<'a>) -> BoxFuture<'a, ()> {
        async move { self.isr.change(&changes, answered).await }.boxed()
    }

    fn cannot_serve(&self, _broker: i32, partitions: BTreeSet<PartitionKey>) {
        self.registration.cannot_serve(Offline::named(partitions));
    }

    fn elect_leaders(&self, topic: Uuid, wishes: Vec<Wish>) -> BoxFuture<'_, Result<(), Refusal>> {
        let known = self.check_objects_known();
        async move {
            known?;
            self.topics.elect(topic, &wishes).await
        }
        .boxed()
    }

    fn remembered(&self, key: &PartitionKey) -> Option<PartitionState> {
        self.remembered.load().state(key).cloned()
    }

    fn is_remembered(&self) -> bool {
        !self.forgetful.load(Ordering::Acquire)
    }

    fn delete_topic(&self, id: Uuid) -> BoxFuture<'_, Result<(), Refusal>> {
        let known = self.check_objects_known();
        async move {
            known?;
            self.topics.delete(id).await
        }
        .boxed()
    }
}
