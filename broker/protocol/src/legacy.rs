//! Versions that the schemas no longer have, for clients of before Kafka 2.1 (KIP-896 lists them).
//!
//! Requests become the schema crate's structs and responses are written from them, so that a
//! handler sees one type for all versions. Three things have no place there and are dropped:
//! - ListOffsets 0 asks for up to `max_num_offsets` offsets; it is answered with one, or none.
//! - OffsetCommit 1 gives each partition a commit timestamp; the time of arrival takes its place.
//! - OffsetCommit and OffsetFetch 0 kept offsets in ZooKeeper; they are treated as version 1.

mod acls;
mod configs;
mod fetch;
mod list_offsets;
mod log_dirs;
mod offsets;
mod produce;
mod topics;
mod wire;

pub use wire::{Reader, WireError, Writer};

use kafka_protocol::protocol::Request;
use kafka_protocol::protocol::buf::ByteBufMut;

/// Decodes a version that is, byte for byte, the oldest one of the schema.
fn decode_as_oldest<R: Request>(body: &mut Reader) -> Result<R, WireError> {
    body.schema(R::VERSIONS.min)
}

/// Encodes a version that is, byte for byte, the oldest one of the schema.
fn encode_as_oldest<R: Request>(
    response: &R::Response,
    out: &mut Writer<impl ByteBufMut>,
) -> Result<(), WireError> {
    out.schema(response, R::VERSIONS.min)
}

#[cfg(test)]
mod tests;
