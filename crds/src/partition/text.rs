//! Text forms. One text for each state: who swaps a partition's text compares bytes.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::{Generation, MAX_REPLICAS, MAX_TEXT, Member, PartitionKey, PartitionState};

/// A text that is no partition state, member, generation or partition key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {text:?}")]
pub struct ParseError {
    what: &'static str,
    text: String,
}

/// Longest piece of a wrong text that an error repeats, in characters.
const SHOWN: usize = 200;

pub(super) fn wrong(what: &'static str, text: &str) -> ParseError {
    ParseError { what, text: text.chars().take(SHOWN).collect() }
}

/// Decimal digits without sign or leading zeros, so that every number has one text.
pub(super) fn number<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.disk, self.unclean_starts)
    }
}

impl FromStr for Generation {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let read = || {
            let (disk, starts) = text.split_once('-')?;
            let hex =
                disk.len() == 8 && disk.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            let disk = if hex { u32::from_str_radix(disk, 16).ok()? } else { return None };
            Some(Self { disk, unclean_starts: number(starts)? })
        };
        read().ok_or_else(|| wrong("not a log generation", text))
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.broker, self.generation)
    }
}

impl FromStr for Member {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let member = || wrong("not a broker and its log generation", text);
        let (broker, generation) = text.split_once('.').ok_or_else(member)?;
        Ok(Self { broker: number(broker).ok_or_else(member)?, generation: generation.parse()? })
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic_id.as_hyphenated(), self.partition)
    }
}

impl FromStr for PartitionKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let read = || {
            let (id, partition) = text.split_once('/')?;
            let topic_id = Uuid::try_parse(id).ok()?;
            let key = Self { topic_id, partition: number(partition)? };
            (key.to_string() == text).then_some(key)
        };
        read().ok_or_else(|| wrong("not a topic id and partition", text))
    }
}

/// Items with commas between them.
struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{item}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PartitionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replicas={} leader=", List(&self.replicas))?;
        match self.leader {
            Some(leader) => write!(f, "{leader}")?,
            None => f.write_str("none")?,
        }
        write!(f, " leaderEpoch={} partitionEpoch={}", self.leader_epoch, self.partition_epoch)?;
        write!(f, " isr={} elr={}", List(&self.isr), List(&self.elr))?;
        if !self.is_reassigning() {
            return Ok(());
        }
        write!(f, " adding={} removing={}", List(&self.adding), List(&self.removing))
    }
}

/// The values of the fields, in their order. The last two are there while the partition moves, and only then.
fn fields(text: &str) -> Option<[&str; 8]> {
    const NAMES: [&str; 8] =
        ["replicas=", "leader=", "leaderEpoch=", "partitionEpoch=", "isr=", "elr=", "adding=", "removing="];
    /// So many are always there.
    const ALWAYS: usize = 6;
    let mut values = [""; 8];
    let mut parts = text.split(' ').peekable();
    for (index, (name, value)) in NAMES.iter().zip(&mut values).enumerate() {
        if index == ALWAYS && parts.peek().is_none() {
            return Some(values);
        }
        *value = parts.next()?.strip_prefix(name)?;
    }
    let moves = values.iter().skip(ALWAYS).any(|value| !value.is_empty());
    (moves && parts.next().is_none()).then_some(values)
}

/// At most [`MAX_REPLICAS`] items; no text is no item.
fn items<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    if text.bytes().filter(|byte| *byte == b',').count() >= MAX_REPLICAS {
        return None;
    }
    text.split(',').map(read).collect()
}

impl FromStr for PartitionState {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_TEXT {
            return Err(wrong("a partition state that is too long", text));
        }
        let read = || {
            let [replicas, leader, leader_epoch, partition_epoch, isr, elr, adding, removing] = fields(text)?;
            Some(Self {
                replicas: items(replicas, number)?,
                leader: if leader == "none" { None } else { Some(number(leader)?) },
                leader_epoch: number(leader_epoch)?,
                partition_epoch: number(partition_epoch)?,
                isr: items(isr, |member| member.parse().ok())?,
                elr: items(elr, |member| member.parse().ok())?,
                adding: items(adding, number)?,
                removing: items(removing, number)?,
            })
        };
        let state: Self = read().ok_or_else(|| wrong("not a partition state", text))?;
        state.validate().map_err(|what| wrong(what, text))?;
        Ok(state)
    }
}
