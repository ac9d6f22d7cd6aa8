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
    /// Topics and partitions.
    pub controller: Controller,
    /// Versions of the KafkaPartitions objects.
    pub objects: Objects,
    /// Who is alive.
    pub roster: Roster,
    /// Topics and partitions were looked at since the start: before, nothing is known of what is missing.
    pub planned: bool,
    /// Nothing is left of the cluster: its tasks end.
    pub closed: bool,
}

impl State {
    fn is_empty(&self) -> bool {
        let summary = self.controller.summary();
        let known = summary.topics + self.objects.len() + self.owned.len() + self.roster.processes().len();
        self.cluster.is_none() && known == 0
    }
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
            controller: Controller::new(&name.1),
            objects: Objects::default(),
            roster: Roster::default(),
            planned: false,
            closed: false,
        };
        let (wake_objects, wake_partitions) = (Notify::new(), Notify::new());
        Self { name, state: Mutex::new(state), wake_objects, wake_partitions }
    }

    /// Whether nothing is left of the cluster.
    pub fn is_closed(&self) -> bool {
        self.state().closed
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

/// Which tasks a change concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    Objects,
    Partitions,
    Both,
    Nobody,
}

impl World {
    /// An empty world; `begin` is called for each cluster that is heard of for the first time.
    pub fn new(clock: Clock, begin: impl Fn(Arc<Handle>) + Send + Sync + 'static) -> Self {
        Self { clusters: Mutex::default(), clock, begin: Box::new(begin) }
    }

    /// Changes what is known of a cluster, which is made if it is new and forgotten if nothing is left of it, and wakes
    /// who has to know.
    fn change(&self, name: &ObjectName, change: impl FnOnce(&mut State) -> Wake) {
        // Held throughout, so that no cluster is forgotten while something is added to it.
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = clusters.entry(name.clone()).or_insert_with(|| {
            let handle = Arc::new(Handle::new(name.clone()));
            (self.begin)(Arc::clone(&handle));
            handle
        });
        let (wake, empty) = {
            let mut state = handle.state();
            let wake = change(&mut state);
            let empty = wake != Wake::Nobody && state.is_empty();
            state.closed = empty;
            (wake, empty)
        };
        if empty || matches!(wake, Wake::Objects | Wake::Both) {
            handle.wake_objects.notify_one();
        }
        if empty || matches!(wake, Wake::Partitions | Wake::Both) {
            handle.wake_partitions.notify_one();
        }
        if empty {
            clusters.remove(name);
        }
    }

    /// A change of a KafkaCluster.
    pub fn cluster(&self, change: Change<KafkaCluster>) {
        let (name, object) = match change {
            Change::Applied(object) | Change::Found(object) => (name_of(&object), Some(Arc::new(object))),
            Change::Deleted(object) => (name_of(&object), None),
            Change::Missing { name, .. } => (name, None),
            Change::Listed | Change::Broken => return,
        };
        self.change(&name, |state| {
            state.set_cluster(object);
            Wake::Both
        });
    }

    /// A change of an object of the kind `plural` that a cluster is made of.
    pub fn owned(&self, plural: &str, change: Change<DynamicObject>) {
        let Some((cluster, name, object)) = sort(change, cluster_label) else { return };
        self.change(&cluster, |state| {
            let key = (plural.to_owned(), name);
            match object {
                Some(object) => state.owned.insert(key, Arc::new(object)),
                None => state.owned.remove(&key),
            };
            Wake::Objects
        });
    }

    /// A change of a KafkaTopic.
    pub fn topic(&self, change: Change<KafkaTopic>) {
        let removal =
            if matches!(change, Change::Deleted(_)) { Removal::Seen } else { Removal::FoundMissing };
        let Some((cluster, name, topic)) = sort(change, |topic| Some(topic.spec.cluster.clone())) else {
            return;
        };
        self.change(&cluster, |state| {
            match topic {
                Some(topic) => state.controller.apply_topic(Arc::new(topic)),
                None => state.controller.remove_topic(&name, removal),
            }
            Wake::Partitions
        });
    }

    /// A change of a KafkaPartitions object.
    pub fn chunk(&self, change: Change<KafkaPartitions>) {
        let version = if let Change::Deleted(object) = &change { object.resource_version() } else { None };
        let Some((cluster, name, chunk)) = sort(change, |chunk| Some(chunk.spec.cluster.clone())) else {
            return;
        };
        self.change(&cluster, |state| {
            match chunk {
                Some(chunk) => state.apply_chunk(chunk),
                None => state.remove_chunk(&cluster.1, &name, version.as_deref()),
            }
            Wake::Partitions
        });
    }

    /// A change of a broker's Lease. A renewal wakes nobody.
    pub fn lease(&self, change: Change<Lease>) {
        if matches!(change, Change::Broken) {
            return self.leases_broken();
        }
        let (now, live) = (self.clock.now(), matches!(change, Change::Applied(_)));
        let Some((cluster, name, lease)) = sort(change, cluster_label) else { return };
        self.change(&cluster, |state| {
            let news = match lease {
                Some(lease) => state.roster.lease(&cluster.1, &lease, live, now),
                None => state.roster.lease_gone(&cluster.1, &name),
            };
            if news { Wake::Partitions } else { Wake::Nobody }
        });
    }

    /// The watch of Leases is broken: what is known of them is old.
    fn leases_broken(&self) {
        let now = self.clock.now();
        for handle in self.clusters.lock().unwrap_or_else(PoisonError::into_inner).values() {
            handle.state().roster.watch_broken(now);
            handle.wake_partitions.notify_one();
        }
    }

    /// A change of a broker's pod.
    pub fn pod(&self, change: Change<Pod>) {
        let now = self.clock.now();
        let Some((cluster, name, pod)) = sort(change, cluster_label) else { return };
        self.change(&cluster, |state| {
            let news = match pod {
                Some(pod) => state.roster.pod(&cluster.1, &pod, now),
                None => state.roster.pod_gone(&cluster.1, &name, now),
            };
            if news { Wake::Partitions } else { Wake::Nobody }
        });
    }
}

/// Which cluster a change of an object concerns, the object's name, and what it is now.
fn sort<K: Resource>(
    change: Change<K>,
    cluster_of: fn(&K) -> Option<String>,
) -> Option<(ObjectName, String, Option<K>)> {
    let cluster = |object: &K| Some((object.namespace().unwrap_or_default(), cluster_of(object)?));
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

#[cfg(test)]
mod tests;
