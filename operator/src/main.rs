//! The operator: reconciles KafkaCluster and KafkaTopic objects.

fn main() {}
