//! The API server: one KafkaPartitions object, all versions that it ever had, and the brokers' Leases.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use milena_crds::KafkaPartitionsSpec;
use milena_crds::partition::{Generation, PartitionKey, PartitionState};
use uuid::Uuid;

use crate::Change;

/// The topic that all partitions belong to.
pub const TOPIC: Uuid = Uuid::from_u128(0x70_71c0);

/// The object in one version.
#[derive(Debug)]
pub struct Version {
    pub spec: KafkaPartitionsSpec,
    pub states: Vec<PartitionState>,
    /// The annotation of the KafkaCluster that declares a restore.
    pub declared: Option<String>,
}

/// A broker's Lease in one version.
#[derive(Clone, Debug)]
pub struct Lease {
    pub epoch: i64,
    pub renewals: u64,
    pub generation: Generation,
    pub draining: bool,
    /// It was given back at a clean stop.
    pub released: bool,
    /// Partitions of which the broker remembers a newer state than it is shown.
    pub older: BTreeSet<usize>,
    /// An operator believes that its process is gone. A renewal takes that away.
    pub believed_dead: bool,
}

#[derive(Debug)]
pub struct Store {
    versions: Vec<Rc<Version>>,
    /// By broker.
    pub leases: Vec<Vec<Lease>>,
    /// Every change tests what it was decided on (rule 1).
    swaps: bool,
    /// The oldest version that a list can show: a restore starts the API server anew, with its caches.
    pub floor: usize,
    /// By partition, while etcd was restored and its newest state is not put back: the newest that anybody remembers.
    pub truth: Vec<Option<PartitionState>>,
    /// Restores so far.
    restores: u32,
}

pub fn key(partition: usize) -> String {
    PartitionKey { topic_id: TOPIC, partition: i32::try_from(partition).unwrap() }.to_string()
}

impl Store {
    pub fn new(states: &[PartitionState], leases: Vec<Lease>, swaps: bool) -> Store {
        let partitions = states.iter().enumerate().map(|(at, state)| (key(at), state.to_string()));
        let leaders = states.iter().filter_map(|state| state.leader);
        let spec = KafkaPartitionsSpec {
            cluster: "demo".to_owned(),
            partitions: partitions.collect(),
            deleted: BTreeMap::new(),
            broker_epochs: leaders.map(|id| (id.to_string(), 1)).collect(),
            ..KafkaPartitionsSpec::default()
        };
        let mut store = Store {
            versions: Vec::new(),
            leases: leases.into_iter().map(|l| vec![l]).collect(),
            swaps,
            floor: 0,
            truth: vec![None; states.len()],
            restores: 0,
        };
        store.push(spec, None);
        store
    }

    fn push(&mut self, spec: KafkaPartitionsSpec, declared: Option<String>) {
        let states = (0..spec.partitions.len()).map(|at| spec.partitions[&key(at)].parse().unwrap());
        let states = states.collect();
        self.versions.push(Rc::new(Version { spec, states, declared }));
    }

    /// Number of the newest version.
    pub fn newest(&self) -> usize {
        self.versions.len() - 1
    }

    pub fn version(&self, number: usize) -> Rc<Version> {
        Rc::clone(&self.versions[number])
    }

    pub fn state(&self, partition: usize) -> &PartitionState {
        &self.versions[self.newest()].states[partition]
    }

    /// A JSON Patch of some partitions: each is tested, and all are changed or none.
    pub fn patch(&mut self, changes: &[(usize, Change)]) -> Option<usize> {
        let newest = self.version(self.newest());
        if self.swaps && changes.iter().any(|(partition, change)| newest.states[*partition] != change.old) {
            return None;
        }
        let mut spec = newest.spec.clone();
        for (partition, change) in changes {
            spec.partitions.insert(key(*partition), change.new.to_string());
        }
        self.push(spec, newest.declared.clone());
        Some(self.newest())
    }

    /// A PUT over the version that it was decided on.
    pub fn put(&mut self, decided_on: usize, spec: KafkaPartitionsSpec) -> Option<usize> {
        if self.swaps && decided_on != self.newest() {
            return None;
        }
        let declared = self.version(self.newest()).declared.clone();
        self.push(spec, declared);
        Some(self.newest())
    }

    /// An older version is there again.
    pub fn restore(&mut self, version: usize, declared: bool) {
        self.restores += 1;
        let declared = declared.then(|| format!("restore {}", self.restores));
        self.push(self.version(version).spec.clone(), declared);
        self.floor = self.newest();
    }

    /// The annotation goes, if it still says that.
    pub fn undeclare(&mut self, text: &str) {
        let newest = self.version(self.newest());
        if newest.declared.as_deref() == Some(text) {
            self.push(newest.spec.clone(), None);
        }
    }

    /// The state that says who may have what, although another one may be stored since a restore.
    pub fn true_state(&self, partition: usize) -> &PartitionState {
        self.truth[partition].as_ref().unwrap_or_else(|| self.state(partition))
    }

    pub fn lease(&self, broker: usize) -> &Lease {
        self.leases[broker].last().unwrap()
    }

    /// Somebody else than its holder writes something on it, which is no renewal.
    pub fn note_on_lease(&mut self, broker: usize, note: impl FnOnce(&mut Lease)) {
        let mut lease = self.lease(broker).clone();
        note(&mut lease);
        self.leases[broker].push(lease);
    }

    pub fn write_lease(&mut self, broker: usize, change: impl FnOnce(&mut Lease)) {
        let mut lease = self.lease(broker).clone();
        lease.renewals += 1;
        change(&mut lease);
        self.leases[broker].push(lease);
    }
}
