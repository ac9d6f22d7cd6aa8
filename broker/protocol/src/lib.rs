//! The Kafka wire protocol: frames, versions old and new. No I/O.
