//! A cursor over bytes that never goes beyond their end.

use crate::Fault;

/// The most bytes of a variable-length `i32` and `i64`.
const MAX_VARINT_LEN: u32 = 5;
const MAX_VARLONG_LEN: u32 = 10;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Fault::Overrun)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Fault::Overrun)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn i8(&mut self) -> Result<i8, Fault> {
        self.array().map(i8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i16(&mut self) -> Result<i16, Fault> {
        self.array().map(i16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> Result<i32, Fault> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, Fault> {
        self.array().map(i64::from_be_bytes)
    }

    /// A zigzag-encoded `i32` of at most 5 bytes.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<i32, Fault> {
        let value = match self.short_varint() {
            Some(value) => value,
            // Bits beyond the 32nd are dropped, as Kafka does.
            None => self.long_varint(MAX_VARINT_LEN)? & u64::from(u32::MAX),
        };
        let value = u32::try_from(value).unwrap_or_default();
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A zigzag-encoded `i64` of at most 10 bytes.
    #[inline]
    pub(crate) fn varlong(&mut self) -> Result<i64, Fault> {
        let value = match self.short_varint() {
            Some(value) => value,
            None => self.long_varint(MAX_VARLONG_LEN)?,
        };
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// One or two bytes: nearly all that a record has, and the cost of checking one.
    #[inline(always)]
    fn short_varint(&mut self) -> Option<u64> {
        match *self.rest {
            [low, ref rest @ ..] if low < 0x80 => {
                self.rest = rest;
                Some(u64::from(low))
            }
            [low, high, ref rest @ ..] if high < 0x80 => {
                self.rest = rest;
                Some(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => None,
        }
    }

    fn long_varint(&mut self, max_len: u32) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for position in 0..max_len {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::Varint)
    }

    /// A length as `varint` and that many bytes; `None` for a negative length, as Kafka reads it.
    #[inline]
    pub(crate) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        match usize::try_from(self.varint()?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// A length as `varint`, which may not be negative, and that many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.varint()?;
        self.take(usize::try_from(len).map_err(|_| Fault::NegativeLength(len))?)
    }

    /// A length as `i32` and that many bytes; `None` for a negative length, as Kafka reads it.
    pub(crate) fn nullable_bytes_i32(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        match usize::try_from(self.i32()?) {
            Ok(len) => self.take(len).map(Some),
            Err(_) => Ok(None),
        }
    }
}
