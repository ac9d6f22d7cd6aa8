//! What an operator asks of brokers' logs, and what they answer, on the port of Kafka's clients: for recovery elections
//! (rule 8).
//!
//! A frame is a length of four bytes, then an API key that Kafka does not have and a version, two bytes each, then one
//! JSON object: `{"<topic id>/<partition>": <leader epoch>, …}` is asked, and answered by
//! `{"broker": 1, "reports": {"<topic id>/<partition>": {"generation": "9f2c41d7-1", "lastEpoch": 3,
//! "logStart": 0, "logEnd": 70, "refuses": 5}, …}}`, without the partitions for which there is nothing to say yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::partition::{PartitionKey, Report};

/// API key of a question: far above Kafka's own.
const KEY: i16 = 0x4d4a;
/// Version of all this.
const VERSION: i16 = 1;
/// Most partitions of one question.
pub const MAX_ASKED: usize = 1000;
/// Longest question or answer, in bytes.
pub const MAX_FRAME: usize = 1024 * 1024;
/// Key and version.
const HEAD: usize = 4;

/// How far the logs of some partitions go?
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// By partition the leader epoch up to which everything is to be refused from then on.
    pub partitions: BTreeMap<PartitionKey, i32>,
}

/// What a broker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who answers.
    pub broker: i32,
    /// What is known.
    pub reports: BTreeMap<PartitionKey, Report>,
}

/// A frame that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a question or answer about logs is not understood: {0}")]
pub struct Unreadable(pub(crate) String);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReportJson {
    generation: String,
    last_epoch: i32,
    log_start: i64,
    log_end: i64,
    refuses: i32,
}

#[derive(Serialize, Deserialize)]
struct AnswerJson {
    broker: i32,
    reports: BTreeMap<String, ReportJson>,
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
        let texts: BTreeMap<String, i32> =
            self.partitions.iter().map(|(key, epoch)| (key.to_string(), *epoch)).collect();
        framed(KEY, &texts)
    }

    /// The question in a frame without its length.
    ///
    /// # Errors
    /// It is none, of another version, or about more than [`MAX_ASKED`] partitions.
    pub fn decode(frame: &[u8]) -> Result<Self, Unreadable> {
        let texts: BTreeMap<String, i32> = read(KEY, frame)?;
        if texts.len() > MAX_ASKED {
            return Err(Unreadable(format!("{} partitions; {MAX_ASKED} can be asked for", texts.len())));
        }
        let partitions = texts.into_iter().map(|(key, epoch)| Ok((parse_key(&key)?, epoch)));
        Ok(Self { partitions: partitions.collect::<Result<_, Unreadable>>()? })
    }
}

impl Answer {
    /// The frame, with its length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let json = |report: &Report| ReportJson {
            generation: report.generation.to_string(),
            last_epoch: report.last_epoch,
            log_start: report.log_start,
            log_end: report.log_end,
            refuses: report.refuses,
        };
        let reports = self.reports.iter().map(|(key, report)| (key.to_string(), json(report))).collect();
        framed(KEY, &AnswerJson { broker: self.broker, reports })
    }

    /// The answer in a frame without its length.
    ///
    /// # Errors
    /// It is none, or of another version.
    pub fn decode(frame: &[u8]) -> Result<Self, Unreadable> {
        let answer: AnswerJson = read(KEY, frame)?;
        let report = |(key, json): (String, ReportJson)| {
            let generation = json.generation.parse().map_err(|_| Unreadable(json.generation.clone()))?;
            let ReportJson { last_epoch, log_start, log_end, refuses, .. } = json;
            Ok((parse_key(&key)?, Report { generation, last_epoch, log_start, log_end, refuses }))
        };
        let reports = answer.reports.into_iter().map(report);
        Ok(Self { broker: answer.broker, reports: reports.collect::<Result<_, Unreadable>>()? })
    }
}

pub(crate) fn parse_key(text: &str) -> Result<PartitionKey, Unreadable> {
    text.parse().map_err(|_| Unreadable(text.chars().take(64).collect()))
}

/// A frame of that API key, with its length.
pub(crate) fn framed(key: i16, body: &impl Serialize) -> Vec<u8> {
    // Maps of texts and numbers can always be written.
    let json = serde_json::to_vec(body).unwrap_or_default();
    let length = u32::try_from(json.len().saturating_add(HEAD)).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&key.to_be_bytes());
    frame.extend_from_slice(&VERSION.to_be_bytes());
    frame.extend_from_slice(&json);
    frame
}

/// What is in a frame of that API key, without its length.
pub(crate) fn read<'a, T: Deserialize<'a>>(key: i16, frame: &'a [u8]) -> Result<T, Unreadable> {
    let (head, json) =
        frame.split_at_checked(HEAD).ok_or_else(|| Unreadable("it is cut short".to_owned()))?;
    if head != [key.to_be_bytes(), VERSION.to_be_bytes()].concat() {
        return Err(Unreadable(format!("it begins with {head:?}; is the other side of another version?")));
    }
    serde_json::from_slice(json).map_err(|error| Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::partition::Generation;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: Uuid::from_u128(7), partition }
    }

    #[test]
    fn what_is_written_is_read() {
        let question = Question { partitions: [(key(0), 3), (key(1), 9)].into() };
        let frame = question.encode();
        assert!(is_question(&frame[4..]));
        let length = u32::from_be_bytes(frame[..4].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap(), frame.len() - 4);
        assert_eq!(Question::decode(&frame[4..]).unwrap(), question);
        let generation = Generation { disk: 0xa, unclean_starts: 2 };
        let report =
            Report { generation, last_epoch: -1, log_start: i64::MAX, log_end: i64::MAX, refuses: 4 };
        let answer = Answer { broker: 2, reports: [(key(5), report)].into() };
        assert_eq!(Answer::decode(&answer.encode()[4..]).unwrap(), answer);
        assert!(answer.encode().len() < MAX_FRAME / MAX_ASKED, "the longest answer fits");
    }

    #[test]
    fn anything_else_is_refused() {
        let frame = Question { partitions: [(key(0), 3)].into() }.encode();
        for cut in 0..frame.len() - 4 {
            assert!(Question::decode(&frame[4..4 + cut]).is_err());
            assert!(Answer::decode(&frame[4..4 + cut]).is_err());
        }
        let many = Question { partitions: (0..1001).map(|index| (key(index), 0)).collect() };
        assert!(Question::decode(&many.encode()[4..]).is_err());
        let mut other = frame;
        other[7] = 2;
        assert!(Question::decode(&other[4..]).is_err());
    }
}
