//! Leader, follower and in-sync replicas as state machines. No I/O, no clock, no async.
//!
//! The numbers of the rules are those of the coordination rules in `docs/architecture.md`.

mod leader;

pub use leader::{Leader, Leadership};
