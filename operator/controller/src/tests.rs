//! The controller against a store in memory that behaves as the API server does.

mod chunks;
mod elections;
mod events;
mod lease;
mod moves;
mod placement;
mod random;
mod recovery;
mod restore;
mod topics;
mod world;

pub(crate) use world::World;
