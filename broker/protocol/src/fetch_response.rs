//! The answer to Fetch, in all versions, with records that may lie in files.
//!
//! The `kafka-protocol` crate holds records in memory, always. Here they are pieces of the frame: memory is referred
//! to, and ranges of files are left to whoever writes the frame. Nothing is reserved for a partition but its bytes.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::codec::EncodeError;
use crate::gather::{FileRange, FrameWriter, ResponseFrame};

/// First version with `throttle_time_ms`.
const THROTTLE: i16 = 1;
/// First version with the last stable offset and aborted transactions (KIP-98).
const TRANSACTIONS: i16 = 4;
/// First version with the log start offset (KIP-107).
const LOG_START: i16 = 5;
/// First version with fetch sessions (KIP-227).
const SESSIONS: i16 = 7;
/// First version with a preferred replica (KIP-392).
const PREFERRED_REPLICA: i16 = 11;
/// First version with compact types and tagged fields (KIP-482).
const FLEXIBLE: i16 = 12;
/// First version with topic ids instead of names (KIP-516).
const TOPIC_IDS: i16 = 13;
/// First version with endpoints of leaders (KIP-951).
const NODE_ENDPOINTS: i16 = 16;

/// Whole record batches, or nothing.
#[derive(Debug, Clone)]
pub enum Records {
    /// In memory.
    Memory(Bytes),
    /// In memory, in pieces one behind the other.
    Pieces {
        /// The pieces.
        pieces: Vec<Bytes>,
        /// Their size in bytes.
        len: usize,
    },
    /// In a file.
    File(FileRange),
}

impl Records {
    /// No records.
    pub const NONE: Records = Records::Memory(Bytes::new());

    /// Their size in bytes.
    pub fn len(&self) -> usize {
        match self {
            Records::Memory(bytes) => bytes.len(),
            Records::Pieces { len, .. } => *len,
            Records::File(range) => range.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct FetchAnswer {
    /// Error of the whole request, or 0.
    pub error_code: i16,
    /// Fetch session, or 0.
    pub session_id: i32,
    /// By topic.
    pub topics: Vec<FetchedTopic>,
    /// Leaders that partitions name.
    pub endpoints: Vec<LeaderEndpoint>,
}

/// A topic in an answer.
#[derive(Debug, Clone)]
pub struct FetchedTopic {
    /// Its name; not sent from version 13 on.
    pub name: std::sync::Arc<str>,
    /// Its id; sent from version 13 on.
    pub id: Uuid,
    /// Its partitions.
    pub partitions: Vec<FetchedPartition>,
}

/// A partition in an answer.
#[derive(Debug, Clone)]
pub struct FetchedPartition {
    /// Its number.
    pub index: i32,
    /// Error, or 0.
    pub error_code: i16,
    /// High watermark, or -1.
    pub high_watermark: i64,
    /// Last stable offset, or -1.
    pub last_stable_offset: i64,
    /// Log start offset, or -1.
    pub log_start_offset: i64,
    /// Where the fetcher's log parts from this one: epoch and its end offset (KIP-595).
    pub diverging: Option<(i32, i64)>,
    /// Leader to go to, and its epoch (KIP-951).
    pub leader: Option<(i32, i32)>,
    /// Replica to read from instead, or -1 (KIP-392).
    pub preferred_read_replica: i32,
    /// Aborted transactions in the records, as (producer id, first offset).
    pub aborted: Vec<(i64, i64)>,
    /// The records.
    pub records: Records,
}

/// Where a leader listens.
#[derive(Debug, Clone)]
pub struct LeaderEndpoint {
    /// Broker id.
    pub node_id: i32,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: i32,
    /// Its rack.
    pub rack: Option<String>,
}

impl FetchAnswer {
    /// The frame of the answer in that version.
    ///
    /// # Errors
    /// [`EncodeError`] where something is longer than its length can say.
    pub fn into_frame(self, version: i16, correlation_id: i32) -> Result<ResponseFrame, EncodeError> {
        let mut out = Encoder { version, frame: FrameWriter::default() };
        out.frame.tail().put_i32(correlation_id);
        out.no_tags();
        if version >= THROTTLE {
            out.frame.tail().put_i32(0);
        }
        if version >= SESSIONS {
            out.frame.tail().put_i16(self.error_code);
            out.frame.tail().put_i32(self.session_id);
        }
        out.array(self.topics.len());
        for topic in self.topics {
            out.topic(topic)?;
        }
        if version >= NODE_ENDPOINTS && !self.endpoints.is_empty() {
            out.endpoints(&self.endpoints)?;
        } else {
            out.no_tags();
        }
        out.frame.into_frame()
    }
}

struct Encoder {
    version: i16,
    frame: FrameWriter,
}

impl Encoder {
    fn is_flexible(&self) -> bool {
        self.version >= FLEXIBLE
    }

    fn topic(&mut self, topic: FetchedTopic) -> Result<(), EncodeError> {
        if self.version >= TOPIC_IDS {
            self.frame.tail().put_slice(topic.id.as_bytes());
        } else {
            self.string(&topic.name)?;
        }
        self.array(topic.partitions.len());
        for partition in topic.partitions {
            self.partition(partition)?;
        }
        self.no_tags();
        Ok(())
    }

    fn partition(&mut self, partition: FetchedPartition) -> Result<(), EncodeError> {
        let tail = self.frame.tail();
        tail.put_i32(partition.index);
        tail.put_i16(partition.error_code);
        tail.put_i64(partition.high_watermark);
        if self.version >= TRANSACTIONS {
            tail.put_i64(partition.last_stable_offset);
        }
        if self.version >= LOG_START {
            tail.put_i64(partition.log_start_offset);
        }
        if self.version >= TRANSACTIONS {
            self.array(partition.aborted.len());
            for (producer_id, first_offset) in &partition.aborted {
                self.frame.tail().put_i64(*producer_id);
                self.frame.tail().put_i64(*first_offset);
                self.no_tags();
            }
        }
        if self.version >= PREFERRED_REPLICA {
            self.frame.tail().put_i32(partition.preferred_read_replica);
        }
        self.records(partition.records)?;
        if self.is_flexible() {
            self.partition_tags(partition.diverging, partition.leader);
        }
        Ok(())
    }

    fn records(&mut self, records: Records) -> Result<(), EncodeError> {
        let length = records.len();
        match i32::try_from(length) {
            Ok(_) if self.is_flexible() => self.varint(length + 1),
            Ok(fits) => self.frame.tail().put_i32(fits),
            Err(_) => return Err(EncodeError::TooLarge { length }),
        }
        match records {
            Records::Memory(bytes) => self.frame.put_memory(bytes),
            Records::Pieces { pieces, .. } => {
                pieces.into_iter().for_each(|piece| self.frame.put_memory(piece))
            }
            Records::File(range) => self.frame.put_file(range),
        }
        Ok(())
    }

    /// Tagged fields: number of fields, then tag, size and content of each by rising tag.
    fn partition_tags(&mut self, diverging: Option<(i32, i64)>, leader: Option<(i32, i32)>) {
        self.varint(usize::from(diverging.is_some()) + usize::from(leader.is_some()));
        let tail = self.frame.tail();
        if let Some((epoch, end_offset)) = diverging {
            tail.put_slice(&[0, 13]);
            tail.put_i32(epoch);
            tail.put_i64(end_offset);
            tail.put_u8(0);
        }
        if let Some((id, epoch)) = leader {
            tail.put_slice(&[1, 9]);
            tail.put_i32(id);
            tail.put_i32(epoch);
            tail.put_u8(0);
        }
    }

    /// The one tagged field of the whole answer, as its last bytes: its size must be known before it is put.
    fn endpoints(&mut self, endpoints: &[LeaderEndpoint]) -> Result<(), EncodeError> {
        let mut inner = Encoder { version: self.version, frame: FrameWriter::default() };
        let start = inner.frame.tail().len();
        inner.array(endpoints.len());
        for endpoint in endpoints {
            inner.frame.tail().put_i32(endpoint.node_id);
            inner.string(&endpoint.host)?;
            inner.frame.tail().put_i32(endpoint.port);
            match &endpoint.rack {
                Some(rack) => inner.string(rack)?,
                None => inner.frame.tail().put_u8(0),
            }
            inner.no_tags();
        }
        let bytes = inner.frame.tail().split_off(start);
        self.frame.tail().put_slice(&[1, 0]);
        self.varint(bytes.len());
        self.frame.tail().put_slice(&bytes);
        Ok(())
    }

    fn array(&mut self, count: usize) {
        if self.is_flexible() {
            self.varint(count + 1);
        } else {
            // A frame holds at most 2 GiB, and an element has several bytes.
            self.frame.tail().put_i32(i32::try_from(count).unwrap_or(i32::MAX));
        }
    }

    fn string(&mut self, text: &str) -> Result<(), EncodeError> {
        let length = text.len();
        match i16::try_from(length) {
            Ok(_) if self.is_flexible() => self.varint(length + 1),
            Ok(fits) => self.frame.tail().put_i16(fits),
            Err(_) => return Err(EncodeError::TooLarge { length }),
        }
        self.frame.tail().put_slice(text.as_bytes());
        Ok(())
    }

    fn no_tags(&mut self) {
        if self.is_flexible() {
            self.frame.tail().put_u8(0);
        }
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, value: usize) {
        let mut left = value;
        loop {
            let low = u8::try_from(left & 0x7f).unwrap_or(0);
            left >>= 7;
            if left == 0 {
                self.frame.tail().put_u8(low);
                return;
            }
            self.frame.tail().put_u8(low | 0x80);
        }
    }
}

#[cfg(test)]
mod tests;
