//! Elections that somebody asks for, as the annotation `milena.dev/elect-leaders` of a KafkaTopic says it.
//!
//! Text form `preferred:0@3,unclean:5`: which kind, which partition, and, where it is given, the leader epoch in which
//! it was asked for. In another leader epoch the election is held already, or is no longer what was asked for.

use std::fmt;
use std::str::FromStr;

use crate::topic::MAX_PARTITIONS;

/// Most elections in one annotation.
pub const MAX_WISHES: usize = 10_000;

/// What is wanted of an election: Kafka's election types (KIP-460).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ElectionType {
    /// The first replica is to lead, if it is in sync.
    Preferred,
    /// Somebody is to lead a partition without a leader, even if records are lost.
    Unclean,
}

/// One election that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wish {
    /// What is wanted.
    pub kind: ElectionType,
    /// Number of the partition.
    pub partition: i32,
    /// The leader epoch in which it is wanted; `None` for whichever it is.
    pub leader_epoch: Option<i32>,
}

/// A text that asks for no election.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no election: write preferred:PARTITION or unclean:PARTITION, with commas between them, at most \
     {MAX_WISHES}"
)]
pub struct InvalidWish(String);

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ElectionType::Preferred => "preferred",
            ElectionType::Unclean => "unclean",
        };
        write!(f, "{kind}:{}", self.partition)?;
        self.leader_epoch.map_or(Ok(()), |epoch| write!(f, "@{epoch}"))
    }
}

impl FromStr for Wish {
    type Err = InvalidWish;

    fn from_str(text: &str) -> Result<Self, InvalidWish> {
        let read = || {
            let (kind, rest) = text.trim().split_once(':')?;
            let kind = match kind {
                "preferred" => ElectionType::Preferred,
                "unclean" => ElectionType::Unclean,
                _ => return None,
            };
            let (partition, leader_epoch) = match rest.split_once('@') {
                Some((partition, epoch)) => (partition, Some(epoch.parse().ok()?)),
                None => (rest, None),
            };
            let partition = partition.parse().ok().filter(|number| (0..MAX_PARTITIONS).contains(number))?;
            Some(Self { kind, partition, leader_epoch })
        };
        read().ok_or_else(|| InvalidWish(text.chars().take(64).collect()))
    }
}

/// The elections that an annotation asks for.
///
/// # Errors
/// The first part that asks for none.
pub fn parse(text: &str) -> Result<Vec<Wish>, InvalidWish> {
    let wishes: Result<Vec<Wish>, _> = text.split(',').take(MAX_WISHES + 1).map(str::parse).collect();
    let wishes = wishes?;
    if wishes.len() > MAX_WISHES { Err(InvalidWish(format!("more than {MAX_WISHES}"))) } else { Ok(wishes) }
}

/// The annotation that asks for these elections.
pub fn text<'a>(wishes: impl IntoIterator<Item = &'a Wish>) -> String {
    wishes.into_iter().map(Wish::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let wishes = [
            Wish { kind: ElectionType::Preferred, partition: 0, leader_epoch: Some(3) },
            Wish { kind: ElectionType::Unclean, partition: 9999, leader_epoch: None },
        ];
        assert_eq!(text(&wishes), "preferred:0@3,unclean:9999");
        assert_eq!(parse(&text(&wishes)).unwrap(), wishes);
        assert_eq!(parse(" unclean:1 , preferred:2").unwrap().len(), 2, "as people write it");
    }

    #[test]
    fn what_is_no_election_is_refused() {
        for text in
            ["", "clean:0", "unclean", "unclean:", "unclean:-1", "unclean:10000", "unclean:0@x", "unclean:0,"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&vec!["unclean:0"; MAX_WISHES].join(",")).is_ok());
        assert!(parse(&vec!["unclean:0"; MAX_WISHES + 1].join(",")).is_err());
    }
}
