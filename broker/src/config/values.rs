//! Settings by name: those that were set, and the table's defaults for the rest.

use std::time::Duration;

use milena_crds::settings::{self, Config, SettingError};

/// Broker settings by Kafka's names; each has passed the table's check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Config);

impl Values {
    /// Checks each against the table.
    ///
    /// # Errors
    /// The first that is unknown or wrong, with what is allowed.
    pub fn new(set: Config) -> Result<Values, SettingError> {
        settings::check_broker_config(&set)?;
        Ok(Values(set))
    }

    /// Those that pass the check, and what is wrong with the others: for settings that arrive while the broker
    /// runs, where one wrong value must not take the rest with it.
    pub fn lenient(set: &Config) -> (Values, Vec<SettingError>) {
        let mut errors = Vec::new();
        let check = |(name, value): &(&String, &milena_crds::ConfigValue)| {
            settings::check_broker(name, value.as_str()).map_err(|error| errors.push(error)).is_ok()
        };
        let passed = set.iter().filter(check).map(|(name, value)| (name.clone(), value.clone())).collect();
        (Values(passed), errors)
    }

    /// The value that was set, or the table's default.
    pub fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(value) => value.as_str(),
            None => settings::broker_setting(name).and_then(|setting| setting.default).unwrap_or(""),
        }
    }

    /// All that were set.
    pub fn all(&self) -> &Config {
        &self.0
    }

    /// These with others on top.
    #[must_use]
    pub fn with(&self, others: &Values) -> Values {
        let mut all = self.0.clone();
        all.extend(others.0.clone());
        Values(all)
    }
}

/// A type that a setting's text can be read as. Texts have passed the table's check, so a failure to read means
/// that the table allows more than the type holds: the nearest value is taken.
pub trait Typed {
    /// Reads a text.
    fn read(text: &str) -> Self;
}

fn long(text: &str) -> i64 {
    text.trim().parse().unwrap_or(0)
}

impl Typed for i64 {
    fn read(text: &str) -> i64 {
        long(text)
    }
}

impl Typed for i32 {
    fn read(text: &str) -> i32 {
        let value = long(text);
        i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
    }
}

impl Typed for u32 {
    fn read(text: &str) -> u32 {
        let value = long(text);
        u32::try_from(value).unwrap_or(if value < 0 { 0 } else { u32::MAX })
    }
}

impl Typed for i16 {
    fn read(text: &str) -> i16 {
        let value = long(text);
        i16::try_from(value).unwrap_or(if value < 0 { i16::MIN } else { i16::MAX })
    }
}

impl Typed for usize {
    /// Negative means "no limit" wherever a size is read.
    fn read(text: &str) -> usize {
        usize::try_from(long(text)).unwrap_or(usize::MAX)
    }
}

/// A number with a fraction, from 0 on, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Millionths(pub u32);

impl Typed for Millionths {
    // Such a cast saturates, and NaN is 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn read(text: &str) -> Millionths {
        Millionths((text.trim().parse().unwrap_or(0.0_f64) * 1e6).round() as u32)
    }
}

/// Bytes a second, as Kafka has them: a number with a fraction, of which the largest is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

impl Typed for Rate {
    // Such a cast saturates, and NaN is 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn read(text: &str) -> Rate {
        let bytes = text.trim().parse().unwrap_or(f64::MAX) as u64;
        Rate((bytes < u64::MAX).then_some(bytes))
    }
}

impl Typed for bool {
    fn read(text: &str) -> bool {
        text.trim().eq_ignore_ascii_case("true")
    }
}

/// Which replica consumers read from (KIP-392).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaSelector {
    /// The leader.
    Leader,
    /// An in-sync replica in the consumer's own rack, where there is one.
    RackAware,
}

impl Typed for ReplicaSelector {
    fn read(text: &str) -> ReplicaSelector {
        match text.trim().rsplit('.').next() {
            Some("RackAwareReplicaSelector") => ReplicaSelector::RackAware,
            _ => ReplicaSelector::Leader,
        }
    }
}

impl Typed for String {
    fn read(text: &str) -> String {
        text.trim().to_owned()
    }
}

impl Typed for Duration {
    /// Milliseconds.
    fn read(text: &str) -> Duration {
        Duration::from_millis(u64::try_from(long(text)).unwrap_or(0))
    }
}
