use uuid::Uuid;

/// A record that is not in Kafka's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record ends inside a field, or a length is larger than what is left.
    #[error("the record is cut short")]
    Truncated,
    /// A length is negative where the field cannot be null.
    #[error("a length is negative")]
    NegativeLength,
    /// A variable-length integer has more than 32 bits.
    #[error("a variable-length integer is too long")]
    Varint,
    /// Text that is not UTF-8.
    #[error("a string is not UTF-8")]
    Text,
    /// The value's format is newer than any that is known.
    #[error("version {0} of the value is unknown")]
    Version(i16),
}

/// A field is longer than its format can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a field is longer than the record's format allows")]
pub struct EncodeError;

/// Reads the fields of a record. Nothing is reserved for a length before it is known to be there.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid::from_bytes)
    }

    fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array::<1>()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(DecodeError::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint)
    }

    /// The length of a compact field, which is written one higher so that 0 can stand for null.
    pub(super) fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let Some(length) = self.varint()?.checked_sub(1) else { return Ok(None) };
        usize::try_from(length).map(Some).map_err(|_| DecodeError::Varint)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Text)
    }

    pub(super) fn string(&mut self) -> Result<&'a str, DecodeError> {
        self.nullable_string()?.ok_or(DecodeError::NegativeLength)
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<&'a str>, DecodeError> {
        match usize::try_from(self.i16()?) {
            Ok(length) => self.text(length).map(Some),
            Err(_) => Ok(None),
        }
    }

    pub(super) fn compact_nullable_string(&mut self) -> Result<Option<&'a str>, DecodeError> {
        self.compact_length()?.map(|length| self.text(length)).transpose()
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.i32()?).map_err(|_| DecodeError::NegativeLength)?;
        self.take(length)
    }

    pub(super) fn compact_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.compact_length()?.ok_or(DecodeError::NegativeLength)?;
        self.take(length)
    }

    /// Walks over tagged fields (KIP-482), handing each to `field` with its tag.
    pub(super) fn tagged_fields(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::Varint)?;
            field(tag, &mut Reader::new(self.take(length)?))?;
        }
        Ok(())
    }
}

pub(super) fn put_i16(out: &mut Vec<u8>, value: i16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// The lowest seven bits.
fn low_bits(value: u32) -> u8 {
    let [.., low] = value.to_be_bytes();
    low & 0x7f
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value > 0x7f {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

pub(super) fn put_string(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    put_i16(out, i16::try_from(text.len()).map_err(|_| EncodeError)?);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

pub(super) fn put_nullable_string(out: &mut Vec<u8>, text: Option<&str>) -> Result<(), EncodeError> {
    match text {
        Some(text) => put_string(out, text),
        None => {
            put_i16(out, -1);
            Ok(())
        }
    }
}

pub(super) fn put_compact_string(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    let length =
        u32::try_from(text.len()).ok().and_then(|length| length.checked_add(1)).ok_or(EncodeError)?;
    put_varint(out, length);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), EncodeError> {
    put_i32(out, i32::try_from(bytes.len()).map_err(|_| EncodeError)?);
    out.extend_from_slice(bytes);
    Ok(())
}
