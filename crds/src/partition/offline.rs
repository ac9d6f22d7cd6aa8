//! The partitions that a broker cannot serve, as its Lease names them.

use std::{collections::BTreeSet, fmt, str::FromStr};

use uuid::Uuid;

use super::{
    ParseError, PartitionKey,
    text::{self, wrong},
};

/// Longest text, in bytes: it is written with each renewal of the Lease.
const MAX_TEXT: usize = 32 * 1024;

/// Partitions whose log a broker cannot use: their log directory is out of service, or they cannot be opened. Others may
/// lead them.
///
/// Text form: topic ids with the numbers of partitions, `<topic id>/0,3;<topic id>/1`, in their order; nothing where all
/// is well; `*` for more than fits into 32 KiB: then nothing at all is led by that broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offline {
    /// These.
    These(BTreeSet<PartitionKey>),
    /// Too many to name.
    All,
}

impl Default for Offline {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Offline {
    /// These partitions, as far as they can be named.
    #[must_use]
    pub fn named(partitions: BTreeSet<PartitionKey>) -> Self {
        let these = Self::These(partitions);
        if these.to_string().len() > MAX_TEXT { Self::All } else { these }
    }

    /// Whether the partition is one of them.
    #[must_use]
    pub fn contains(&self, key: &PartitionKey) -> bool {
        match self {
            Self::These(partitions) => partitions.contains(key),
            Self::All => true,
        }
    }

    /// Whether all is well.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::These(partitions) if partitions.is_empty())
    }

    /// How many there are; `None` for too many to name.
    #[must_use]
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::These(partitions) => Some(partitions.len()),
            Self::All => None,
        }
    }
}

impl fmt::Display for Offline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::These(partitions) = self else { return f.write_str("*") };
        let mut topic = None;
        for key in partitions {
            match topic.replace(key.topic_id) {
                Some(before) if before == key.topic_id => write!(f, ",{}", key.partition)?,
                before => {
                    let between = if before.is_none() { "" } else { ";" };
                    write!(f, "{between}{key}")?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Offline {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let read = || {
            let mut partitions = BTreeSet::new();
            for topic in text.split(';').filter(|_| !text.is_empty()) {
                let (id, numbers) = topic.split_once('/')?;
                let topic_id = Uuid::try_parse(id).ok()?;
                for number in numbers.split(',') {
                    partitions.insert(PartitionKey { topic_id, partition: text::number(number)? });
                }
            }
            Some(Self::These(partitions))
        };
        match text {
            "*" => Ok(Self::All),
            text if text.len() > MAX_TEXT => Err(wrong("a longer list of partitions than is read", "")),
            text => read().ok_or_else(|| wrong("not a list of partitions", text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(topic: u128, partition: i32) -> PartitionKey {
        PartitionKey { topic_id: Uuid::from_u128(topic), partition }
    }

    #[test]
    fn what_is_written_is_read() {
        let some: BTreeSet<PartitionKey> = [key(1, 0), key(1, 12), key(2, 3)].into();
        let text = "00000000-0000-0000-0000-000000000001/0,12;00000000-0000-0000-0000-000000000002/3";
        assert_eq!(Offline::named(some.clone()).to_string(), text);
        assert_eq!(text.parse(), Ok(Offline::These(some)));
        assert_eq!("".parse(), Ok(Offline::default()));
        assert_eq!(Offline::default().to_string(), "");
        for wrong in ["x", "/", ";", "00000000-0000-0000-0000-000000000001/", "**"] {
            assert!(wrong.parse::<Offline>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn too_many_are_all() {
        let many: BTreeSet<PartitionKey> = (0..1000).map(|topic| key(topic, 0)).collect();
        let all = Offline::named(many);
        assert_eq!(all, Offline::All);
        assert!(all.contains(&key(5000, 1)) && !all.is_empty());
        assert_eq!(all.to_string().parse(), Ok(Offline::All));
        let of_one: BTreeSet<PartitionKey> = (0..5000).map(|partition| key(1, partition)).collect();
        assert!(matches!(Offline::named(of_one), Offline::These(_)));
    }
}
