//! Writes bytes that follow a shape: the choices come from `entropy`, and are the simplest ones
//! once that is used up.

use crate::shape::notation::{Field, Kind, Shape};

pub struct Sample<'a> {
    entropy: std::slice::Iter<'a, u8>,
    version: i16,
    flexible: bool,
    out: Vec<u8>,
}

/// A request's body of the shape and version.
pub fn sample(shape: &Shape, version: i16, entropy: &[u8]) -> Vec<u8> {
    let flexible = version >= shape.flexible_since;
    let mut sample = Sample { entropy: entropy.iter(), version, flexible, out: Vec::new() };
    sample.fields(shape.fields);
    sample.out
}

impl Sample<'_> {
    fn choose(&mut self, below: u8) -> u8 {
        self.entropy.next().map_or(0, |choice| choice % below)
    }

    fn fields(&mut self, fields: &[Field]) {
        let present = |field: &&Field| field.is_in(self.version);
        let (tagged, plain): (Vec<&Field>, Vec<&Field>) =
            fields.iter().filter(present).partition(|field| field.tag.is_some());
        for field in plain {
            self.field(field);
        }
        if self.flexible {
            self.tagged_fields(fields, &tagged);
        }
    }

    fn field(&mut self, field: &Field) {
        let nullable = field.may_be_null(self.version);
        let null = nullable && self.choose(4) == 3;
        match field.kind {
            Kind::Structure(_) if null => self.out.push(0xff),
            Kind::Structure(_) if nullable => {
                self.out.push(1);
                self.value(&field.kind);
            }
            _ if null => self.null(&field.kind),
            _ => self.value(&field.kind),
        }
    }

    fn null(&mut self, kind: &Kind) {
        match kind {
            _ if self.flexible => self.out.push(0),
            Kind::Text => self.out.extend_from_slice(&[0xff; 2]),
            _ => self.out.extend_from_slice(&[0xff; 4]),
        }
    }

    fn value(&mut self, kind: &Kind) {
        match kind {
            Kind::Fixed(1) => {
                // Booleans are among them, and the crate writes those as 0 or 1.
                let byte = self.choose(2);
                self.out.push(byte);
            }
            Kind::Fixed(size) => {
                for _ in 0..*size {
                    let byte = self.choose(120);
                    self.out.push(byte);
                }
            }
            Kind::Structure(fields) => self.fields(fields),
            Kind::Array(fields) => {
                for _ in 0..self.length(4, false) {
                    self.fields(fields);
                }
            }
            Kind::ArrayOf(element) => {
                for _ in 0..self.length(4, false) {
                    self.value(element);
                }
            }
            Kind::Text | Kind::Blob => {
                let length = self.length(200, matches!(kind, Kind::Text));
                self.out.extend(std::iter::repeat_n(b'x', length));
            }
        }
    }

    fn length(&mut self, below: u8, short: bool) -> usize {
        let length = self.choose(below);
        match (self.flexible, short) {
            (true, _) => self.varint(u32::from(length) + 1),
            (false, true) => self.out.extend_from_slice(&i16::from(length).to_be_bytes()),
            (false, false) => self.out.extend_from_slice(&i32::from(length).to_be_bytes()),
        }
        usize::from(length)
    }

    fn tagged_fields(&mut self, fields: &[Field], known: &[&Field]) {
        let known: Vec<&Field> = known.iter().filter(|_| self.choose(2) == 1).copied().collect();
        // Low numbers among them: a tag that the crate knows and the shape does not is found so.
        let is_unknown = |tag: &u32| fields.iter().all(|field| field.tag != Some(*tag));
        let unknown: Vec<u32> =
            [0, 1, 2, 3, 1000].into_iter().filter(is_unknown).filter(|_| self.choose(4) == 3).collect();
        self.varint(u32::try_from(known.len() + unknown.len()).unwrap());
        for field in known {
            let outer = std::mem::take(&mut self.out);
            self.field(field);
            let value = std::mem::replace(&mut self.out, outer);
            self.varint(field.tag.unwrap());
            self.varint(u32::try_from(value.len()).unwrap());
            self.out.extend_from_slice(&value);
        }
        for tag in unknown {
            self.varint(tag);
            let size = self.choose(3);
            self.out.push(size);
            self.out.extend(std::iter::repeat_n(0xee, usize::from(size)));
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
            value >>= 7;
        }
        self.out.push(u8::try_from(value).unwrap());
    }
}
