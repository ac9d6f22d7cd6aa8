//! The cluster as this broker knows it: brokers, topics and their partitions' states.

mod image;

pub use image::{BrokerInfo, ClusterImage, Topic, is_internal};
