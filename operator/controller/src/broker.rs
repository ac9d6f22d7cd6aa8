//! What is known of brokers.

use std::collections::BTreeMap;

use milena_crds::partition::{Generation, Offline};

/// Whether a broker works, as far as anyone can tell. A hint for elections, never a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Liveness {
    /// Its Lease changes.
    Alive,
    /// Nobody can tell yet: no elections for it or against it.
    Unknown,
    /// Its process, its pod or its Lease is gone.
    Dead,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Whether it works.
    pub liveness: Liveness,
    /// Broker epoch: rises at every start.
    pub epoch: i64,
    /// Generation of its data directory.
    pub generation: Generation,
    /// Its rack; brokers without one share the rack without a name.
    pub rack: Option<String>,
    /// It wants to be rid of its leadership.
    pub draining: bool,
    /// Partitions whose log it cannot use.
    pub offline: Offline,
    /// Partitions of which it remembers a newer state than it is shown.
    pub older: Offline,
}

/// Brokers by id. Who is missing is dead.
pub type Brokers = BTreeMap<i32, Broker>;
