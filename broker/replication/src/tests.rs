//! Replicas, by what they are told and asked.

mod follower;
mod isr;
mod leader;
mod replica;
mod world;
