//! The control plane as pure decisions: placement, election, lease judgement. No kube client, no clock, no async.
//!
//! [`Controller`] is fed with what watches show of one KafkaCluster and answers with what to write. The operator
//! carries it out against the API server, the embedded mode in memory.

mod balance;
pub mod broker;
pub mod chunks;
mod controller;
pub mod election;
mod gathering;
pub mod lease;
mod moves;
pub mod placement;
mod plan;
mod rebalance;
mod recovery;
mod restore;
mod status;
mod swap;
mod tally;
mod topics;
mod wishes;
mod writes;

#[cfg(test)]
mod tests;

pub use broker::{Broker, Brokers, Liveness};
pub use controller::{Cluster, Controller, Removal};
pub use plan::{Answer, ChunkWrite, Note, Plan, StatusWrite, Summary};
pub use wishes::WishesDone;
