//! Every setting of topics in Kafka 4.3, and the settings of brokers that work here or that users commonly set.
//!
//! One table answers DescribeConfigs, checks CreateTopics, AlterConfigs and the command line, makes the schema that
//! the API server checks with, and is the page docs/settings.md.

mod broker;
mod docs;
mod effective;
mod kind;
mod refused;
mod row;
mod schema;
mod topic;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::ConfigValue;

pub use broker::BROKER_SETTINGS;
pub use docs::settings_page;
pub use effective::{Config, Effective, Source, effective, synonyms};
pub use kind::{Kind, Range};
pub use refused::{REFUSED, Refusal};
pub(crate) use schema::{broker_config_schema, topic_config_schema};
pub use topic::TOPIC_SETTINGS;

/// Longest value of a setting, in bytes.
pub const MAX_VALUE: usize = 4096;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Kafka's name.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Kafka's default, as text; `None` where Kafka has none (null).
    pub default: Option<&'static str>,
    /// What it does, in one or two sentences.
    pub doc: &'static str,
    /// How much attention it deserves.
    pub importance: Importance,
    /// Whether a running broker takes a new value.
    pub update: Update,
    /// What it does today.
    pub effect: Effect,
    /// Of a topic setting: the broker settings that give its default, the first that is set wins.
    pub synonyms: &'static [Synonym],
}

/// Kafka's rank of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Importance {
    /// Most users think about it.
    High,
    /// Some users think about it.
    Medium,
    /// For tuning.
    Low,
}

/// Whether a running broker takes a new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// At once.
    Dynamic,
    /// After a restart, which the operator does one broker at a time.
    Restart,
}

/// What a setting does today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What Kafka does with it.
    Works,
    /// Every value that Kafka takes is taken, stored and shown, and changes nothing: says why.
    None(&'static str),
    /// Only the default is taken: says why, and what to do.
    DefaultOnly(&'static str),
}

/// A broker setting from which a topic setting takes its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// Name of the broker setting.
    pub name: &'static str,
    /// What to multiply its value with; a negative value stands for "no limit" and is -1 in any unit.
    pub unit: i64,
}

/// A setting or value that is not taken. The message names the value and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such setting.
    #[error("Unknown {scope} config name: {name}{hint}")]
    Unknown {
        /// `topic` or `broker`.
        scope: &'static str,
        /// The name as given, cut where it is very long.
        name: String,
        /// The nearest known name, or why Kafka's setting is none here.
        hint: String,
    },
    /// The setting does not take this value.
    #[error("Invalid value {value} for configuration {name}: {why}")]
    Value {
        /// Name of the setting.
        name: &'static str,
        /// The value as given, cut where it is very long.
        value: String,
        /// What is wrong with it, and what is allowed.
        why: String,
    },
    /// Two settings contradict each other.
    #[error("{0}")]
    Conflict(String),
}

/// The topic setting of this name.
#[must_use]
pub fn topic_setting(name: &str) -> Option<&'static Setting> {
    find(TOPIC_SETTINGS, name)
}

/// A checked value of a topic setting as it is stored: the schema of the custom resources takes only the plain form.
#[must_use]
pub fn canonical(name: &str, value: &str) -> String {
    topic_setting(name).map_or_else(|| value.to_owned(), |setting| setting.kind.canonical(value))
}

/// The broker setting of this name.
#[must_use]
pub fn broker_setting(name: &str) -> Option<&'static Setting> {
    find(BROKER_SETTINGS, name)
}

/// Tables are sorted by name, and a test says so.
fn find(table: &'static [Setting], name: &str) -> Option<&'static Setting> {
    table.binary_search_by(|setting| setting.name.cmp(name)).ok().and_then(|index| table.get(index))
}

impl Setting {
    /// Whether this setting takes `value`.
    ///
    /// # Errors
    /// [`SettingError::Value`] says what is wrong and what is allowed.
    pub fn check(&self, value: &str) -> Result<(), SettingError> {
        let wrong = |why: String| SettingError::Value { name: self.name, value: shown(value), why };
        if value.len() > MAX_VALUE {
            return Err(wrong(format!("Longer than {MAX_VALUE} bytes")));
        }
        self.kind.check(value).map_err(wrong)?;
        match self.effect {
            Effect::DefaultOnly(why)
                if self.default.is_none_or(|default| !self.kind.same(default, value)) =>
            {
                Err(wrong(why.to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a topic takes this setting with this value.
///
/// # Errors
/// [`SettingError::Unknown`] or [`SettingError::Value`].
pub fn check_topic(name: &str, value: &str) -> Result<(), SettingError> {
    topic_setting(name).ok_or_else(|| unknown("topic", TOPIC_SETTINGS, name))?.check(value)
}

/// Whether a broker takes this setting with this value.
///
/// # Errors
/// [`SettingError::Unknown`] or [`SettingError::Value`].
pub fn check_broker(name: &str, value: &str) -> Result<(), SettingError> {
    broker_setting(name).ok_or_else(|| unknown("broker", BROKER_SETTINGS, name))?.check(value)
}

/// Whether a topic takes these settings, each and together.
///
/// # Errors
/// The first error, in order of names.
pub fn check_topic_config(config: &BTreeMap<String, ConfigValue>) -> Result<(), SettingError> {
    for (name, value) in config {
        check_topic(name, value.as_str())?;
    }
    let lag = |name: &str| config.get(name).and_then(|value| kind::integer(value.as_str()));
    let (least, most) = (lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"));
    match (least, most) {
        (Some(least), Some(most)) if least > most => Err(SettingError::Conflict(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        ))),
        _ => Ok(()),
    }
}

/// Whether brokers take these settings.
///
/// # Errors
/// The first error, in order of names.
pub fn check_broker_config(config: &BTreeMap<String, ConfigValue>) -> Result<(), SettingError> {
    config.iter().try_for_each(|(name, value)| check_broker(name, value.as_str()))
}

/// Longest piece of a wrong name or value that an error repeats, in characters.
const SHOWN: usize = 100;

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some(_) => text.chars().take(SHOWN).chain("…".chars()).collect(),
    }
}

fn unknown(scope: &'static str, table: &[Setting], name: &str) -> SettingError {
    let name = shown(name);
    let other = if scope == "topic" { broker_setting(&name) } else { topic_setting(&name) };
    let hint = if let Some(refusal) = refused::refusal(&name).filter(|_| scope == "broker") {
        format!(": {}", refusal.why)
    } else if other.is_some() && scope == "topic" {
        ": it is a setting of brokers (KafkaCluster, spec.config)".to_owned()
    } else if other.is_some() {
        ": it is a setting of topics (KafkaTopic, spec.config)".to_owned()
    } else {
        nearest(table, &name).map(|known| format!("; did you mean {known}?")).unwrap_or_default()
    };
    SettingError::Unknown { scope, name, hint }
}

/// Most edits between a name and the one that it was meant to be.
const NEAR: usize = 3;

fn nearest(table: &[Setting], name: &str) -> Option<&'static str> {
    let near = |known: &'static str| (edits(known, name), known);
    table.iter().map(|s| near(s.name)).filter(|(edits, _)| *edits <= NEAR).min().map(|(_, known)| known)
}

/// Levenshtein distance, one row at a time.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let here = if x == y { diagonal } else { 1 + diagonal.min(left).min(*cell) };
            diagonal = *cell;
            *cell = here;
            left = here;
        }
    }
    row.last().copied().unwrap_or(0)
}
