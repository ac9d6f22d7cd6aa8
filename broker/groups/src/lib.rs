//! Consumer groups as state machines. No I/O, no clock, no async.
//!
//! One [`Coordinator`] holds every group of one partition of `__consumer_offsets`. Requests come in with the
//! time and a token that stands for whoever waits for the answer; [`Effects`] come out: answers to give, and
//! records to append to the partition. An answer that depends on a record is held back until
//! [`Coordinator::write_done`] says that the record is committed. Tokens are moved, never copied, so that no
//! request can be answered twice; [`Coordinator::unload`] answers those that still wait.
//!
//! | room | subject |
//! |---|---|
//! | `classic` | the protocol of JoinGroup and SyncGroup: one group, its members, its rebalances |
//! | `offsets` | committed offsets of a group and when they expire |
//! | `log` | the records of `__consumer_offsets`, in Kafka's own formats |
//! | `coordinator` | all groups of a partition: timers, writes under way, loading, clean-up |
//!
//! Time is given in milliseconds since the Unix epoch and must not go back: who drives a coordinator adds
//! elapsed monotonic time to the wall clock that it read once.

pub mod classic;
mod config;
mod coordinator;
mod effects;
mod error;
pub mod log;
pub mod offsets;
mod partition;

pub use config::Config;
pub use coordinator::{Coordinator, DeletedTopic, GroupListing, Replay};
pub use effects::{Effects, Event, LogRecord, Response, Write, WriteId};
pub use error::Error;
pub use partition::partition_for;
