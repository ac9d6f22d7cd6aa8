//! Snappy as Kafka's clients write it: xerial's framing (Java, Python) or one raw block (librdkafka).
//!
//! The framing is a 16-byte header (magic, version, oldest compatible version) and blocks, each with its length as
//! a big-endian `i32`. Streams may be concatenated, header and all.

use std::io;

use crate::{Compression, RecordsError};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_LEN: usize = 16;
/// Version, and oldest compatible version.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// Input bytes of one block, as snappy-java has it.
const BLOCK_LEN: usize = 32 * 1024;

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSIONS);
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(BLOCK_LEN) {
        let compressed = encoder.compress_vec(block)?;
        let len = i32::try_from(compressed.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&compressed);
    }
    Ok(())
}

pub(super) fn decompress(input: &[u8], limit: usize) -> Result<Vec<u8>, RecordsError> {
    let mut out = Vec::new();
    if !input.starts_with(&MAGIC) {
        block(input, &mut out, limit)?;
        return Ok(out);
    }
    let mut rest = input;
    while !rest.is_empty() {
        if rest.starts_with(&MAGIC) {
            rest = rest.get(HEADER_LEN..).ok_or_else(truncated)?;
            continue;
        }
        let (len, after) = rest.split_first_chunk().ok_or_else(truncated)?;
        let len = usize::try_from(i32::from_be_bytes(*len)).map_err(|_| truncated())?;
        let (compressed, after) = after.split_at_checked(len).ok_or_else(truncated)?;
        block(compressed, &mut out, limit)?;
        rest = after;
    }
    Ok(out)
}

/// Appends one decompressed block to `out`.
fn block(compressed: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), RecordsError> {
    let codec = Compression::Snappy;
    let unreadable = |error: snap::Error| RecordsError::Decompress { codec, reason: error.to_string() };
    let start = out.len();
    let end = start.saturating_add(snap::raw::decompress_len(compressed).map_err(unreadable)?);
    if end > limit {
        return Err(RecordsError::DecompressedTooLarge { codec, limit });
    }
    out.resize(end, 0);
    let place = out.get_mut(start..).unwrap_or_default();
    snap::raw::Decoder::new().decompress(compressed, place).map_err(unreadable)?;
    Ok(())
}

fn truncated() -> RecordsError {
    let reason = "the data ends inside a block or its length".to_owned();
    RecordsError::Decompress { codec: Compression::Snappy, reason }
}
