//! The codecs. Nothing is decompressed beyond a limit that the caller names, whatever the data claims.

mod lz4;
mod snappy;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::{Compression, RecordsError};

pub(crate) use lz4::Lz4Header;

/// The largest window of a zstd frame that is taken, as a power of two: what `zstd -22` writes.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Kafka's default, and zstd's own.
const ZSTD_LEVEL: i32 = 3;

/// Decompresses `input` to at most `limit` bytes.
///
/// # Errors
/// [`RecordsError::Decompress`] for what the codec cannot read, [`RecordsError::DecompressedTooLarge`] beyond the
/// limit.
pub(crate) fn decompress(
    codec: Compression,
    input: &[u8],
    limit: usize,
    lz4_header: Lz4Header,
) -> Result<Vec<u8>, RecordsError> {
    match codec {
        Compression::None if input.len() > limit => Err(RecordsError::DecompressedTooLarge { codec, limit }),
        Compression::None => Ok(input.to_vec()),
        Compression::Gzip => read_bounded(codec, MultiGzDecoder::new(input), limit),
        Compression::Snappy => snappy::decompress(input, limit),
        Compression::Lz4 => lz4::decompress(input, limit, lz4_header),
        Compression::Zstd => {
            let reader = zstd::Decoder::with_buffer(input).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Ok(decoder)
            });
            read_bounded(codec, reader.map_err(unreadable(codec))?, limit)
        }
    }
}

/// Compresses `input` and appends it to `out`, as Kafka's clients do by default.
///
/// # Errors
/// [`RecordsError::Compress`].
pub(crate) fn compress(
    codec: Compression,
    input: &[u8],
    out: &mut Vec<u8>,
    lz4_header: Lz4Header,
) -> Result<(), RecordsError> {
    let written = match codec {
        Compression::None => out.write_all(input),
        Compression::Gzip => gzip(input, out),
        Compression::Snappy => snappy::compress(input, out),
        Compression::Lz4 => lz4::compress(input, out, lz4_header),
        Compression::Zstd => zstd(input, out),
    };
    written.map_err(|error| RecordsError::Compress { codec, reason: error.to_string() })
}

fn gzip(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = GzEncoder::new(out, flate2::Compression::default());
    encoder.write_all(input)?;
    encoder.finish().map(drop)
}

fn zstd(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
    encoder.set_pledged_src_size(u64::try_from(input.len()).ok())?;
    encoder.write_all(input)?;
    encoder.finish().map(drop)
}

fn unreadable(codec: Compression) -> impl Fn(io::Error) -> RecordsError {
    move |error| RecordsError::Decompress { codec, reason: error.to_string() }
}

/// Reads to the end, and one byte beyond the limit at most.
fn read_bounded(codec: Compression, reader: impl Read, limit: usize) -> Result<Vec<u8>, RecordsError> {
    let mut out = Vec::new();
    let ceiling = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(ceiling).read_to_end(&mut out).map_err(unreadable(codec))?;
    if out.len() > limit {
        return Err(RecordsError::DecompressedTooLarge { codec, limit });
    }
    Ok(out)
}
