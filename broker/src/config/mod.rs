//! Settings as typed values, read once when they change and never on the path of a record.

mod broker;
mod topic;
mod values;

pub use broker::BrokerConfig;
pub use topic::TopicConfig;
pub use values::{ReplicaSelector, Values};
