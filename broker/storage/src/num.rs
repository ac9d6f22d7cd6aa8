//! Conversions between the widths of lengths and offsets.

/// A length in memory; saturates where `usize` is 16 bits wide, which no target is.
pub(crate) fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A length on disk.
pub(crate) fn to_u64(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// A file position as the indexes store it. Segments are smaller than 2 GiB, so nothing is lost.
pub(crate) fn to_u32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
