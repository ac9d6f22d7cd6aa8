//! What an operator asks brokers that may remember a newer state of partitions than is stored, and what they answer, on
//! the port of Kafka's clients (rule 13).
//!
//! The frames are those of [`crate::inquiry`], with another API key. Asked is
//! `{"<topic id>/<partition>": {"leaderEpoch": 3, "refuse": true}, …}` with the leader epoch that is stored; the answer is
//! `{"broker": 1, "generation": "9f2c41d7-1", "partitions": {"<topic id>/<partition>": {"state": "replicas=…",
//! "refuses": 5}, …}}`, without the partitions for which there is nothing to say yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::inquiry::{MAX_FRAME, Unreadable, framed, parse_key, read};
use crate::partition::{Generation, PartitionKey, Recollection};

/// API key of a question: far above Kafka's own.
const KEY: i16 = 0x4d4b;
/// Most partitions of one question.
pub const MAX_ASKED: usize = 250;
/// Bytes of an answer that are not its partitions' texts, for each of them, at most.
const AROUND: usize = 128;

/// What is asked of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The leader epoch that is stored.
    pub leader_epoch: i32,
    /// Whether everything up to that epoch, and up to all that is remembered, is to be refused from then on. If not, it
    /// is only looked whether something newer is remembered.
    pub refuse: bool,
}

/// What do you remember of some partitions?
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// By partition.
    pub partitions: BTreeMap<PartitionKey, Asked>,
}

/// What a broker remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who answers.
    pub broker: i32,
    /// Generation of its logs.
    pub generation: Generation,
    /// What it remembers.
    pub partitions: BTreeMap<PartitionKey, Recollection>,
}

#[derive(Serialize, Deserialize)]
struct RecollectionJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    refuses: i32,
}

#[derive(Serialize, Deserialize)]
struct AnswerJson {
    broker: i32,
    generation: String,
    partitions: BTreeMap<String, RecollectionJson>,
}

/// Whether a frame, without its length, is such a question.
#[must_use]
pub fn is_question(frame: &[u8]) -> bool {
    frame.starts_with(&KEY.to_be_bytes())
}

impl Question {
    /// The frame, with its length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let texts: BTreeMap<String, Asked> =
            self.partitions.iter().map(|(key, asked)| (key.to_string(), *asked)).collect();
        framed(KEY, &texts)
    }

    /// The question in a frame without its length.
    ///
    /// # Errors
    /// It is none, of another version, or about more than [`MAX_ASKED`] partitions.
    pub fn decode(frame: &[u8]) -> Result<Self, Unreadable> {
        let texts: BTreeMap<String, Asked> = read(KEY, frame)?;
        if texts.len() > MAX_ASKED {
            return Err(Unreadable(format!("{} partitions; {MAX_ASKED} can be asked for", texts.len())));
        }
        let partitions = texts.into_iter().map(|(key, asked)| Ok((parse_key(&key)?, asked)));
        Ok(Self { partitions: partitions.collect::<Result<_, Unreadable>>()? })
    }
}

impl Answer {
    /// The frame, with its length. Partitions that do not fit are left out: they are asked for again.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut room = MAX_FRAME.saturating_sub(AROUND);
        let mut partitions = BTreeMap::new();
        for (key, Recollection { state, refuses }) in &self.partitions {
            let state = state.as_ref().map(ToString::to_string);
            let size = state.as_ref().map_or(0, String::len).saturating_add(AROUND);
            if size > room {
                break;
            }
            room = room.saturating_sub(size);
            partitions.insert(key.to_string(), RecollectionJson { state, refuses: *refuses });
        }
        let generation = self.generation.to_string();
        framed(KEY, &AnswerJson { broker: self.broker, generation, partitions })
    }

    /// The answer in a frame without its length.
    ///
    /// # Errors
    /// It is none, or of another version.
    pub fn decode(frame: &[u8]) -> Result<Self, Unreadable> {
        let answer: AnswerJson = read(KEY, frame)?;
        let unreadable = |text: &str| Unreadable(text.chars().take(64).collect());
        let recollection = |(key, json): (String, RecollectionJson)| {
            let state = json.state.map(|text| text.parse().map_err(|_| unreadable(&text))).transpose()?;
            Ok((parse_key(&key)?, Recollection { state, refuses: json.refuses }))
        };
        Ok(Self {
            broker: answer.broker,
            generation: answer.generation.parse().map_err(|_| unreadable(&answer.generation))?,
            partitions: answer.partitions.into_iter().map(recollection).collect::<Result<_, Unreadable>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: Uuid::from_u128(7), partition }
    }

    fn answer(partitions: impl IntoIterator<Item = (PartitionKey, Recollection)>) -> Answer {
        let generation = Generation { disk: 0xa, unclean_starts: 2 };
        Answer { broker: 2, generation, partitions: partitions.into_iter().collect() }
    }

    #[test]
    fn what_is_written_is_read() {
        let asked = Asked { leader_epoch: 3, refuse: true };
        let question = Question { partitions: [(key(0), asked), (key(1), asked)].into() };
        let frame = question.encode();
        assert!(is_question(&frame[4..]) && !crate::inquiry::is_question(&frame[4..]));
        assert_eq!(Question::decode(&frame[4..]).unwrap(), question);
        let text = "replicas=0,1 leader=0 leaderEpoch=3 partitionEpoch=5 isr=0.0000000a-1 elr=";
        let answer = answer([
            (key(5), Recollection { state: Some(text.parse().unwrap()), refuses: 4 }),
            (key(6), Recollection { state: None, refuses: -1 }),
        ]);
        assert_eq!(Answer::decode(&answer.encode()[4..]).unwrap(), answer);
    }

    #[test]
    fn anything_else_is_refused() {
        let asked = Asked { leader_epoch: 3, refuse: false };
        let frame = Question { partitions: [(key(0), asked)].into() }.encode();
        for cut in 0..frame.len() - 4 {
            assert!(Question::decode(&frame[4..4 + cut]).is_err());
            assert!(Answer::decode(&frame[4..4 + cut]).is_err());
        }
        let many = Question { partitions: (0..251).map(|index| (key(index), asked)).collect() };
        assert!(Question::decode(&many.encode()[4..]).is_err());
    }

    #[test]
    fn an_answer_that_is_too_long_says_what_fits() {
        let isr: Vec<String> = (0..64).map(|id| format!("{id}.0000000a-4000000000")).collect();
        let ids: Vec<String> = (0..64).map(|id| id.to_string()).collect();
        let text = format!(
            "replicas={} leader=0 leaderEpoch=3 partitionEpoch=5 isr={} elr=",
            ids.join(","),
            isr.join(",")
        );
        let state: crate::partition::PartitionState = text.parse().unwrap();
        let long = |index| (key(index), Recollection { state: Some(state.clone()), refuses: 4 });
        let frame = answer((0..2000).map(long)).encode();
        assert!(frame.len() <= MAX_FRAME);
        let read = Answer::decode(&frame[4..]).unwrap();
        assert!(read.partitions.len() > MAX_ASKED && read.partitions.len() < 2000);
    }
}
