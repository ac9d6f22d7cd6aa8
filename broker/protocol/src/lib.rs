//! The Kafka wire protocol: frames, versions old and new. No I/O.
//!
//! The way of a request: [`frame::split_frame`] cuts it out of the stream,
//! [`RequestHead::parse`] says which API and version it is, and
//! [`decode_request`] makes the `kafka-protocol` crate's struct of it, whatever
//! the version. The way back is [`response_frame`].

mod api;
mod codec;
mod fetch_response;
pub mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod gather;
mod head;
pub mod legacy;
mod shape;

pub use api::{ApiRequest, request_header_version, response_header_version, supported_versions};
pub use codec::{DecodeError, EncodeError, decode_request, encode_response, response_frame};
pub use fetch_response::{FetchAnswer, FetchedPartition, FetchedTopic, LeaderEndpoint, Records};
pub use frame::{FrameError, split_frame};
pub use gather::{FileRange, FramePiece, FrameWriter, ResponseFrame};
pub use head::{HeadError, RequestHead};
pub use kafka_protocol::messages::{self, ApiKey};
pub use kafka_protocol::protocol::{StrBytes, VersionRange};
pub use shape::{MAX_ELEMENTS, Problem, ShapeError};
