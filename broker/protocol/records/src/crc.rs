//! Checksums: CRC-32C for batches of magic 2, CRC-32 for messages of magic 0 and 1.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC-32C (Castagnoli) of `bytes`.
#[inline]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32C of `first` followed by `second`.
pub(crate) fn crc32c_of_parts(first: &[u8], second: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(first);
    digest.update(second);
    // A 32-bit algorithm leaves the upper half at zero.
    u32::try_from(digest.finalize()).unwrap_or_default()
}

/// CRC-32 (as in zip) of `bytes`.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
