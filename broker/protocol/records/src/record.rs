//! Single records of a batch of magic 2: reading them in place, and writing them.

use crate::reader::Reader;
use crate::{Fault, writer};

/// A header of a record (KIP-82).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its key: UTF-8 by specification, which Kafka's broker does not check either.
    pub key: &'a [u8],
    /// Its value, which may be null.
    pub value: Option<&'a [u8]>,
}

/// The headers of one record, still encoded. They were checked when the record was read.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    count: i32,
    encoded: Reader<'a>,
}

impl Headers<'_> {
    /// No headers.
    pub const EMPTY: Self = Self { count: 0, encoded: Reader::new(&[]) };

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.count == 0 {
            return None;
        }
        self.count -= 1;
        read_header(&mut self.encoded).ok()
    }
}

/// One record as a consumer sees it. Its bytes lie in the batch, or in what that was decompressed to.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// Its timestamp in milliseconds, or [`crate::NO_TIMESTAMP`].
    pub timestamp: i64,
    /// Its key, which may be null.
    pub key: Option<&'a [u8]>,
    /// Its value, which may be null.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// One record as it is encoded: relative to its batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawRecord<'a> {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: Headers<'a>,
}

impl<'a> RawRecord<'a> {
    /// Reads one record and checks that its length is the sum of its fields.
    #[inline]
    pub(crate) fn read(batch: &mut Reader<'a>) -> Result<Self, Fault> {
        let mut body = Reader::new(batch.bytes()?);
        let _attributes = body.u8()?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = body.nullable_bytes()?;
        let value = body.nullable_bytes()?;
        let headers = read_headers(&mut body)?;
        match body.remaining() {
            0 => Ok(Self { timestamp_delta, offset_delta, key, value, headers }),
            left => Err(Fault::LeftOver(left)),
        }
    }
}

#[inline]
fn read_headers<'a>(body: &mut Reader<'a>) -> Result<Headers<'a>, Fault> {
    let headers = Headers { count: body.varint()?, encoded: *body };
    if headers.count != 0 {
        check_headers(headers.count, body)?;
    }
    Ok(headers)
}

/// Apart from the path of records without headers, which are most.
fn check_headers(count: i32, body: &mut Reader<'_>) -> Result<(), Fault> {
    if count < 0 {
        return Err(Fault::NegativeLength(count));
    }
    for _ in 0..count {
        read_header(body)?;
    }
    Ok(())
}

fn read_header<'a>(body: &mut Reader<'a>) -> Result<Header<'a>, Fault> {
    Ok(Header { key: body.bytes()?, value: body.nullable_bytes()? })
}

/// The fields of a record to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRecord<'a, 'h> {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'h [Header<'a>],
}

impl NewRecord<'_, '_> {
    /// Appends the record to `out`; `None` if a length does not fit an `i32`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        let body_len = i32::try_from(self.body_len()).ok()?;
        writer::put_varint(out, body_len);
        out.push(0);
        writer::put_varlong(out, self.timestamp_delta);
        writer::put_varint(out, self.offset_delta);
        put_nullable(out, self.key)?;
        put_nullable(out, self.value)?;
        writer::put_varint(out, i32::try_from(self.headers.len()).ok()?);
        for header in self.headers {
            put_nullable(out, Some(header.key))?;
            put_nullable(out, header.value)?;
        }
        Some(())
    }

    fn body_len(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|header| nullable_len(Some(header.key)) + nullable_len(header.value))
            .sum();
        1 + writer::varlong_len(self.timestamp_delta)
            + writer::varlong_len(i64::from(self.offset_delta))
            + nullable_len(self.key)
            + nullable_len(self.value)
            + writer::length_len(self.headers.len())
            + headers
    }
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| writer::length_len(bytes.len()) + bytes.len())
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Option<()> {
    match bytes {
        None => writer::put_varint(out, -1),
        Some(bytes) => {
            writer::put_varint(out, i32::try_from(bytes.len()).ok()?);
            out.extend_from_slice(bytes);
        }
    }
    Some(())
}
