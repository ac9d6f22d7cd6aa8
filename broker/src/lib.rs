//! The broker: the Kafka protocol, the log and its coordination, in one process.
//!
//! A request comes in at [`server`], is looked up in the table of [`api`], and is answered from the
//! [`node::View`]: the picture of the [`cluster`] and this broker's [`partitions`]. The picture comes from
//! [`coordination`], which is Kubernetes or, embedded, this process itself.

pub mod advertised;
pub mod api;
pub mod cli;
mod clock;
pub mod config;
mod fetch;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod groups;
pub mod heap;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod partitions;
mod reassign;
pub mod replication;
mod reports;
pub mod run;
pub mod server;
mod throttle;
mod topics;

pub use milena_coordination::{self as coordination, cluster};
