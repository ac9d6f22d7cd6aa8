//! This broker's replicas: their logs, and what clients may do with them.

mod accept;
mod append;
mod cleaner;
mod error;
mod exchanges;
mod follow;
mod garbage;
mod hosted;
mod housekeeping;
mod leftovers;
mod log_view;
mod manager;
mod moves;
mod open;
mod partition;
mod placement;
mod read;
mod removals;
mod role;
mod waiters;
mod watch;

pub use accept::ProduceVersion;
pub use append::Produced;
pub use error::PartitionError;
pub use exchanges::{FollowerSlot, Signal};
pub use follow::Taken;
pub use hosted::{Hosted, HostedTopic};
pub use manager::{Manager, generation};
pub use moves::{Move, Moves};
pub use partition::Partition;
pub use read::{FetchFrom, Fetched, FoundOffset, MOST_IN_MEMORY, Reach, ReadLimits};
pub use waiters::Waiter;
pub use watch::Mailbox;
