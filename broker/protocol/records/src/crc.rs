//! Checksums: CRC-32C for batches of magic 2, CRC-32 for messages of magic 0 and 1.

/// CRC-32C (Castagnoli) of `bytes`.
///
/// The one place that calls this crate, and is compiled once: so alone does the compiler see that no other algorithm is
/// asked for, and leaves out the tables of them all, 0.7 MB.
#[inline(never)]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32C of `first` followed by `second`.
pub(crate) fn crc32c_of_parts(first: &[u8], second: &[u8]) -> u32 {
    // The other crate's way to do this brings the tables of all algorithms with it, 0.8 MB.
    crc32c::crc32c_append(crc32c(first), second)
}

/// CRC-32 (as in zip) of `bytes`.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
