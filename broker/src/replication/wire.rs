//! What two brokers say to each other, byte by byte. All numbers are big-endian, frames begin with their length as
//! Kafka's do. A connection begins as any other, with a request of an API key that Kafka does not have.
//!
//! ```text
//! hello       key i16, version i16, follower i32, its generation u32 u32, leader i32 that it means to reach
//! welcome     version i16, leader i32
//! asks        count u32 (0 is a sign of life), of: slot u32, kind u8 (1 fetch, 2 leave, 3 cannot append what was fetched)
//!             fetch: topic id 16 bytes, partition i32, leader epoch i32, offset i64, last epoch i32
//! answers     count u32, of: slot u32, leader epoch i32, offset i64 (those that were asked with), kind u8
//!             0 refused; 1 diverging: epoch i32, end offset i64; 2 starts later: log start i64
//!             3 records: high watermark i64, log start i64, length u32, batches
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};
use milena_crds::partition::{Generation, Member};
use milena_protocol::{EncodeError, FrameWriter, Records, ResponseFrame};
use milena_replication::{Answer, FollowerFetch, Refusal};
use uuid::Uuid;

/// API key of the first request: far above Kafka's own.
const KEY: i16 = 0x4d49;
/// Version of all this.
const VERSION: i16 = 1;
/// Most partitions of one exchange.
pub const MAX_SLOTS: usize = 1_000_000;

const FETCH: u8 = 1;
const LEAVE: u8 = 2;
const CANNOT: u8 = 3;

const REFUSED: u8 = 0;
const DIVERGING: u8 = 1;
const STARTS_LATER: u8 = 2;
const RECORDS: u8 = 3;
/// Bytes of an answer without its records, at most.
const ANSWER: usize = 37;

/// Why a frame is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It ends too early.
    #[error("a replication frame is cut short")]
    Short,
    /// A number that has no meaning there.
    #[error("a replication frame has {0} where that cannot be")]
    Strange(i64),
}

impl From<TryGetError> for WireError {
    fn from(_: TryGetError) -> WireError {
        WireError::Short
    }
}

/// Whether a frame begins an exchange between brokers.
pub fn is_exchange(frame: &[u8]) -> bool {
    frame.starts_with(&KEY.to_be_bytes())
}

/// The first frame of a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who follows, with the generation of its logs.
    pub follower: Member,
    /// Whom it means to reach.
    pub leader: i32,
}

impl Hello {
    pub fn encode(&self) -> BytesMut {
        let mut frame = BytesMut::new();
        frame.put_i16(KEY);
        frame.put_i16(VERSION);
        frame.put_i32(self.follower.broker);
        frame.put_u32(self.follower.generation.disk);
        frame.put_u32(self.follower.generation.unclean_starts);
        frame.put_i32(self.leader);
        frame
    }

    pub fn decode(mut frame: Bytes) -> Result<Hello, WireError> {
        for expected in [KEY, VERSION] {
            let got = frame.try_get_i16()?;
            if got != expected {
                return Err(WireError::Strange(got.into()));
            }
        }
        let broker = frame.try_get_i32()?;
        let generation = Generation { disk: frame.try_get_u32()?, unclean_starts: frame.try_get_u32()? };
        Ok(Hello { follower: Member { broker, generation }, leader: frame.try_get_i32()? })
    }
}

/// The answer to a hello: who answers.
pub fn encode_welcome(leader: i32) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_i16(VERSION);
    frame.put_i32(leader);
    frame
}

/// Who has answered a hello.
pub fn decode_welcome(mut frame: Bytes) -> Result<i32, WireError> {
    match frame.try_get_i16()? {
        VERSION => Ok(frame.try_get_i32()?),
        other => Err(WireError::Strange(other.into())),
    }
}

/// What a follower wants of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Records.
    Fetch { topic: Uuid, partition: i32, fetch: FollowerFetch },
    /// Nothing any more.
    Leave,
    /// Nothing for now: it cannot append what it was sent for its last fetch.
    Cannot,
}

/// Writes what a follower asks for.
#[derive(Debug, Default)]
pub struct Asks {
    bytes: BytesMut,
    count: u32,
}

impl Asks {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Partitions so far.
    pub fn len(&self) -> u32 {
        self.count
    }

    pub fn push(&mut self, slot: u32, ask: &Ask) {
        if self.count == 0 {
            self.bytes.put_u32(0);
        }
        self.count += 1;
        self.bytes.put_u32(slot);
        match ask {
            Ask::Leave => self.bytes.put_u8(LEAVE),
            Ask::Cannot => self.bytes.put_u8(CANNOT),
            Ask::Fetch { topic, partition, fetch } => {
                self.bytes.put_u8(FETCH);
                self.bytes.put_slice(topic.as_bytes());
                self.bytes.put_i32(*partition);
                self.bytes.put_i32(fetch.leader_epoch);
                self.bytes.put_i64(fetch.offset);
                self.bytes.put_i32(fetch.last_epoch);
            }
        }
    }

    /// The frame; what comes next begins another one.
    pub fn take(&mut self) -> BytesMut {
        let mut frame = std::mem::take(&mut self.bytes);
        if let Some(count) = frame.first_chunk_mut::<4>() {
            *count = self.count.to_be_bytes();
        }
        self.count = 0;
        frame
    }
}

/// A follower's frame that asks for nothing: it is there.
pub fn encode_sign_of_life() -> BytesMut {
    BytesMut::from(&0u32.to_be_bytes()[..])
}

/// Reads what the follower `replica` asks for.
pub fn decode_asks(mut frame: Bytes, replica: Member) -> Result<Vec<(u32, Ask)>, WireError> {
    let count = frame.try_get_u32()?;
    let mut asks = Vec::new();
    for _ in 0..count {
        let slot = frame.try_get_u32()?;
        let ask = match frame.try_get_u8()? {
            LEAVE => Ask::Leave,
            CANNOT => Ask::Cannot,
            FETCH => {
                let topic = Uuid::from_u128(frame.try_get_u128()?);
                let partition = frame.try_get_i32()?;
                let leader_epoch = frame.try_get_i32()?;
                let offset = frame.try_get_i64()?;
                let last_epoch = frame.try_get_i32()?;
                if offset < 0 {
                    return Err(WireError::Strange(offset));
                }
                let fetch = FollowerFetch { replica, leader_epoch, offset, last_epoch };
                Ask::Fetch { topic, partition, fetch }
            }
            other => return Err(WireError::Strange(other.into())),
        };
        asks.push((slot, ask));
    }
    Ok(asks)
}

/// What a leader says of one partition; `R` is where the records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<R> {
    pub slot: u32,
    /// Leader epoch and offset of the fetch that is answered.
    pub leader_epoch: i32,
    pub offset: i64,
    pub answer: Answer,
    pub records: R,
}

impl Told<Records> {
    /// About how many bytes it takes in a frame.
    pub fn len(&self) -> usize {
        ANSWER + self.records.len()
    }
}

/// The frame of what a leader says, with its length. Records stay where they are, unless they are few.
///
/// # Errors
/// It is too long for a frame.
pub fn encode_answers(all: Vec<Told<Records>>) -> Result<ResponseFrame, EncodeError> {
    let mut frame = FrameWriter::default();
    frame.tail().put_u32(u32::try_from(all.len()).unwrap_or(u32::MAX));
    for told in all {
        let head = frame.tail();
        head.put_u32(told.slot);
        head.put_i32(told.leader_epoch);
        head.put_i64(told.offset);
        match told.answer {
            Answer::Refused(_) => head.put_u8(REFUSED),
            Answer::Diverging { epoch, end_offset } => {
                head.put_u8(DIVERGING);
                head.put_i32(epoch);
                head.put_i64(end_offset);
            }
            Answer::StartsLater { log_start } => {
                head.put_u8(STARTS_LATER);
                head.put_i64(log_start);
            }
            Answer::Records { high_watermark, log_start } => {
                head.put_u8(RECORDS);
                head.put_i64(high_watermark);
                head.put_i64(log_start);
                head.put_u32(u32::try_from(told.records.len()).unwrap_or(u32::MAX));
                match told.records {
                    Records::Memory(bytes) => frame.put_memory(bytes),
                    Records::Pieces { pieces, .. } => {
                        pieces.into_iter().for_each(|piece| frame.put_memory(piece));
                    }
                    Records::File(range) => frame.put_file(range),
                }
            }
        }
    }
    frame.into_frame()
}

/// Reads what a leader says.
pub fn decode_answers(mut frame: Bytes) -> Result<Vec<Told<Bytes>>, WireError> {
    let count = frame.try_get_u32()?;
    let mut all = Vec::new();
    for _ in 0..count {
        let slot = frame.try_get_u32()?;
        let leader_epoch = frame.try_get_i32()?;
        let offset = frame.try_get_i64()?;
        let mut records = Bytes::new();
        let answer = match frame.try_get_u8()? {
            // Why does not matter to a follower: it learns of states elsewhere.
            REFUSED => Answer::Refused(Refusal::NotLeader),
            DIVERGING => Answer::Diverging { epoch: frame.try_get_i32()?, end_offset: frame.try_get_i64()? },
            STARTS_LATER => Answer::StartsLater { log_start: frame.try_get_i64()? },
            RECORDS => {
                let high_watermark = frame.try_get_i64()?;
                let log_start = frame.try_get_i64()?;
                let len = usize::try_from(frame.try_get_u32()?).map_err(|_| WireError::Short)?;
                if len > frame.len() {
                    return Err(WireError::Short);
                }
                records = frame.split_to(len);
                Answer::Records { high_watermark, log_start }
            }
            other => return Err(WireError::Strange(other.into())),
        };
        all.push(Told { slot, leader_epoch, offset, answer, records });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use milena_protocol::FramePiece;

    use super::*;

    /// The frame as a follower gets it, without its length.
    fn encoded(all: &[Told<Bytes>]) -> Bytes {
        let placed = all.iter().cloned().map(|Told { slot, leader_epoch, offset, answer, records }| {
            let records = Records::Memory(records);
            Told { slot, leader_epoch, offset, answer, records }
        });
        let mut frame = encode_answers(placed.collect()).unwrap();
        let mut bytes = BytesMut::new();
        while let Some(piece) = frame.pop_piece() {
            let FramePiece::Memory(piece) = piece else { panic!("all is in memory") };
            bytes.extend_from_slice(&piece);
        }
        let length = bytes.split_to(4).get_u32();
        assert_eq!(usize::try_from(length).unwrap(), bytes.len());
        bytes.freeze()
    }

    fn member() -> Member {
        "3.0000000b-2".parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let hello = Hello { follower: member(), leader: 7 };
        assert!(is_exchange(&hello.encode()));
        assert_eq!(Hello::decode(hello.encode().freeze()), Ok(hello));
        assert_eq!(decode_welcome(encode_welcome(7).freeze()), Ok(7));

        let fetch = FollowerFetch { replica: member(), leader_epoch: 4, offset: 9, last_epoch: -1 };
        let asked = [
            (1, Ask::Fetch { topic: Uuid::from_u128(5), partition: 6, fetch }),
            (2, Ask::Leave),
            (3, Ask::Cannot),
        ];
        let mut asks = Asks::default();
        asked.iter().for_each(|(slot, ask)| asks.push(*slot, ask));
        assert_eq!(decode_asks(asks.take().freeze(), member()).unwrap(), asked);
        assert!(asks.is_empty());
        assert_eq!(decode_asks(encode_sign_of_life().freeze(), member()).unwrap(), []);

        let answers = [
            (Answer::Refused(Refusal::NotLeader), ""),
            (Answer::Diverging { epoch: -1, end_offset: 3 }, ""),
            (Answer::Records { high_watermark: 8, log_start: 1 }, "batches"),
            (Answer::StartsLater { log_start: 2 }, ""),
            (Answer::Records { high_watermark: 9, log_start: 1 }, ""),
        ];
        let told = answers.map(|(answer, records)| Told {
            slot: 1,
            leader_epoch: 4,
            offset: 9,
            answer,
            records: Bytes::from_static(records.as_bytes()),
        });
        assert_eq!(decode_answers(encoded(&told)).unwrap(), told);
        assert_eq!(decode_answers(encoded(&[])).unwrap(), []);
        let large = Told { records: Bytes::from(vec![7; 100_000]), ..told[2].clone() };
        let all = [told[2].clone(), large, told[0].clone()];
        assert_eq!(decode_answers(encoded(&all)).unwrap(), all);
    }

    #[test]
    fn every_cut_is_noticed_and_a_count_reserves_nothing() {
        let answer = Answer::Records { high_watermark: 8, log_start: 1 };
        let whole = encoded(&[Told { slot: 1, leader_epoch: 4, offset: 9, answer, records: "abc".into() }]);
        for end in 0..whole.len() {
            assert_eq!(decode_answers(whole.slice(..end)), Err(WireError::Short), "{end}");
        }
        let huge = Bytes::from_static(&[0xff; 4]);
        assert_eq!(decode_answers(huge.clone()), Err(WireError::Short));
        assert_eq!(decode_asks(huge, member()), Err(WireError::Short));
    }
}
