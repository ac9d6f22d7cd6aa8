//! What is known of each KafkaCluster: filled by the watches, read by the two tasks that look after it.
//!
//! There are no queues. A watch changes the state and wakes a task; a task that was busy sees all changes at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::{Resource, ResourceExt as _};
use milena_controller::{Controller, Removal};
use milena_crds::{KafkaCluster, KafkaPartitions, KafkaTopic};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::cluster::Summary;
use crate::partitions::{Objects, Roster};
use crate::watch::{Change, ObjectName, name_of};

/// Plural of the kind, and name: an object of a cluster.
pub type OwnedName = (String, String);

/// What is known of one cluster.
pub struct State {
    /// The KafkaCluster; `None` while there are only topics that name it, or what is left of it.
    pub cluster: Option<Arc<KafkaCluster>>,
    /// The objects that it is made of, as they are.
    pub owned: BTreeMap<OwnedName, Arc<DynamicObject>>,
    /// What the partitions' task knows that the cluster's status tells.
    pub summary: Summary,
    /// Topics and partitions.
    pub controller: Controller,
    /// Versions of the KafkaPartitions objects.
    pub objects: Objects,
    /// Who is alive.
    pub roster: Roster,
}

/// One cluster.
pub struct Handle {
    /// Namespace and name of the KafkaCluster.
    pub name: ObjectName,
    state: Mutex<State>,
    /// Wakes the task that looks after the cluster's objects.
    pub wake_objects: Notify,
    /// Wakes the task that looks after topics and partitions.
    pub wake_partitions: Notify,
}

impl Handle {
    fn new(name: ObjectName) -> Self {
        let state = State {
            cluster: None,
            owned: BTreeMap::new(),
            summary: Summary::default(),
            controller: Controller::new(&name.1),
            objects: Objects::default(),
            roster: Roster::default(),
        };
        let (wake_objects, wake_partitions) = (Notify::new(), Notify::new());
        Self { name, state: Mutex::new(state), wake_objects, wake_partitions }
    }

    /// The state, to read or to change; not to be held while waiting for anything.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere left plain data, which the watches go on correcting.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All clusters.
pub struct World {
    clusters: Mutex<HashMap<ObjectName, Arc<Handle>>>,
    clock: Clock,
    begin: Box<dyn Fn(Arc<Handle>) + Send + Sync>,
}

impl World {
    /// An empty world; `begin` is called for each cluster that is heard of for the first time.
    pub fn new(clock: Clock, begin: impl Fn(Arc<Handle>) + Send + Sync + 'static) -> Self {
        Self { clusters: Mutex::default(), clock, begin: Box::new(begin) }
    }

    /// The cluster of that namespace and name, made if it is new.
    fn handle(&self, name: &ObjectName) -> Arc<Handle> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = clusters.get(name) {
            return Arc::clone(handle);
        }
        let handle = Arc::new(Handle::new(name.clone()));
        clusters.insert(name.clone(), Arc::clone(&handle));
        (self.begin)(Arc::clone(&handle));
        handle
    }

    fn handles(&self) -> Vec<Arc<Handle>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A change of a KafkaCluster.
    pub fn cluster(&self, change: Change<KafkaCluster>) {
        let (name, object) = match change {
            Change::Applied(object) | Change::Found(object) => (name_of(&object), Some(Arc::new(object))),
            Change::Deleted(object) => (name_of(&object), None),
            Change::Missing { name, .. } => (name, None),
            Change::Listed | Change::Broken => return,
        };
        let handle = self.handle(&name);
        handle.state().set_cluster(object);
        handle.wake_objects.notify_one();
        handle.wake_partitions.notify_one();
    }

    /// A change of an object of the kind `plural` that a cluster is made of.
    pub fn owned(&self, plural: &str, change: Change<DynamicObject>) {
        let Some((cluster, name, object)) = sort(change) else { return };
        let handle = self.handle(&cluster);
        let key = (plural.to_owned(), name);
        match object {
            Some(object) => handle.state().owned.insert(key, Arc::new(object)),
            None => handle.state().owned.remove(&key),
        };
        handle.wake_objects.notify_one();
    }

    /// A change of a KafkaTopic.
    pub fn topic(&self, change: Change<KafkaTopic>) {
        let named =
            |object: &KafkaTopic| (object.namespace().unwrap_or_default(), object.spec.cluster.clone());
        let handle = match change {
            Change::Applied(object) | Change::Found(object) => {
                let handle = self.handle(&named(&object));
                handle.state().controller.apply_topic(Arc::new(object));
                handle
            }
            Change::Deleted(object) => {
                let handle = self.handle(&named(&object));
                handle.state().controller.remove_topic(&object.name_any(), Removal::Seen);
                handle
            }
            Change::Missing { name, cluster } => {
                let handle = self.handle(&cluster);
                handle.state().controller.remove_topic(&name.1, Removal::FoundMissing);
                handle
            }
            Change::Listed | Change::Broken => return,
        };
        handle.wake_partitions.notify_one();
    }

    /// A change of a KafkaPartitions object.
    pub fn chunk(&self, change: Change<KafkaPartitions>) {
        let handle = match change {
            Change::Applied(object) | Change::Found(object) => {
                let handle =
                    self.handle(&(object.namespace().unwrap_or_default(), object.spec.cluster.clone()));
                handle.state().apply_chunk(object);
                handle
            }
            Change::Deleted(object) => {
                let handle =
                    self.handle(&(object.namespace().unwrap_or_default(), object.spec.cluster.clone()));
                let version = object.resource_version();
                handle.state().remove_chunk(&object.spec.cluster, &object.name_any(), version.as_deref());
                handle
            }
            Change::Missing { name, cluster } => {
                let handle = self.handle(&cluster);
                handle.state().remove_chunk(&cluster.1, &name.1, None);
                handle
            }
            Change::Listed | Change::Broken => return,
        };
        handle.wake_partitions.notify_one();
    }

    /// A change of a broker's Lease. A renewal wakes nobody.
    pub fn lease(&self, change: Change<Lease>) {
        let now = self.clock.now();
        if matches!(change, Change::Broken) {
            for handle in self.handles() {
                handle.state().roster.watch_broken(now);
                handle.wake_partitions.notify_one();
            }
            return;
        }
        let live = matches!(change, Change::Applied(_));
        let Some((cluster, name, lease)) = sort(change) else { return };
        let handle = self.handle(&cluster);
        let news = match lease {
            Some(lease) => handle.state().roster.lease(&cluster.1, &lease, live, now),
            None => handle.state().roster.lease_gone(&cluster.1, &name),
        };
        if news {
            handle.wake_partitions.notify_one();
        }
    }

    /// A change of a broker's pod.
    pub fn pod(&self, change: Change<Pod>) {
        let now = self.clock.now();
        let Some((cluster, name, pod)) = sort(change) else { return };
        let handle = self.handle(&cluster);
        let news = match pod {
            Some(pod) => handle.state().roster.pod(&cluster.1, &pod, now),
            None => handle.state().roster.pod_gone(&cluster.1, &name, now),
        };
        if news {
            handle.wake_partitions.notify_one();
        }
    }
}

/// Which cluster a change of a labelled object concerns, the object's name, and what it is now.
fn sort<K: Resource>(change: Change<K>) -> Option<(ObjectName, String, Option<K>)> {
    let cluster = |object: &K| Some((object.namespace().unwrap_or_default(), cluster_label(object)?));
    match change {
        Change::Applied(object) | Change::Found(object) => {
            Some((cluster(&object)?, object.name_any(), Some(object)))
        }
        Change::Deleted(object) => Some((cluster(&object)?, object.name_any(), None)),
        Change::Missing { name, cluster } => Some((cluster, name.1, None)),
        Change::Listed | Change::Broken => None,
    }
}

/// The KafkaCluster that an object's label names.
pub fn cluster_label<K: Resource>(object: &K) -> Option<String> {
    object.labels().get(milena_crds::names::CLUSTER).cloned()
}
