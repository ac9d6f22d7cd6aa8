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
mod watch;

pub use accept::ProduceVersion;
pub use error::PartitionError;
pub use hosted::{Hosted, HostedTopic};
pub use manager::{Manager, generation};
pub use partition::{Partition, Produced};
pub use read::{FetchFrom, Fetched, FoundOffset, Reach, ReadLimits};
pub use waiters::Waiter;
pub use watch::Mailbox;
