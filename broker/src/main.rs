//! The broker: the Kafka protocol, the log and its coordination, in one process.

fn main() {}
