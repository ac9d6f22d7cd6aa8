//! The primitive types of versions without compact lengths, read and written.

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::buf::ByteBufMut;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use thiserror::Error;

/// Why a legacy request cannot be read or a legacy response not be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// There is no codec for this version.
    #[error("there is no such version")]
    NoSuchVersion,
    /// The body ends too early.
    #[error("the request ends too early")]
    Short,
    /// A length or count below zero where null is not allowed.
    #[error("the length {0} is negative")]
    Length(i32),
    /// Text that is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// A string, bytes or array that is longer than its length field can say.
    #[error("{0} bytes or elements do not fit into the length field")]
    TooLong(usize),
    /// What the schema crate says.
    #[error("{0}")]
    Schema(String),
}

/// Reads fields from the front of a body.
#[derive(Debug)]
pub struct Reader(Bytes);

impl Reader {
    /// Reads from the front of `body`.
    pub fn new(body: Bytes) -> Self {
        Self(body)
    }

    /// Bytes that are not read yet.
    pub fn remaining(&self) -> usize {
        self.0.len()
    }

    pub(super) fn int8(&mut self) -> Result<i8, WireError> {
        self.0.try_get_i8().map_err(|_| WireError::Short)
    }

    pub(super) fn int16(&mut self) -> Result<i16, WireError> {
        self.0.try_get_i16().map_err(|_| WireError::Short)
    }

    pub(super) fn int32(&mut self) -> Result<i32, WireError> {
        self.0.try_get_i32().map_err(|_| WireError::Short)
    }

    pub(super) fn int64(&mut self) -> Result<i64, WireError> {
        self.0.try_get_i64().map_err(|_| WireError::Short)
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<StrBytes>, WireError> {
        let length = i32::from(self.int16()?);
        let Some(bytes) = self.nullable(length)? else { return Ok(None) };
        StrBytes::from_utf8(bytes).map(Some).map_err(|_| WireError::Utf8)
    }

    pub(super) fn string(&mut self) -> Result<StrBytes, WireError> {
        self.nullable_string()?.ok_or(WireError::Length(-1))
    }

    pub(super) fn nullable_bytes(&mut self) -> Result<Option<Bytes>, WireError> {
        let length = self.int32()?;
        self.nullable(length)
    }

    pub(super) fn nullable_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Reader) -> Result<T, WireError>,
    ) -> Result<Option<Vec<T>>, WireError> {
        let count = self.int32()?;
        if count == -1 {
            return Ok(None);
        }
        let count = usize::try_from(count).map_err(|_| WireError::Length(count))?;
        if count > self.remaining() {
            return Err(WireError::Short);
        }
        (0..count).map(|_| element(self)).collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn array<T>(
        &mut self,
        element: impl FnMut(&mut Reader) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        self.nullable_array(element)?.ok_or(WireError::Length(-1))
    }

    pub(super) fn schema<T: Decodable>(&mut self, version: i16) -> Result<T, WireError> {
        T::decode(&mut self.0, version).map_err(|error| WireError::Schema(error.to_string()))
    }

    fn nullable(&mut self, length: i32) -> Result<Option<Bytes>, WireError> {
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| WireError::Length(length))?;
        if length > self.remaining() {
            return Err(WireError::Short);
        }
        Ok(Some(self.0.split_to(length)))
    }
}

/// Writes fields to the end of a body.
#[derive(Debug)]
pub struct Writer<'a, B>(&'a mut B);

impl<'a, B: ByteBufMut> Writer<'a, B> {
    /// Writes to the end of `buffer`.
    pub fn new(buffer: &'a mut B) -> Self {
        Self(buffer)
    }

    pub(super) fn int8(&mut self, value: i8) {
        self.0.put_i8(value);
    }

    pub(super) fn int16(&mut self, value: i16) {
        self.0.put_i16(value);
    }

    pub(super) fn int32(&mut self, value: i32) {
        self.0.put_i32(value);
    }

    pub(super) fn int64(&mut self, value: i64) {
        self.0.put_i64(value);
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.int8(i8::from(value));
    }

    pub(super) fn nullable_string(&mut self, value: Option<&StrBytes>) -> Result<(), WireError> {
        match value {
            Some(value) => self.string(value),
            None => {
                self.int16(-1);
                Ok(())
            }
        }
    }

    pub(super) fn string(&mut self, value: &str) -> Result<(), WireError> {
        let length = i16::try_from(value.len()).map_err(|_| WireError::TooLong(value.len()))?;
        self.int16(length);
        self.0.put_slice(value.as_bytes());
        Ok(())
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> Result<(), WireError> {
        self.length32(value.len())?;
        self.0.put_slice(value);
        Ok(())
    }

    pub(super) fn array<T>(
        &mut self,
        elements: &[T],
        mut element: impl FnMut(&mut Self, &T) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.length32(elements.len())?;
        elements.iter().try_for_each(|each| element(self, each))
    }

    pub(super) fn schema<T: Encodable>(&mut self, value: &T, version: i16) -> Result<(), WireError> {
        value.encode(self.0, version).map_err(|error| WireError::Schema(error.to_string()))
    }

    fn length32(&mut self, length: usize) -> Result<(), WireError> {
        self.int32(i32::try_from(length).map_err(|_| WireError::TooLong(length))?);
        Ok(())
    }
}
