//! Versions that the schemas no longer have, for clients of before Kafka 2.1.
