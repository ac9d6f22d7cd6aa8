//! The walk over a request's bytes along its shape.

use super::notation::{Field, Kind, Shape};
use super::{MAX_ELEMENTS, Problem, ShapeError};

/// Where a walk is.
pub(super) struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements_left: usize,
}

/// A length or count, `None` for null.
type Length = Option<usize>;

impl<'a> Walk<'a> {
    pub(super) fn new(shape: &Shape, version: i16, body: &'a [u8]) -> Self {
        let flexible = version >= shape.flexible_since;
        Self { rest: body, version, flexible, elements_left: MAX_ELEMENTS }
    }

    /// Walks over the body. What is behind its last field is passed over, as Kafka does: librdkafka 2.16 sends
    /// three bytes more than Metadata 13 has fields.
    pub(super) fn run(mut self, shape: &Shape) -> Result<(), ShapeError> {
        self.fields(shape.fields)
    }

    fn fields(&mut self, fields: &[Field]) -> Result<(), ShapeError> {
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                self.field(field)?;
            }
        }
        if self.flexible { self.tagged_fields(fields) } else { Ok(()) }
    }

    fn field(&mut self, field: &Field) -> Result<(), ShapeError> {
        let nullable = field.may_be_null(self.version);
        // A nullable structure is preceded by a byte, -1 for null.
        if nullable && matches!(field.kind, Kind::Structure(_)) && self.is_null_structure(field)? {
            return Ok(());
        }
        match self.value(&field.kind, field.name)? {
            Some(()) => Ok(()),
            None if nullable => Ok(()),
            None => Err(Problem::Null.at(field.name)),
        }
    }

    /// Walks over one value; `None` is null.
    fn value(&mut self, kind: &Kind, name: &'static str) -> Result<Option<()>, ShapeError> {
        match kind {
            Kind::Fixed(size) => self.skip(*size, name).map(Some),
            Kind::Structure(fields) => self.fields(fields).map(Some),
            Kind::ArrayOf(element) => self.array_of(element, name),
            Kind::Array(fields) => self.array(fields, name),
            Kind::Text | Kind::Blob => {
                let length = match kind {
                    _ if self.flexible => self.compact_length(name)?,
                    Kind::Text => self.length16(name)?,
                    _ => self.length32(name)?,
                };
                length.map(|length| self.skip(length, name)).transpose()
            }
        }
    }

    fn array_of(&mut self, element: &Kind, name: &'static str) -> Result<Option<()>, ShapeError> {
        let Some(count) = self.count(name)? else { return Ok(None) };
        if let Kind::Fixed(size) = element {
            return self.skip(count.saturating_mul(*size), name).map(Some);
        }
        for _ in 0..count {
            if self.value(element, name)?.is_none() {
                return Err(Problem::Null.at(name));
            }
        }
        Ok(Some(()))
    }

    fn array(&mut self, fields: &[Field], name: &'static str) -> Result<Option<()>, ShapeError> {
        let Some(count) = self.count(name)? else { return Ok(None) };
        for _ in 0..count {
            self.fields(fields)?;
        }
        Ok(Some(()))
    }

    /// How many elements an array has, as many as there can be at most.
    fn count(&mut self, name: &'static str) -> Result<Length, ShapeError> {
        let length = if self.flexible { self.compact_length(name)? } else { self.length32(name)? };
        let Some(count) = length else { return Ok(None) };
        // Every element takes a byte at least.
        if count > self.rest.len() {
            return Err(self.does_not_fit(count).at(name));
        }
        self.spend(count, name)?;
        Ok(Some(count))
    }

    /// The tagged fields that end a structure: known ones must fill their size exactly, for the
    /// decoder that comes after us does not look at it.
    fn tagged_fields(&mut self, fields: &[Field]) -> Result<(), ShapeError> {
        const NAME: &str = "tagged fields";
        let count = self.varint(NAME)?;
        self.spend(count, NAME)?;
        for _ in 0..count {
            let tag = self.varint(NAME)?;
            let size = self.varint(NAME)?;
            let value = self.take(size, NAME)?;
            let known = fields.iter().find(|field| {
                field.tag.is_some_and(|known| usize::try_from(known) == Ok(tag)) && field.is_in(self.version)
            });
            if let Some(field) = known {
                let outer = std::mem::replace(&mut self.rest, value);
                self.field(field)?;
                let left = std::mem::replace(&mut self.rest, outer).len();
                if left > 0 {
                    return Err(Problem::LeftOver(left).at(field.name));
                }
            }
        }
        Ok(())
    }

    fn is_null_structure(&mut self, field: &Field) -> Result<bool, ShapeError> {
        match self.take(1, field.name)? {
            [0xff] => Ok(true),
            [1] => Ok(false),
            _ => Err(Problem::Presence.at(field.name)),
        }
    }

    fn length16(&mut self, name: &'static str) -> Result<Length, ShapeError> {
        let bytes = self.bytes::<2>(name)?;
        signed_length(i32::from(i16::from_be_bytes(bytes)), name)
    }

    fn length32(&mut self, name: &'static str) -> Result<Length, ShapeError> {
        let bytes = self.bytes::<4>(name)?;
        signed_length(i32::from_be_bytes(bytes), name)
    }

    /// One more than the length, 0 for null.
    fn compact_length(&mut self, name: &'static str) -> Result<Length, ShapeError> {
        Ok(self.varint(name)?.checked_sub(1))
    }

    /// An unsigned variable-length number of 32 bits, five bytes at most.
    fn varint(&mut self, name: &'static str) -> Result<usize, ShapeError> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.bytes::<1>(name)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let value = u32::try_from(value).map_err(|_| Problem::Varint.at(name))?;
                return usize::try_from(value).map_err(|_| Problem::Varint.at(name));
            }
        }
        Err(Problem::Varint.at(name))
    }

    fn bytes<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], ShapeError> {
        let (first, rest) =
            self.rest.split_first_chunk::<N>().ok_or_else(|| self.does_not_fit(N).at(name))?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, length: usize, name: &'static str) -> Result<&'a [u8], ShapeError> {
        let (first, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| self.does_not_fit(length).at(name))?;
        self.rest = rest;
        Ok(first)
    }

    fn skip(&mut self, length: usize, name: &'static str) -> Result<(), ShapeError> {
        self.take(length, name).map(|_| ())
    }

    fn spend(&mut self, count: usize, name: &'static str) -> Result<(), ShapeError> {
        self.elements_left =
            self.elements_left.checked_sub(count).ok_or_else(|| Problem::TooManyElements.at(name))?;
        Ok(())
    }

    fn does_not_fit(&self, wanted: usize) -> Problem {
        Problem::Short { wanted, left: self.rest.len() }
    }
}

fn signed_length(length: i32, name: &'static str) -> Result<Length, ShapeError> {
    match length {
        -1 => Ok(None),
        _ => usize::try_from(length).map(Some).map_err(|_| Problem::Negative(length).at(name)),
    }
}
