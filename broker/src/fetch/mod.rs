//! Fetches: what is asked for, remembered over requests in a session (KIP-227), and found by looking only at the
//! partitions that changed.
//!
//! A [`Session`] is the list of partitions that a client fetches. A request without a session has one for itself.
//! Each partition of it that may have news is in its queue: partitions get there when the client names them,
//! when their [`crate::partitions::Mailbox`] is marked by an append, and stay there while there is more to read.
//! So an idle partition costs a request nothing.

mod cache;
mod convert;
mod entry;
mod request;
mod session;

pub use cache::{CacheLimits, Kept, SessionCache};
pub use entry::{Asking, TopicKey, Wanted};
pub use request::Fetch;
pub use session::{Answered, Session};
