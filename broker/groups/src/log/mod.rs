//! The records of `__consumer_offsets`, byte for byte as Kafka writes them.
//!
//! A key begins with a 16-bit version that tells what the record is about: 0 and 1 a committed offset, 2 the
//! metadata of a classic group, 3 and above the groups of later protocols. A value begins with the version of
//! its own format; a record without a value takes back what its key names. The formats are the schemas
//! `OffsetCommitKey`, `OffsetCommitValue`, `GroupMetadataKey` and `GroupMetadataValue` of Kafka.

mod codec;
mod group_metadata;
mod offset_commit;

use std::sync::Arc;

use bytes::Bytes;

use codec::{Reader, put_i16, put_string};

pub use codec::{DecodeError, EncodeError};
pub use group_metadata::{GroupValue, MemberValue};
pub use offset_commit::{OffsetKey, OffsetValue};

use crate::LogRecord;

const OFFSET_KEY_OLD: i16 = 0;
const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;

/// One record of `__consumer_offsets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An offset is committed, or taken back.
    Offset {
        /// Whose offset, and of what.
        key: OffsetKey,
        /// The offset, or nothing for a tombstone.
        value: Option<OffsetValue>,
    },
    /// A classic group has this generation, or is deleted.
    Group {
        /// The group.
        group_id: Arc<str>,
        /// The generation, or nothing for a tombstone.
        value: Option<GroupValue>,
    },
    /// A record of a kind that this coordinator does not keep. It is left alone.
    Unknown {
        /// The version in its key.
        key_version: i16,
    },
}

impl Record {
    /// The record as it stands in the log.
    ///
    /// # Errors
    /// A string, list or byte field is longer than its format can hold, or the record is unknown.
    pub fn encode(&self) -> Result<LogRecord, EncodeError> {
        let mut key = Vec::new();
        let value = match self {
            Self::Offset { key: offset_key, value } => {
                put_i16(&mut key, OFFSET_KEY);
                offset_key.encode(&mut key)?;
                value.as_ref().map(OffsetValue::encode).transpose()?
            }
            Self::Group { group_id, value } => {
                put_i16(&mut key, GROUP_KEY);
                put_string(&mut key, group_id)?;
                value.as_ref().map(GroupValue::encode).transpose()?
            }
            Self::Unknown { .. } => return Err(EncodeError),
        };
        Ok(LogRecord { key: Bytes::from(key), value: value.map(Bytes::from) })
    }

    /// Reads a record of the log.
    ///
    /// # Errors
    /// The key or value is cut short, is no valid text, or has an unknown version where the version matters.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(key);
        match reader.i16()? {
            OFFSET_KEY_OLD | OFFSET_KEY => Ok(Self::Offset {
                key: OffsetKey::decode(&mut reader)?,
                value: value.map(OffsetValue::decode).transpose()?,
            }),
            GROUP_KEY => Ok(Self::Group {
                group_id: reader.string()?.into(),
                value: value.map(GroupValue::decode).transpose()?,
            }),
            key_version => Ok(Self::Unknown { key_version }),
        }
    }
}

#[cfg(test)]
mod tests;
