//! LZ4 frames, and the wrong header checksum that goes with messages of magic 0.
//!
//! Kafka before 0.10 computed the frame's header checksum over the frame's magic number as well (KAFKA-3160). Magic 0
//! keeps that: readers do not check it, writers write it so.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

use crate::{Compression, RecordsError};

/// Which header checksum LZ4 frames have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lz4Header {
    /// The one of LZ4's specification: magic 1 and 2.
    Standard,
    /// The one of old Kafka: magic 0.
    Kafka08,
}

/// Kafka's default level, which stands for fast compression; any other is one of high compression.
const FAST_LEVEL: i32 = 9;
/// What a frame begins with.
const FRAME_MAGIC: [u8; MAGIC_LEN] = 0x184D_2204_u32.to_le_bytes();
/// Version 1, independent blocks, no checksums, no content size.
const FRAME_FLAGS: u8 = 0x60;
/// Blocks of up to 64 KiB.
const FRAME_BLOCK_SIZE: u8 = 0x40;
const BLOCK_LEN: usize = 64 * 1024;
/// Set in the size of a block that is not compressed.
const PLAIN_BLOCK: u32 = 0x8000_0000;
const END_MARK: [u8; 4] = [0; 4];
/// Bytes of the frame's magic number, which the checksum should leave out.
const MAGIC_LEN: usize = 4;
/// Where the checksum lies in a frame without content size and dictionary id.
const SHORT_CHECKSUM_AT: usize = 6;
const CONTENT_SIZE_FLAG: u8 = 0x08;
const DICTIONARY_FLAG: u8 = 0x01;

/// As Kafka's clients: independent blocks of 64 KiB, no checksums of blocks or content.
pub(super) fn compress(
    input: &[u8],
    level: Option<i32>,
    out: &mut Vec<u8>,
    header: Lz4Header,
) -> io::Result<()> {
    let start = out.len();
    match level.filter(|level| *level != FAST_LEVEL) {
        Some(level) => compress_high(input, level, out)?,
        None => {
            let info = FrameInfo::new().block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(info, &mut *out);
            encoder.write_all(input)?;
            encoder.finish()?;
        }
    }
    if header == Lz4Header::Kafka08 {
        let frame = out.get_mut(start..).unwrap_or_default();
        set_checksum(frame, SHORT_CHECKSUM_AT, 0);
    }
    Ok(())
}

/// A frame of blocks by LZ4's high compression, which the other library does not have.
fn compress_high(input: &[u8], level: i32, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&FRAME_MAGIC);
    out.extend_from_slice(&[FRAME_FLAGS, FRAME_BLOCK_SIZE, 0]);
    set_checksum(out.get_mut(start..).unwrap_or_default(), SHORT_CHECKSUM_AT, MAGIC_LEN);
    let mode = Some(lz4::block::CompressionMode::HIGHCOMPRESSION(level));
    let mut block = vec![0; lz4::block::compress_bound(BLOCK_LEN.min(input.len()))?];
    for plain in input.chunks(BLOCK_LEN) {
        let len = lz4::block::compress_to_buffer(plain, mode, false, &mut block)?;
        let (bytes, flag) = match block.get(..len) {
            Some(compressed) if len < plain.len() => (compressed, 0),
            _ => (plain, PLAIN_BLOCK),
        };
        let size = u32::try_from(bytes.len()).map_err(io::Error::other)? | flag;
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(&END_MARK);
    Ok(())
}

pub(super) fn decompress(input: &[u8], limit: usize, header: Lz4Header) -> Result<Vec<u8>, RecordsError> {
    let at = checksum_at(input);
    match input.split_at_checked(at + 1) {
        Some((descriptor, blocks)) if header == Lz4Header::Kafka08 => {
            let mut descriptor = descriptor.to_vec();
            set_checksum(&mut descriptor, at, MAGIC_LEN);
            read(descriptor.chain(blocks), limit)
        }
        _ => read(input, limit),
    }
}

fn read(input: impl Read, limit: usize) -> Result<Vec<u8>, RecordsError> {
    super::read_bounded(Compression::Lz4, FrameDecoder::new(input), limit)
}

/// Where the header checksum of `frame` lies.
fn checksum_at(frame: &[u8]) -> usize {
    let flags = frame.get(MAGIC_LEN).copied().unwrap_or_default();
    let content_size = if flags & CONTENT_SIZE_FLAG == 0 { 0 } else { 8 };
    let dictionary = if flags & DICTIONARY_FLAG == 0 { 0 } else { 4 };
    SHORT_CHECKSUM_AT + content_size + dictionary
}

/// Writes the checksum of the header's bytes from `from` on.
fn set_checksum(frame: &mut [u8], at: usize, from: usize) {
    let [_, checksum, ..] = XxHash32::oneshot(0, frame.get(from..at).unwrap_or_default()).to_le_bytes();
    if let Some(place) = frame.get_mut(at) {
        *place = checksum;
    }
}
