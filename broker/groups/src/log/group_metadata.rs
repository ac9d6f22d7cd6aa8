use bytes::Bytes;

use super::codec::{
    DecodeError, EncodeError, Reader, put_bytes, put_i16, put_i32, put_i64, put_nullable_string, put_string,
};

/// A generation of a classic group. Without members, the group is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupValue {
    /// `consumer`, `connect` or another; empty for a group that nobody has joined.
    pub protocol_type: String,
    /// The generation.
    pub generation: i32,
    /// The protocol that the members share.
    pub protocol: Option<String>,
    /// The leader's member id.
    pub leader: Option<String>,
    /// When the group came into this state, in milliseconds since the epoch, or -1.
    pub current_state_timestamp_ms: i64,
    /// The members.
    pub members: Vec<MemberValue>,
}

/// A member of a classic group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberValue {
    /// The member's id.
    pub member_id: String,
    /// The instance id of a static member (KIP-345).
    pub group_instance_id: Option<String>,
    /// The client's id.
    pub client_id: String,
    /// The client's address, as Kafka prints it.
    pub client_host: String,
    /// In milliseconds; -1 where an old format does not have it.
    pub rebalance_timeout_ms: i32,
    /// In milliseconds.
    pub session_timeout_ms: i32,
    /// What the member told about itself under the chosen protocol.
    pub subscription: Bytes,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

/// What Kafka 4.3 writes.
const WRITTEN: i16 = 3;
const LATEST: i16 = 4;

/// The least that a member takes in any version: in version 4, seven empty fields and two timeouts.
const MIN_MEMBER_BYTES: usize = 15;

impl GroupValue {
    pub(super) fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(64);
        put_i16(&mut out, WRITTEN);
        put_string(&mut out, &self.protocol_type)?;
        put_i32(&mut out, self.generation);
        put_nullable_string(&mut out, self.protocol.as_deref())?;
        put_nullable_string(&mut out, self.leader.as_deref())?;
        put_i64(&mut out, self.current_state_timestamp_ms);
        put_i32(&mut out, i32::try_from(self.members.len()).map_err(|_| EncodeError)?);
        for member in &self.members {
            put_string(&mut out, &member.member_id)?;
            put_nullable_string(&mut out, member.group_instance_id.as_deref())?;
            put_string(&mut out, &member.client_id)?;
            put_string(&mut out, &member.client_host)?;
            put_i32(&mut out, member.rebalance_timeout_ms);
            put_i32(&mut out, member.session_timeout_ms);
            put_bytes(&mut out, &member.subscription)?;
            put_bytes(&mut out, &member.assignment)?;
        }
        Ok(out)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields { reader: Reader::new(bytes), version: 0 };
        fields.version = fields.reader.i16()?;
        if !(0..=LATEST).contains(&fields.version) {
            return Err(DecodeError::Version(fields.version));
        }
        let protocol_type = fields.string()?;
        let generation = fields.reader.i32()?;
        let protocol = fields.nullable_string()?;
        let leader = fields.nullable_string()?;
        let current_state_timestamp_ms = if fields.version >= 2 { fields.reader.i64()? } else { -1 };
        let count = fields.array_length()?;
        // The count is a claim: memory follows what is really there.
        let mut members = Vec::with_capacity(count.min(bytes.len() / MIN_MEMBER_BYTES));
        for _ in 0..count {
            members.push(MemberValue::decode(&mut fields)?);
        }
        fields.end_of_struct()?;
        Ok(Self { protocol_type, generation, protocol, leader, current_state_timestamp_ms, members })
    }
}

impl MemberValue {
    fn decode(fields: &mut Fields<'_>) -> Result<Self, DecodeError> {
        let member = Self {
            member_id: fields.string()?,
            group_instance_id: if fields.version >= 3 { fields.nullable_string()? } else { None },
            client_id: fields.string()?,
            client_host: fields.string()?,
            rebalance_timeout_ms: if fields.version >= 1 { fields.reader.i32()? } else { -1 },
            session_timeout_ms: fields.reader.i32()?,
            subscription: fields.bytes()?,
            assignment: fields.bytes()?,
        };
        fields.end_of_struct()?;
        Ok(member)
    }
}

/// Reads fields whose encoding depends on the version: compact from version 4 on.
struct Fields<'a> {
    reader: Reader<'a>,
    version: i16,
}

impl Fields<'_> {
    fn flexible(&self) -> bool {
        self.version >= 4
    }

    fn nullable_string(&mut self) -> Result<Option<String>, DecodeError> {
        let text = if self.flexible() {
            self.reader.compact_nullable_string()?
        } else {
            self.reader.nullable_string()?
        };
        Ok(text.map(str::to_owned))
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        self.nullable_string()?.ok_or(DecodeError::NegativeLength)
    }

    fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let bytes = if self.flexible() { self.reader.compact_bytes()? } else { self.reader.bytes()? };
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn array_length(&mut self) -> Result<usize, DecodeError> {
        if self.flexible() {
            return self.reader.compact_length()?.ok_or(DecodeError::NegativeLength);
        }
        usize::try_from(self.reader.i32()?).map_err(|_| DecodeError::NegativeLength)
    }

    fn end_of_struct(&mut self) -> Result<(), DecodeError> {
        if self.flexible() { self.reader.tagged_fields(|_, _| Ok(())) } else { Ok(()) }
    }
}
