//! The page docs/settings.md.

use std::fmt::Write as _;

use super::{BROKER_SETTINGS, Effect, REFUSED, Setting, TOPIC_SETTINGS, Update};

const HEAD: &str = "\
<!-- Generated from crds/src/settings by `cargo run -p milena-crds --bin gen`. -->

# Settings

Settings have Kafka's own names, types, bounds and defaults (Apache Kafka 4.3). Topic settings stand in `spec.config`
of a KafkaTopic, broker settings in `spec.config` of a KafkaCluster, or behind `--config` on the command line of
`milena-broker`. `kubectl explain kafkatopic.spec.config` and `kubectl explain kafkacluster.spec.config` show them too.
";

/// The text of docs/settings.md.
#[must_use]
pub fn settings_page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Topics\n\n| setting | type, allowed values | default | taken from | what it does |\n|---|---|---|---|---|\n");
    for setting in TOPIC_SETTINGS {
        let from: Vec<String> = setting.synonyms.iter().map(|s| format!("`{}`", s.name)).collect();
        row(&mut page, setting, &from.join(", "));
    }
    page.push_str("\n## Brokers\n\n| setting | type, allowed values | default | a change takes effect | what it does |\n|---|---|---|---|---|\n");
    for setting in BROKER_SETTINGS {
        let update = match setting.update {
            Update::Dynamic => "at once",
            Update::Restart => "after a restart, which the operator does",
        };
        row(&mut page, setting, update);
    }
    page.push_str("\n## Settings of Kafka's brokers that are none here\n\n| setting | why, and what to do |\n|---|---|\n");
    for refusal in REFUSED {
        let all = if refusal.name.ends_with('.') { "*" } else { "" };
        line(&mut page, &[&format!("`{}{all}`", refusal.name), refusal.why]);
    }
    page
}

fn row(page: &mut String, setting: &Setting, column: &str) {
    let effect = match setting.effect {
        Effect::Works => String::new(),
        Effect::None(why) => format!(" **Without effect**: {why}."),
        Effect::DefaultOnly(why) => format!(" **Restricted**: {why}."),
    };
    let default = match setting.default {
        None => "–".to_owned(),
        Some("") => "empty".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let kind = format!("{}: {}", setting.kind.type_name().to_lowercase(), setting.kind.allowed());
    line(
        page,
        &[&format!("`{}`", setting.name), &kind, &default, column, &format!("{}{effect}", setting.doc)],
    );
}

fn line(page: &mut String, cells: &[&str]) {
    // Writing to a String does not fail.
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}
