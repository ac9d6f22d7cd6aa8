//! The two formats of messages, and in what they differ.

use crate::attributes::TIMESTAMP_TYPE_BIT;
use crate::compression::Lz4Header;
use crate::{Attributes, Compression, TimestampType};

/// The format of a message set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFormat {
    /// Magic 0: Fetch 0 and 1, Produce 0 and 1.
    V0,
    /// Magic 1: Fetch 2 and 3, Produce 2.
    V1,
}

impl MessageFormat {
    /// The magic byte.
    #[must_use]
    pub const fn magic(self) -> i8 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
        }
    }

    /// The format with this magic byte, if it is one.
    #[must_use]
    pub const fn from_magic(magic: i8) -> Option<Self> {
        match magic {
            0 => Some(Self::V0),
            1 => Some(Self::V1),
            _ => None,
        }
    }

    /// The attributes of a message of this format.
    pub(super) fn attributes(self, codec: Compression, timestamp_type: TimestampType) -> Attributes {
        let attributes = Attributes::default().with_compression(codec).with_timestamp_type(timestamp_type);
        match self {
            Self::V0 => Attributes(attributes.0 & !TIMESTAMP_TYPE_BIT),
            Self::V1 => attributes,
        }
    }

    /// Which header checksum LZ4 frames have in this format.
    pub(super) const fn lz4_header(self) -> Lz4Header {
        match self {
            Self::V0 => Lz4Header::Kafka08,
            Self::V1 => Lz4Header::Standard,
        }
    }
}
