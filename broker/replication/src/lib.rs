//! Leader, follower and in-sync replicas as state machines. No I/O, no clock, no async.
//!
//! A [`Replica`] is one partition on one broker: it is told of states ([`Replica::learn`]) and of what it must refuse,
//! and is [`Leader`], [`Follower`] or neither. Inputs are method calls with plain data and the time as an argument;
//! what is to be done comes back: [`Learned`], [`Served`], [`FollowerStep`], [`Change`]. The log is only looked at, by
//! [`LogView`]: who drives the machine appends and truncates. The broker and the simulation drive the same code.
//!
//! The numbers of the rules are those of the coordination rules in `docs/architecture.md`.

mod exchange;
mod follower;
mod leader;
mod replica;
mod rules;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use exchange::{Answer, FollowerFetch, LogView, Refusal};
pub use follower::{Follower, FollowerStep};
pub use leader::{Acknowledged, Belief, Change, Leader, Leadership, Outcome, Served};
pub use milena_crds::partition::Report;
pub use replica::{Conditions, Learned, Replica, Role, Source};
