//! Variable-length integers, as they are written.

/// Appends a zigzag-encoded `i32`.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_varlong(out, i64::from(value));
}

/// Appends a zigzag-encoded `i64`.
pub(crate) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest > 0x7f {
        let [low, ..] = rest.to_le_bytes();
        out.push(low | 0x80);
        rest >>= 7;
    }
    let [low, ..] = rest.to_le_bytes();
    out.push(low);
}

/// Bytes that [`put_varlong`] takes.
pub(crate) fn varlong_len(value: i64) -> usize {
    let bits = (u64::BITS - zigzag(value).leading_zeros()).max(1);
    usize::try_from(bits.div_ceil(7)).unwrap_or_default()
}

/// Bytes that a length takes.
pub(crate) fn length_len(len: usize) -> usize {
    varlong_len(i64::try_from(len).unwrap_or(i64::MAX))
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}
