//! The value of a topic setting: its own, the brokers', or Kafka's default.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::kind::integer;
use super::{Setting, Synonym, broker_setting};
use crate::ConfigValue;

/// Settings by name, as objects and command lines give them.
pub type Config = BTreeMap<String, ConfigValue>;

/// Where a value comes from. DescribeConfigs calls them DYNAMIC_TOPIC_CONFIG, STATIC or DYNAMIC_BROKER_CONFIG, and
/// DEFAULT_CONFIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The topic sets it.
    Topic,
    /// Brokers set it, for themselves or as the default of topics.
    Broker,
    /// Nobody sets it.
    Default,
}

/// A value, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective<'a> {
    /// Name of the setting that gives the value: itself, or a broker setting in its place.
    pub name: &'static str,
    /// The value, in the unit of the setting that was asked for.
    pub value: Cow<'a, str>,
    /// Where it comes from.
    pub source: Source,
}

/// The value of a topic setting that counts: that of the topic, of the first of its synonyms that brokers set, or
/// Kafka's default.
#[must_use]
pub fn effective<'a>(setting: &Setting, topic: &'a Config, broker: &'a Config) -> Effective<'a> {
    let own = topic.get(setting.name).map(|value| Effective {
        name: setting.name,
        value: Cow::Borrowed(value.as_str()),
        source: Source::Topic,
    });
    let inherited = || setting.synonyms.iter().find_map(|synonym| from_broker(synonym, broker));
    own.or_else(inherited).unwrap_or(Effective {
        name: setting.name,
        value: Cow::Borrowed(setting.default.unwrap_or_default()),
        source: Source::Default,
    })
}

/// Every value that a topic setting could have, the one that counts first: what DescribeConfigs shows as synonyms.
#[must_use]
pub fn synonyms<'a>(setting: &Setting, topic: &'a Config, broker: &'a Config) -> Vec<Effective<'a>> {
    let own = topic.get(setting.name).map(|value| Effective {
        name: setting.name,
        value: Cow::Borrowed(value.as_str()),
        source: Source::Topic,
    });
    let set = setting.synonyms.iter().filter_map(|synonym| from_broker(synonym, broker));
    let defaults = setting.synonyms.iter().filter_map(|synonym| {
        let default = broker_setting(synonym.name)?.default?;
        Some(Effective { name: synonym.name, value: convert(synonym, default), source: Source::Default })
    });
    own.into_iter().chain(set).chain(defaults).collect()
}

fn from_broker<'a>(synonym: &Synonym, broker: &'a Config) -> Option<Effective<'a>> {
    let value = broker.get(synonym.name)?;
    Some(Effective { name: synonym.name, value: convert(synonym, value.as_str()), source: Source::Broker })
}

fn convert<'a>(synonym: &Synonym, value: &'a str) -> Cow<'a, str> {
    match integer(value) {
        Some(number) if synonym.unit != 1 => {
            let number = if number < 0 { -1 } else { number.saturating_mul(synonym.unit) };
            Cow::Owned(number.to_string())
        }
        _ => Cow::Borrowed(value),
    }
}
