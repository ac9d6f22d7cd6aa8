//! The API server: one KafkaPartitions object, all versions that it ever had, and the brokers' Leases.

use std::collections::BTreeMap;
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
}

#[derive(Debug)]
pub struct Store {
    versions: Vec<Rc<Version>>,
    /// By broker.
    pub leases: Vec<Vec<Lease>>,
    /// Every change tests what it was decided on (rule 1).
    swaps: bool,
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
        };
        let mut store =
            Store { versions: Vec::new(), leases: leases.into_iter().map(|l| vec![l]).collect(), swaps };
        store.push(spec);
        store
    }

    fn push(&mut self, spec: KafkaPartitionsSpec) {
        let states = (0..spec.partitions.len()).map(|at| spec.partitions[&key(at)].parse().unwrap());
        let states = states.collect();
        self.versions.push(Rc::new(Version { spec, states }));
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
        self.push(spec);
        Some(self.newest())
    }

    /// A PUT over the version that it was decided on.
    pub fn put(&mut self, decided_on: usize, spec: KafkaPartitionsSpec) -> Option<usize> {
        if self.swaps && decided_on != self.newest() {
            return None;
        }
        self.push(spec);
        Some(self.newest())
    }

    pub fn lease(&self, broker: usize) -> &Lease {
        self.leases[broker].last().unwrap()
    }

    pub fn write_lease(&mut self, broker: usize, change: impl FnOnce(&mut Lease)) {
        let mut lease = self.lease(broker).clone();
        lease.renewals += 1;
        change(&mut lease);
        self.leases[broker].push(lease);
    }
}
