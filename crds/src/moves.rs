//! Where partitions of a topic are to move: the text of an annotation of its KafkaTopic, by which a broker hands a Kafka
//! client's request to the operator.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::partition::MAX_REPLICAS;
use crate::topic::MAX_PARTITIONS;

/// Longest text that is read, in bytes: as much as Kubernetes lets annotations have.
const MAX_TEXT: usize = 256 * 1024;

/// By partition: the replicas that it is to have, in order of preference as leader.
///
/// Text form `0=1,2,3;7=2,3,4`, by rising partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves(pub BTreeMap<i32, Vec<i32>>);

/// A text that says no moves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not partitions with replicas, such as 0=1,2;1=2,3: {0:?}")]
pub struct NoMoves(String);

impl fmt::Display for Moves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (partition, replicas)) in self.0.iter().enumerate() {
            let replicas: Vec<String> = replicas.iter().map(i32::to_string).collect();
            let between = if at == 0 { "" } else { ";" };
            write!(f, "{between}{partition}={}", replicas.join(","))?;
        }
        Ok(())
    }
}

impl FromStr for Moves {
    type Err = NoMoves;

    fn from_str(text: &str) -> Result<Self, NoMoves> {
        let wrong = || NoMoves(text.chars().take(100).collect());
        if text.len() > MAX_TEXT {
            return Err(wrong());
        }
        let mut moves = BTreeMap::new();
        for one in text.split(';') {
            let (partition, replicas) = read(one).ok_or_else(wrong)?;
            moves.insert(partition, replicas);
        }
        Ok(Self(moves))
    }
}

fn read(text: &str) -> Option<(i32, Vec<i32>)> {
    let (partition, replicas) = text.split_once('=')?;
    let partition = partition.trim().parse().ok().filter(|number| (0..MAX_PARTITIONS).contains(number))?;
    let replicas: Vec<i32> =
        replicas.split(',').take(MAX_REPLICAS + 1).map(|id| id.trim().parse().ok()).collect::<Option<_>>()?;
    let distinct: std::collections::BTreeSet<_> = replicas.iter().collect();
    let fits = replicas.len() <= MAX_REPLICAS && distinct.len() == replicas.len();
    (fits && replicas.iter().all(|id| *id >= 0)).then_some((partition, replicas))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_read_back_as_they_were_written() {
        let moves = Moves([(0, vec![1, 2, 3]), (7, vec![4])].into());
        assert_eq!(moves.to_string(), "0=1,2,3;7=4");
        assert_eq!(moves.to_string().parse(), Ok(moves));
        assert_eq!(" 0 = 1, 2".parse(), Ok(Moves([(0, vec![1, 2])].into())));
    }

    #[test]
    fn what_says_no_moves_is_refused() {
        for text in
            ["", "0", "0=", "0=1,1", "-1=0", "0=-1", "x=1", "0=1;;1=2", "10000=1", "0=1,", "99999999999=1"]
        {
            assert!(text.parse::<Moves>().is_err(), "{text}");
        }
        let long = format!("0={}", "1,".repeat(MAX_TEXT));
        assert!(long.parse::<Moves>().unwrap_err().to_string().len() < 250);
    }
}
