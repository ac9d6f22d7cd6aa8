use std::sync::Arc;

use uuid::Uuid;

use super::codec::{
    DecodeError, EncodeError, Reader, put_compact_string, put_i16, put_i32, put_i64, put_string, put_varint,
};

/// Whose offset a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OffsetKey {
    /// The group.
    pub group_id: Arc<str>,
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

impl OffsetKey {
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_string(out, &self.group_id)?;
        put_string(out, &self.topic)?;
        put_i32(out, self.partition);
        Ok(())
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            group_id: reader.string()?.into(),
            topic: reader.string()?.into(),
            partition: reader.i32()?,
        })
    }
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetValue {
    /// The next offset that the group will consume.
    pub offset: i64,
    /// The leader epoch of the last consumed record (KIP-320), -1 if the client did not say.
    pub leader_epoch: i32,
    /// What the client wrote beside the offset.
    pub metadata: String,
    /// When it was committed, in milliseconds since the epoch.
    pub commit_timestamp_ms: i64,
    /// When it expires, if the client chose a retention of its own (OffsetCommit 2 to 4).
    pub expire_timestamp_ms: Option<i64>,
    /// The topic's id, if it was known (KIP-848, OffsetCommit 10).
    pub topic_id: Option<Uuid>,
}

/// The only version with an expiry of its own; it has neither leader epoch nor topic id.
const WITH_EXPIRY: i16 = 1;
const LATEST: i16 = 4;
const TOPIC_ID_TAG: u32 = 0;
const TOPIC_ID_BYTES: u32 = 16;

impl OffsetValue {
    /// Version 4, or version 1 for an offset with an expiry of its own, as Kafka 4.3 chooses.
    pub(super) fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(48);
        if let Some(expire_timestamp_ms) = self.expire_timestamp_ms {
            put_i16(&mut out, WITH_EXPIRY);
            put_i64(&mut out, self.offset);
            put_string(&mut out, &self.metadata)?;
            put_i64(&mut out, self.commit_timestamp_ms);
            put_i64(&mut out, expire_timestamp_ms);
            return Ok(out);
        }
        put_i16(&mut out, LATEST);
        put_i64(&mut out, self.offset);
        put_i32(&mut out, self.leader_epoch);
        put_compact_string(&mut out, &self.metadata)?;
        put_i64(&mut out, self.commit_timestamp_ms);
        match self.topic_id {
            Some(topic_id) if !topic_id.is_nil() => {
                put_varint(&mut out, 1);
                put_varint(&mut out, TOPIC_ID_TAG);
                put_varint(&mut out, TOPIC_ID_BYTES);
                out.extend_from_slice(topic_id.as_bytes());
            }
            _ => put_varint(&mut out, 0),
        }
        Ok(out)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16()?;
        if !(0..=LATEST).contains(&version) {
            return Err(DecodeError::Version(version));
        }
        let offset = reader.i64()?;
        let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
        let metadata = if version >= 4 {
            reader.compact_nullable_string()?.ok_or(DecodeError::NegativeLength)?
        } else {
            reader.string()?
        };
        let commit_timestamp_ms = reader.i64()?;
        let expire_timestamp_ms =
            if version == WITH_EXPIRY { Some(reader.i64()?).filter(|at| *at != -1) } else { None };
        let mut topic_id = None;
        if version >= 4 {
            reader.tagged_fields(|tag, field| {
                if tag == TOPIC_ID_TAG {
                    topic_id = Some(field.uuid()?).filter(|id| !id.is_nil());
                }
                Ok(())
            })?;
        }
        Ok(Self {
            offset,
            leader_epoch,
            metadata: metadata.to_owned(),
            commit_timestamp_ms,
            expire_timestamp_ms,
            topic_id,
        })
    }
}
