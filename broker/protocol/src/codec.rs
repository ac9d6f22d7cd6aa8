//! From the bytes of a request to its struct, and from a response to the bytes of its frame.

use bytes::Bytes;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::buf::ByteBufMut;
use thiserror::Error;

use crate::api::{ApiRequest, last_version, response_header_version};
use crate::gather::{FrameWriter, ResponseFrame};
use crate::legacy::{Reader, Writer};
use crate::shape;

/// Why a request's body cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Neither the schema nor a legacy codec has this version.
    #[error("API key {api_key} has no version {api_version} here")]
    UnsupportedVersion {
        /// The API key.
        api_key: i16,
        /// The version that was asked for.
        api_version: i16,
    },
    /// The bytes are no request of this API and version.
    #[error("malformed request of API key {api_key} version {api_version}: {reason}")]
    Malformed {
        /// The API key.
        api_key: i16,
        /// The version of the request.
        api_version: i16,
        /// Which field, and what is wrong with it.
        reason: String,
    },
}

/// Why a response cannot be sent; always a fault of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The response does not fit the schema of the version: a field that this version lacks is set,
    /// a null where there may be none, a string that is too long.
    #[error("cannot encode the response of API key {api_key} version {api_version}: {reason}")]
    Unencodable {
        /// The API key.
        api_key: i16,
        /// The version of the response.
        api_version: i16,
        /// Which rule is broken.
        reason: String,
    },
    /// A frame's length is four bytes, signed.
    #[error("a response of {length} bytes does not fit into a frame")]
    TooLarge {
        /// The response's length in bytes.
        length: usize,
    },
}

/// Decodes the body of a request (what [`crate::RequestHead::parse`] left).
///
/// Strings and records share the memory of the whole frame: who keeps one beyond the request
/// copies it.
///
/// # Errors
/// [`DecodeError::UnsupportedVersion`] and [`DecodeError::Malformed`].
pub fn decode_request<R: ApiRequest>(api_version: i16, body: &mut Bytes) -> Result<R, DecodeError> {
    if api_version < R::FIRST_VERSION || api_version > last_version::<R>() {
        return Err(DecodeError::UnsupportedVersion { api_key: R::KEY, api_version });
    }
    shape::check(R::KEY, api_version, body)
        .ok_or(DecodeError::UnsupportedVersion { api_key: R::KEY, api_version })?
        .map_err(|error| malformed::<R>(api_version, &error))?;
    if api_version < R::VERSIONS.min {
        return R::decode_legacy(api_version, &mut Reader::new(std::mem::take(body)))
            .map_err(|error| malformed::<R>(api_version, &error));
    }
    R::decode(body, api_version).map_err(|error| malformed::<R>(api_version, &error))
}

/// Encodes a response's header and body, without the frame's length.
///
/// # Errors
/// [`EncodeError::Unencodable`].
pub fn encode_response<R: ApiRequest>(
    api_version: i16,
    correlation_id: i32,
    response: &R::Response,
    buffer: &mut impl ByteBufMut,
) -> Result<(), EncodeError> {
    buffer.put_i32(correlation_id);
    if response_header_version(R::KEY, api_version) >= 1 {
        // An empty set of tagged fields.
        buffer.put_u8(0);
    }
    if api_version < R::VERSIONS.min {
        return R::encode_legacy(api_version, response, &mut Writer::new(buffer))
            .map_err(|error| unencodable::<R>(api_version, &error));
    }
    response.encode(buffer, api_version).map_err(|error| unencodable::<R>(api_version, &error))
}

/// Encodes a response as a frame, length first.
///
/// # Errors
/// [`EncodeError`].
pub fn response_frame<R: ApiRequest>(
    api_version: i16,
    correlation_id: i32,
    response: &R::Response,
) -> Result<ResponseFrame, EncodeError> {
    let mut frame = FrameWriter::default();
    encode_response::<R>(api_version, correlation_id, response, frame.tail())?;
    frame.into_frame()
}

fn malformed<R: ApiRequest>(api_version: i16, reason: &impl ToString) -> DecodeError {
    DecodeError::Malformed { api_key: R::KEY, api_version, reason: reason.to_string() }
}

fn unencodable<R: ApiRequest>(api_version: i16, reason: &impl ToString) -> EncodeError {
    EncodeError::Unencodable { api_key: R::KEY, api_version, reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
