//! What is known of each KafkaCluster: filled by the watches, read by the two tasks that look after it.
//!
//! There are no queues. A watch changes the state and wakes a task; a task that was busy sees all changes at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::core::DynamicObject;
use kube::{Resource, ResourceExt as _};
use milena_crds::KafkaCluster;
use tokio::sync::Notify;

use crate::cluster::Summary;
use crate::watch::{Change, ObjectName, name_of};

/// Plural of the kind, and name: an object of a cluster.
pub type OwnedName = (String, String);

/// What is known of one cluster.
#[derive(Default)]
pub struct State {
    /// The KafkaCluster; `None` while there are only topics that name it, or what is left of it.
    pub cluster: Option<Arc<KafkaCluster>>,
    /// The objects that it is made of, as they are.
    pub owned: BTreeMap<OwnedName, Arc<DynamicObject>>,
    /// What the partitions' task knows that the cluster's status tells.
    pub summary: Summary,
}

/// One cluster.
pub struct Handle {
    /// Namespace and name of the KafkaCluster.
    pub name: ObjectName,
    state: Mutex<State>,
    /// Wakes the task that looks after the cluster's objects.
    pub objects: Notify,
    /// Wakes the task that looks after topics and partitions.
    pub partitions: Notify,
}

impl Handle {
    /// The state, to read or to change; not to be held while waiting for anything.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere left plain data, which the watches go on correcting.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All clusters.
pub struct World {
    clusters: Mutex<HashMap<ObjectName, Arc<Handle>>>,
    begin: Box<dyn Fn(Arc<Handle>) + Send + Sync>,
}

impl World {
    /// An empty world; `begin` is called for each cluster that is heard of for the first time.
    pub fn new(begin: impl Fn(Arc<Handle>) + Send + Sync + 'static) -> Self {
        Self { clusters: Mutex::default(), begin: Box::new(begin) }
    }

    /// The cluster of that namespace and name, made if it is new.
    pub fn handle(&self, name: &ObjectName) -> Arc<Handle> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = clusters.get(name) {
            return Arc::clone(handle);
        }
        let handle = Arc::new(Handle {
            name: name.clone(),
            state: Mutex::default(),
            objects: Notify::new(),
            partitions: Notify::new(),
        });
        clusters.insert(name.clone(), Arc::clone(&handle));
        (self.begin)(Arc::clone(&handle));
        handle
    }

    /// Every cluster that was heard of.
    pub fn handles(&self) -> Vec<Arc<Handle>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A change of a KafkaCluster.
    pub fn cluster(&self, change: Change<KafkaCluster>) {
        let (name, object) = match change {
            Change::Applied(object) => (name_of(&object), Some(Arc::new(object))),
            Change::Deleted(object) => (name_of(&object), None),
            Change::Missing { name, .. } => (name, None),
            Change::Listed | Change::Broken => return,
        };
        let handle = self.handle(&name);
        handle.state().cluster = object;
        handle.objects.notify_one();
        handle.partitions.notify_one();
    }

    /// A change of an object of the kind `plural` that a cluster is made of.
    pub fn owned(&self, plural: &str, change: Change<DynamicObject>) {
        let (cluster, name, object) = match change {
            Change::Applied(object) => {
                let Some(cluster) = cluster_label(&object) else { return };
                (cluster, name_of(&object), Some(object))
            }
            Change::Deleted(object) => {
                let Some(cluster) = cluster_label(&object) else { return };
                (cluster, name_of(&object), None)
            }
            Change::Missing { name, cluster } => (cluster.1, name, None),
            Change::Listed | Change::Broken => return,
        };
        let handle = self.handle(&(name.0, cluster));
        let key = (plural.to_owned(), name.1);
        {
            let mut state = handle.state();
            match object {
                Some(object) => state.owned.insert(key, Arc::new(object)),
                None => state.owned.remove(&key),
            };
        }
        handle.objects.notify_one();
    }
}

/// The KafkaCluster that an object's label names.
pub fn cluster_label<K: Resource>(object: &K) -> Option<String> {
    object.labels().get(milena_crds::names::CLUSTER).cloned()
}
