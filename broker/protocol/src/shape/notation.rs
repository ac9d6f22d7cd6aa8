//! The notation that the tables of shapes are written in: one line a field, in the order of the
//! wire, with Kafka's names and version ranges (Kafka's `*Request.json`).

/// An API's request body.
#[derive(Debug)]
pub struct Shape {
    /// The first version with compact lengths and tagged fields (KIP-482).
    pub(super) flexible_since: i16,
    pub(super) fields: &'static [Field],
}

/// A field of a request or of a structure in it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    since: i16,
    until: i16,
    nullable_since: i16,
    pub(super) tag: Option<u32>,
}

/// What a field looks like on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// As many bytes as it says.
    Fixed(usize),
    /// A 16-bit length, or a compact one, and UTF-8.
    Text,
    /// A 32-bit length, or a compact one, and anything: bytes and records.
    Blob,
    /// A 32-bit count, or a compact one, and that many plain values.
    ArrayOf(&'static Kind),
    /// A 32-bit count, or a compact one, and that many structures.
    Array(&'static [Field]),
    /// Fields in order, then in flexible versions the tagged ones.
    Structure(&'static [Field]),
}

pub(super) const BOOL: Kind = Kind::Fixed(1);
pub(super) const INT8: Kind = Kind::Fixed(1);
pub(super) const INT16: Kind = Kind::Fixed(2);
pub(super) const INT32: Kind = Kind::Fixed(4);
pub(super) const INT64: Kind = Kind::Fixed(8);
pub(super) const FLOAT64: Kind = Kind::Fixed(8);
pub(super) const UUID: Kind = Kind::Fixed(16);
pub(super) const STRING: Kind = Kind::Text;
pub(super) const BYTES: Kind = Kind::Blob;
pub(super) const NEVER: i16 = i16::MAX;

pub(super) const fn shape(flexible_since: i16, fields: &'static [Field]) -> Shape {
    Shape { flexible_since, fields }
}

pub(super) const fn array_of(element: &'static Kind) -> Kind {
    Kind::ArrayOf(element)
}

pub(super) const fn array(fields: &'static [Field]) -> Kind {
    Kind::Array(fields)
}

pub(super) const fn structure(fields: &'static [Field]) -> Kind {
    Kind::Structure(fields)
}

pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, since: 0, until: NEVER, nullable_since: NEVER, tag: None }
}

impl Field {
    pub(super) const fn since(mut self, version: i16) -> Self {
        self.since = version;
        self
    }

    pub(super) const fn until(mut self, version: i16) -> Self {
        self.until = version;
        self
    }

    pub(super) const fn nullable(self) -> Self {
        self.nullable_since(0)
    }

    pub(super) const fn nullable_since(mut self, version: i16) -> Self {
        self.nullable_since = version;
        self
    }

    /// A field that comes among the tagged ones, if at all.
    pub(super) const fn tagged(mut self, tag: u32) -> Self {
        self.tag = Some(tag);
        self
    }

    pub(super) const fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }

    pub(super) const fn may_be_null(&self, version: i16) -> bool {
        self.nullable_since <= version
    }
}
