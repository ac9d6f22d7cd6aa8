//! The log on disk: segments, indexes, producer state, recovery. No tokio, no kube, no wire schemas.
//!
//! A [`LogDir`] is the data directory of one broker. Each partition in it has a [`Log`], which one caller at a time
//! appends to, and any number of [`LogReader`]s, which wait for nobody. Files are Kafka's own, by format and name.
//!
//! What an append has acknowledged is with the operating system: it survives the process. What is below the
//! recovery point ([`Log::flush`]) survives the machine.

mod checkpoint;
mod cleaner;
mod config;
mod dir;
mod epochs;
mod error;
mod flusher;
mod fs;
pub mod ids;
mod index;
mod log;
mod metadata;
mod num;
pub mod producer;
mod reader;
mod segment;
#[cfg(test)]
mod simulation;
mod tail;
mod transactions;
mod writeback;

pub use cleaner::{CleanStats, CleanTask, Cleanable, Cleaned, CleanerLimits, Pace, Throttle};
pub use config::LogConfig;
pub use dir::{
    Generation, LogDir, LogDirs, Owner, PartitionDir, Space, TopicPartition, node_id, remove_directory,
};
pub use epochs::{EpochEnd, EpochEntry};
pub use error::StorageError;
pub use log::{AppendInfo, FlushTask, Garbage, InMemory, Log, LogStart, OpenMode, RecoveryReport};
pub use producer::{Check, Origin, ProducerError, ProducerState};
pub use reader::{FileSlice, LogReader, ReadSlice, TimestampOffset};
pub use tail::{TailBudget, TailLimits, TailSlice};
pub use transactions::AbortedTransaction;
