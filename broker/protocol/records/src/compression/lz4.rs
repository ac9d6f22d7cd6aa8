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

/// Bytes of the frame's magic number, which the checksum should leave out.
const MAGIC_LEN: usize = 4;
/// Where the checksum lies in a frame without content size and dictionary id.
const SHORT_CHECKSUM_AT: usize = 6;
const CONTENT_SIZE_FLAG: u8 = 0x08;
const DICTIONARY_FLAG: u8 = 0x01;

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>, header: Lz4Header) -> io::Result<()> {
    let start = out.len();
    // As Kafka's clients: independent blocks of 64 KiB, no checksums of blocks or content.
    let info = FrameInfo::new().block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, &mut *out);
    encoder.write_all(input)?;
    encoder.finish()?;
    if header == Lz4Header::Kafka08 {
        let frame = out.get_mut(start..).unwrap_or_default();
        set_checksum(frame, SHORT_CHECKSUM_AT, 0);
    }
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
