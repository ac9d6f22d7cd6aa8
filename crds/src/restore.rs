//! A restored backup of etcd, as a person declares it by the annotation `milena.dev/restored` of the KafkaCluster (rule
//! 13): any text, and in it `without=2,5` for brokers that are not waited for any more, with all that they alone know.

use std::collections::{BTreeMap, BTreeSet};

use crate::names;

/// Longest text that tells one restore from another, in characters.
const MAX_ID: usize = 64;

/// A restore that is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The whole annotation.
    pub text: String,
    /// What tells it from other restores: the text without the brokers that are given up.
    pub id: String,
    /// Brokers that are not waited for.
    pub without: BTreeSet<i32>,
}

impl Declared {
    /// What the annotations of a KafkaCluster declare.
    #[must_use]
    pub fn of(annotations: Option<&BTreeMap<String, String>>) -> Option<Self> {
        annotations?.get(names::RESTORED).map(|text| Self::parse(text))
    }

    fn parse(text: &str) -> Self {
        let without = |word: &&str| word.starts_with("without=");
        let given_up = text.split_whitespace().filter(without);
        let ids = given_up.filter_map(|word| word.strip_prefix("without=")).flat_map(|ids| ids.split(','));
        let rest: Vec<&str> = text.split_whitespace().filter(|word| !without(word)).collect();
        let mut id: String = rest.join(" ").chars().take(MAX_ID).collect();
        if id.is_empty() {
            "true".clone_into(&mut id);
        }
        Self { text: text.to_owned(), id, without: ids.filter_map(|id| id.parse().ok()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_given_up_makes_no_other_restore_of_it() {
        let of = |text: &str| Declared::of(Some(&[(names::RESTORED.to_owned(), text.to_owned())].into()));
        assert_eq!(Declared::of(None), None);
        for (text, id, without) in [
            ("true", "true", vec![]),
            ("true without=2", "true", vec![2]),
            ("", "true", vec![]),
            ("without=1,5", "true", vec![1, 5]),
            ("26 November without=x", "26 November", vec![]),
        ] {
            let declared = of(text).unwrap();
            assert_eq!(declared.text, text);
            assert_eq!((declared.id.as_str(), declared.without.into_iter().collect()), (id, without));
        }
        assert_eq!(of(&"ä".repeat(100)).unwrap().id.chars().count(), MAX_ID);
    }
}
