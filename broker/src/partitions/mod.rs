//! This broker's replicas: their logs, and what clients may do with them.

mod accept;
mod cleaner;
mod error;
mod garbage;
mod hosted;
mod housekeeping;
mod leftovers;
mod manager;
mod partition;
mod read;
mod waiters;

pub use accept::ProduceVersion;
pub use error::PartitionError;
pub use hosted::{Hosted, HostedTopic};
pub use manager::{Manager, generation};
pub use partition::{Partition, Produced};
pub use read::{Fetched, FoundOffset, ReadLimits};
pub use waiters::FetchWaiter;
