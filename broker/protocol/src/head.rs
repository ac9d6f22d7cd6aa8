//! The request header, read so that even a request of an unknown API or version can be answered.

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::StrBytes;
use thiserror::Error;

use crate::api::request_header_version;

/// What precedes every request (`RequestHeader.json`): versions 0 to 2, tagged fields skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The API key, which need not be one that we know.
    pub api_key: i16,
    /// The version of the API, which need not be one that we know.
    pub api_version: i16,
    /// The number that the response repeats.
    pub correlation_id: i32,
    /// What the client calls itself; `None` also where the version's header has no such field.
    pub client_id: Option<StrBytes>,
}

/// Why a frame has no readable header; without one it cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadError {
    /// The frame ends within the header.
    #[error("the request ends within its header, at {0}")]
    Short(&'static str),
    /// The client id's length is below -1.
    #[error("the request header's client id has length {0}")]
    ClientIdLength(i16),
    /// A variable-length number of more than five bytes.
    #[error("the request header has a number of more than five bytes at {0}")]
    Varint(&'static str),
}

impl RequestHead {
    /// Reads the header and leaves the request's body in `frame`.
    ///
    /// # Errors
    /// [`HeadError`] where the header is cut off or malformed. The header of an API key that we do
    /// not know is taken to have version 1, which all but one API had at first.
    pub fn parse(frame: &mut Bytes) -> Result<Self, HeadError> {
        let short = HeadError::Short;
        let api_key = frame.try_get_i16().map_err(|_| short("the API key"))?;
        let api_version = frame.try_get_i16().map_err(|_| short("the API version"))?;
        let correlation_id = frame.try_get_i32().map_err(|_| short("the correlation id"))?;
        let header_version = request_header_version(api_key, api_version);
        let client_id = if header_version >= 1 { client_id(frame)? } else { None };
        if header_version >= 2 {
            skip_tagged_fields(frame)?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }
}

fn client_id(frame: &mut Bytes) -> Result<Option<StrBytes>, HeadError> {
    let short = HeadError::Short("the client id");
    let length = frame.try_get_i16().map_err(|_| short)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| HeadError::ClientIdLength(length))?;
    let text = take(frame, length).ok_or(short)?;
    // It only names the client in logs and quotas: bytes that are no UTF-8 are no reason to refuse.
    let text = StrBytes::from_utf8(text.clone())
        .unwrap_or_else(|_| StrBytes::from_string(String::from_utf8_lossy(&text).into_owned()));
    Ok(Some(text))
}

/// No tagged field of the request header is known (KIP-482).
fn skip_tagged_fields(frame: &mut Bytes) -> Result<(), HeadError> {
    const AT: &str = "the tagged fields";
    let count = varint(frame, AT)?;
    // Each takes at least two bytes, so that the loop is bounded by the frame, not by the count.
    for _ in 0..count {
        varint(frame, AT)?;
        let size = varint(frame, AT)?;
        let size = usize::try_from(size).map_err(|_| HeadError::Short(AT))?;
        take(frame, size).ok_or(HeadError::Short(AT))?;
    }
    Ok(())
}

fn varint(frame: &mut Bytes, at: &'static str) -> Result<u32, HeadError> {
    let mut value = 0_u32;
    for shift in (0..35).step_by(7) {
        let byte = frame.try_get_u8().map_err(|_| HeadError::Short(at))?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(HeadError::Varint(at))
}

fn take(frame: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= frame.len()).then(|| frame.split_to(length))
}

#[cfg(test)]
mod tests;
