//! The codecs. Nothing is decompressed beyond a limit that the caller names, whatever the data claims.

mod lz4;
mod snappy;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::{Codec, Compression, RecordsError};

pub(crate) use lz4::Lz4Header;

/// The largest window of a zstd frame that is taken, as a power of two: what `zstd -22` writes.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

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

/// Compresses `input` and appends it to `out`.
///
/// # Errors
/// [`RecordsError::Compress`].
pub(crate) fn compress(
    codec: Codec,
    input: &[u8],
    out: &mut Vec<u8>,
    lz4_header: Lz4Header,
) -> Result<(), RecordsError> {
    let Codec { compression, level } = codec;
    let written = match compression {
        Compression::None => out.write_all(input),
        Compression::Gzip => gzip(input, level, out),
        Compression::Snappy => snappy::compress(input, out),
        Compression::Lz4 => lz4::compress(input, level, out, lz4_header),
        Compression::Zstd => zstd(input, level, out),
    };
    written.map_err(|error| RecordsError::Compress { codec: compression, reason: error.to_string() })
}

fn gzip(input: &[u8], level: Option<i32>, out: &mut Vec<u8>) -> io::Result<()> {
    let level =
        level.and_then(|level| u32::try_from(level).ok()).map(|level| flate2::Compression::new(level.min(9)));
    let mut encoder = GzEncoder::new(out, level.unwrap_or_default());
    encoder.write_all(input)?;
    encoder.finish().map(drop)
}

fn zstd(input: &[u8], level: Option<i32>, out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(out, level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL))?;
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
