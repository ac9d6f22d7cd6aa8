//! The entries of both indexes as they lie in their files, big-endian.

use super::IndexedTimestamp;

/// An entry of fixed size. Entries of a file rise in all their fields.
pub(crate) trait IndexEntry: Copy {
    /// Bytes in the file.
    const LEN: usize;
    /// Suffix of the file's name.
    const SUFFIX: &'static str;
    /// Appends the entry's bytes.
    fn encode(self, out: &mut Vec<u8>);
    /// Reads an entry from the start of `bytes`.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Of `.index`: the batch whose last offset is this begins there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// Last offset of the batch less the segment's base offset.
    pub(crate) relative: i32,
    /// Position of the batch in the segment.
    pub(crate) position: u32,
}

impl OffsetEntry {
    /// [`IndexEntry::LEN`] as a file size.
    pub(crate) const LEN_U64: u64 = 8;
}

impl IndexEntry for OffsetEntry {
    const LEN: usize = 8;
    const SUFFIX: &'static str = "index";

    fn encode(self, out: &mut Vec<u8>) {
        out.extend(self.relative.to_be_bytes());
        out.extend(self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<OffsetEntry> {
        let (relative, rest) = bytes.split_first_chunk()?;
        Some(OffsetEntry {
            relative: i32::from_be_bytes(*relative),
            position: u32::from_be_bytes(*rest.first_chunk()?),
        })
    }
}

/// Of `.timeindex`: no batch up to this offset has a larger timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    /// Milliseconds since the epoch.
    pub(crate) timestamp: i64,
    /// Last offset of the batch that has the timestamp, less the segment's base offset.
    pub(crate) relative: i32,
}

impl TimeEntry {
    /// [`IndexEntry::LEN`] as a file size.
    pub(crate) const LEN_U64: u64 = 12;

    /// The same without the role of an entry.
    pub(crate) fn indexed_timestamp(self) -> IndexedTimestamp {
        IndexedTimestamp { timestamp: self.timestamp, relative: self.relative }
    }
}

impl IndexEntry for TimeEntry {
    const LEN: usize = 12;
    const SUFFIX: &'static str = "timeindex";

    fn encode(self, out: &mut Vec<u8>) {
        out.extend(self.timestamp.to_be_bytes());
        out.extend(self.relative.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<TimeEntry> {
        let (timestamp, rest) = bytes.split_first_chunk()?;
        Some(TimeEntry {
            timestamp: i64::from_be_bytes(*timestamp),
            relative: i32::from_be_bytes(*rest.first_chunk()?),
        })
    }
}
