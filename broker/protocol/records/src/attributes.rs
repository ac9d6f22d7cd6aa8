//! The attribute bits of a batch or message, and the vocabulary that they encode.

use std::fmt;

use crate::RecordsError;

/// The codec bits.
pub const COMPRESSION_MASK: i16 = 0x07;
/// Set: the broker's time of append is every record's timestamp. Clear: the producer's timestamps hold.
pub const TIMESTAMP_TYPE_BIT: i16 = 0x08;
/// Set: the batch is part of a transaction.
pub const TRANSACTIONAL_BIT: i16 = 0x10;
/// Set: the batch holds control records (transaction markers), which no consumer sees.
pub const CONTROL_BIT: i16 = 0x20;
/// Set: the base timestamp is the time after which the cleaner may drop tombstones (KIP-534).
pub const DELETE_HORIZON_BIT: i16 = 0x40;

/// A compression codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Compression {
    /// Not compressed.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Snappy, in xerial's framing or raw.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard frames (KIP-110).
    Zstd,
}

impl Compression {
    /// All codecs, by id.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec bits of the attributes.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec with this id, if there is one.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name that Kafka's settings use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec that Kafka's settings call so, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

/// A codec to compress with, and how hard it is to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Codec {
    /// The codec.
    pub compression: Compression,
    /// Its level, of those that Kafka has for it (KIP-390): gzip 1 to 9, LZ4 1 to 17, Zstandard -131072 to 22. None: the
    /// codec's own default. Snappy has none.
    pub level: Option<i32>,
}

impl From<Compression> for Codec {
    /// At its default level.
    fn from(compression: Compression) -> Self {
        Self { compression, level: None }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose clock the timestamps come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The broker's, at the time of append.
    LogAppendTime,
}

/// The attributes of a batch. Bits above the low byte are unused, and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// The codec.
    ///
    /// # Errors
    /// [`RecordsError::UnknownCompression`] for ids 5 to 7.
    pub fn compression(self) -> Result<Compression, RecordsError> {
        let [_, low] = (self.0 & COMPRESSION_MASK).to_be_bytes();
        Compression::from_id(low).ok_or(RecordsError::UnknownCompression { id: low })
    }

    /// Whether any codec bit is set, known or not.
    #[must_use]
    pub const fn is_compressed(self) -> bool {
        self.0 & COMPRESSION_MASK != 0
    }

    /// The timestamp type.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch is part of a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch holds control records.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & CONTROL_BIT != 0
    }

    /// Whether the base timestamp is a delete horizon.
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & DELETE_HORIZON_BIT != 0
    }

    /// The same with this codec.
    #[must_use]
    pub fn with_compression(self, codec: Compression) -> Self {
        Self((self.0 & !COMPRESSION_MASK) | i16::from(codec.id()))
    }

    /// The same with this timestamp type.
    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        match timestamp_type {
            TimestampType::CreateTime => Self(self.0 & !TIMESTAMP_TYPE_BIT),
            TimestampType::LogAppendTime => Self(self.0 | TIMESTAMP_TYPE_BIT),
        }
    }

    /// The same with these bits clear.
    #[must_use]
    pub const fn without(self, bits: i16) -> Self {
        Self(self.0 & !bits)
    }

    /// The same with these bits set.
    #[must_use]
    pub const fn with(self, bits: i16) -> Self {
        Self(self.0 | bits)
    }
}
