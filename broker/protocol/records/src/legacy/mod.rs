//! Message sets: what was before record batches. Magic 0 (Kafka 0.8) has no timestamps, magic 1 (0.10, KIP-32) has.
//!
//! A set is messages one after the other. A compressed message is a wrapper, whose value is a message set. The log
//! holds batches of magic 2 alone, so sets exist on the wire only: [`up_convert`] takes what old clients produce,
//! [`down_convert`] gives what they can read.

mod down;
mod format;
mod message;
mod up;

pub use down::down_convert;
pub use format::MessageFormat;
pub use message::{Message, MessageSet};
pub use up::up_convert;
