//! Offsets that groups have committed.

mod expiry;
mod requests;
mod store;

pub(crate) use expiry::ExpiryBase;
pub use requests::{
    CommitPartition, CommitRequest, CommitResponse, CommitTopic, CommittedTopic, DeleteOffsetsRequest,
    DeleteOffsetsResponse, DeletedOffset, FetchTopic, FetchedOffset, FetchedTopic,
};
pub use store::CommittedOffset;
pub(crate) use store::Offsets;
