//! The contract of Milena: custom resources, partition state, settings, and the YAML generated from them.
//!
//! Everything here is plain data and pure functions: the operator, the brokers and the embedded mode read
//! the same types, and what the API server refuses is generated from the same tables that they check with.

pub mod cluster;
pub mod elections;
pub mod inquiry;
pub mod moves;
pub mod names;
pub mod partition;
pub mod partitions;
pub mod recall;
pub mod restore;
pub mod rules;
pub mod settings;
pub mod topic;
pub mod value;

pub use cluster::{KafkaCluster, KafkaClusterSpec, KafkaClusterStatus};
pub use partitions::{KafkaPartitions, KafkaPartitionsSpec};
pub use topic::{KafkaTopic, KafkaTopicSpec, KafkaTopicStatus};
pub use value::ConfigValue;

/// API group of every custom resource.
pub const GROUP: &str = "milena.dev";
/// API version of every custom resource.
pub const VERSION: &str = "v1alpha1";
