//! `broker.properties`, and which of its settings brokers take up only at a start.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::api::core::v1::ConfigMap;
use milena_crds::names;
use milena_crds::settings::{Effect, Update, broker_setting};

use super::metadata;
use crate::cluster::validate::Resolved;

/// The key of the ConfigMap and the name of the file in the pod.
pub const FILE: &str = "broker.properties";

/// The settings as brokers read them at a start; those that they take while running they watch in the KafkaCluster.
pub fn config_map(cluster: &Resolved) -> ConfigMap {
    let data = BTreeMap::from([(FILE.to_owned(), properties(&cluster.settings()))]);
    ConfigMap {
        metadata: metadata(cluster, names::config_map(&cluster.name)),
        data: Some(data),
        ..ConfigMap::default()
    }
}

/// The settings that need a restart, in the pod template's annotation: a change of one of them, and of no other,
/// rolls the brokers. As text and not as a hash, so that no version of the operator sees a difference where none is.
pub fn restart_settings(all: &BTreeMap<&str, &str>) -> String {
    let needed = all.iter().filter(|(name, _)| needs_restart(name));
    properties(&needed.map(|(name, value)| (*name, *value)).collect())
}

/// Whether brokers take up a change only at a start. What has no effect is no reason for one.
fn needs_restart(name: &str) -> bool {
    broker_setting(name)
        .is_none_or(|setting| setting.update == Update::Restart && !matches!(setting.effect, Effect::None(_)))
}

/// The text of a Java properties file.
fn properties(all: &BTreeMap<&str, &str>) -> String {
    let mut text = String::new();
    for (name, value) in all {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}={}", escape(name, true), escape(value, false));
    }
    text
}

/// Escapes as java.util.Properties does: what would end a key or a line, and spaces that would be dropped.
fn escape(text: &str, key: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            ' ' if key || index == 0 => escaped.push_str("\\ "),
            '=' | ':' | '#' | '!' if key => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_settings_need_a_restart() {
        let before = BTreeMap::from([("log.retention.ms", "1000"), ("offsets.topic.num.partitions", "50")]);
        let dynamic = BTreeMap::from([("log.retention.ms", "2000"), ("offsets.topic.num.partitions", "50")]);
        assert_eq!(restart_settings(&before), restart_settings(&dynamic));
        assert!(needs_restart("no.such.setting"));
        let restart =
            milena_crds::settings::BROKER_SETTINGS.iter().filter(|setting| needs_restart(setting.name));
        assert!(restart.count() > 0);
    }

    #[test]
    fn properties_are_read_back_as_they_were() {
        let all =
            BTreeMap::from([("a", "C:\\x\n y"), ("log.retention.ms", "604800000"), ("b c", " leading")]);
        assert_eq!(properties(&all), "a=C:\\\\x\\n y\nb\\ c=\\ leading\nlog.retention.ms=604800000\n");
    }
}
