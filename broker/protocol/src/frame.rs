//! Frames: every request and response is preceded by its length, four bytes big-endian.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Length of the length that starts a frame.
pub const LENGTH_BYTES: usize = 4;

/// Kafka's own default of `socket.request.max.bytes`.
pub const DEFAULT_MAX_FRAME: usize = 100 * 1024 * 1024;

/// Why a byte stream cannot be cut into frames; the connection is of no further use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The announced length is above the limit.
    #[error("a request of {length} bytes was announced, the limit is {limit} bytes")]
    TooLarge {
        /// The announced length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The announced length is below zero.
    #[error("a request of {length} bytes was announced, a length cannot be negative (limit {limit} bytes)")]
    Negative {
        /// The announced length in bytes.
        length: i32,
        /// The limit in bytes.
        limit: usize,
    },
    /// The first bytes are those of a text protocol.
    #[error(
        "this looks like an HTTP request; the port speaks the Kafka protocol (read as a length: {length} bytes, the limit is {limit} bytes)"
    )]
    Http {
        /// The first four bytes, read as a length.
        length: i32,
        /// The limit in bytes.
        limit: usize,
    },
    /// The first bytes are those of a TLS handshake.
    #[error(
        "this looks like a TLS hello; the port speaks Kafka in plain text (read as a length: {length} bytes, the limit is {limit} bytes)"
    )]
    Tls {
        /// The first four bytes, read as a length.
        length: i32,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Takes the next whole frame, without its length, out of `buffer`.
///
/// `None` means that more bytes are needed. Nothing is reserved or copied: the frame shares the
/// memory of `buffer`.
///
/// # Errors
/// [`FrameError`] where the announced length is negative or above `max_frame`.
pub fn split_frame(buffer: &mut BytesMut, max_frame: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = announced_length(buffer, max_frame)? else {
        return Ok(None);
    };
    if buffer.len() - LENGTH_BYTES < length {
        return Ok(None);
    }
    buffer.advance(LENGTH_BYTES);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// How many bytes `buffer` lacks until its first frame is whole; what a reader may reserve.
///
/// # Errors
/// As [`split_frame`].
pub fn missing_bytes(buffer: &[u8], max_frame: usize) -> Result<usize, FrameError> {
    let whole = match announced_length(buffer, max_frame)? {
        Some(length) => LENGTH_BYTES + length,
        None => LENGTH_BYTES,
    };
    Ok(whole.saturating_sub(buffer.len()))
}

fn announced_length(buffer: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some(first) = buffer.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*first);
    match usize::try_from(length) {
        Ok(fits) if fits <= limit => Ok(Some(fits)),
        _ => Err(refusal(first, length, limit)),
    }
}

/// The first four bytes of what else people point at a Kafka port.
const HTTP_STARTS: [&[u8; LENGTH_BYTES]; 10] =
    [b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC", b"PRI "];

fn refusal(first: &[u8; LENGTH_BYTES], length: i32, limit: usize) -> FrameError {
    // A TLS record of type handshake (22), versions 3.0 to 3.4.
    if matches!(first, [22, 3, 0..=4, _]) {
        return FrameError::Tls { length, limit };
    }
    if HTTP_STARTS.contains(&first) {
        return FrameError::Http { length, limit };
    }
    match usize::try_from(length) {
        Ok(length) => FrameError::TooLarge { length, limit },
        Err(_) => FrameError::Negative { length, limit },
    }
}

#[cfg(test)]
mod tests;
