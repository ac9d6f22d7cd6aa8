//! YAML files as `kubectl apply` takes them. What is wrong is said with file, line, field and what is allowed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use milena_crds::{
    GROUP, KafkaCluster, KafkaTopic, VERSION, names,
    partition::MAX_REPLICAS,
    settings::{self, Config, SettingError},
    topic::MAX_PARTITIONS,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::yaml;

/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// An object of a file.
#[derive(Clone, Debug)]
pub enum Manifest {
    /// Settings for all brokers.
    Cluster(Box<KafkaCluster>),
    /// A topic.
    Topic(Box<KafkaTopic>),
}

/// What is wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {field}{message}", file.display())]
pub struct ManifestError {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Field with `: ` behind it, or nothing where it is no single field.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// Reads the objects of a file.
///
/// # Errors
/// The first thing that is wrong; nothing of the file is to be applied then.
pub fn read(file: &Path) -> Result<Vec<Manifest>, ManifestError> {
    let refuse =
        |message: String| ManifestError { file: file.to_owned(), line: 1, field: String::new(), message };
    let size = fs::metadata(file).map_err(|error| refuse(format!("cannot be read: {error}")))?.len();
    if size > MAX_FILE_BYTES {
        return Err(refuse(format!("{size} bytes are more than the {MAX_FILE_BYTES} that are read")));
    }
    let text = fs::read_to_string(file).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    parse(file, &text)
}

fn parse(file: &Path, text: &str) -> Result<Vec<Manifest>, ManifestError> {
    documents(text).into_iter().filter_map(|document| document.manifest(file).transpose()).collect()
}

/// One YAML document, and the line of the file before it.
struct Document<'a> {
    lines_before: usize,
    text: &'a str,
}

fn documents(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut first_line, mut position) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents
                .push(Document { lines_before: first_line, text: text.get(start..position).unwrap_or("") });
            start = position + line.len();
            first_line = number + 1;
        }
        position += line.len();
    }
    documents.push(Document { lines_before: first_line, text: text.get(start..).unwrap_or("") });
    documents
}

impl Document<'_> {
    fn manifest(&self, file: &Path) -> Result<Option<Manifest>, ManifestError> {
        let unreadable = |error: serde_yaml::Error| {
            let line = self.lines_before + error.location().map_or(1, |location| location.line());
            ManifestError { file: file.to_owned(), line, field: String::new(), message: error.to_string() }
        };
        let value: Value = serde_yaml::from_str(self.text).map_err(unreadable)?;
        if value.is_null() {
            return Ok(None);
        }
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        let expected = format!("{GROUP}/{VERSION}");
        if text("apiVersion") != expected {
            let message = format!("'{}' is not taken here; allowed: {expected}", text("apiVersion"));
            return Err(self.wrong(file, &["apiVersion"], &message));
        }
        let manifest = match text("kind") {
            "KafkaCluster" => {
                let cluster: KafkaCluster = self.object(file, &value)?;
                self.no_unknown_fields(file, &value, &cluster)?;
                self.check_cluster(file, &cluster)?;
                Manifest::Cluster(Box::new(cluster))
            }
            "KafkaTopic" => {
                let topic: KafkaTopic = self.object(file, &value)?;
                self.no_unknown_fields(file, &value, &topic)?;
                self.check_topic(file, &topic)?;
                Manifest::Topic(Box::new(topic))
            }
            other => {
                let message = format!("'{other}' is not taken here; allowed: KafkaCluster, KafkaTopic");
                return Err(self.wrong(file, &["kind"], &message));
            }
        };
        Ok(Some(manifest))
    }

    fn object<T: DeserializeOwned>(&self, file: &Path, value: &Value) -> Result<T, ManifestError> {
        yaml::object(value).map_err(|message| {
            let field = yaml::obstacle::<T>(value, &message);
            let field: Vec<&str> = field.iter().map(String::as_str).collect();
            self.wrong(file, &field, &message)
        })
    }

    /// A field of the spec that was read but not kept is one that does not exist: most likely a typing error.
    fn no_unknown_fields(
        &self,
        file: &Path,
        given: &Value,
        object: &impl serde::Serialize,
    ) -> Result<(), ManifestError> {
        let kept = serde_json::to_value(object).unwrap_or(Value::Null);
        let known = known_fields(given.get("kind").and_then(Value::as_str).unwrap_or_default());
        let (Some(Value::Object(given)), kept) = (given.get("spec"), kept.get("spec")) else {
            return Ok(());
        };
        for key in given.keys().map(String::as_str) {
            if !known.contains(&key) && kept.and_then(|kept| kept.get(key)).is_none() {
                let message = format!("there is no such field; allowed: {}", known.join(", "));
                return Err(self.wrong(file, &["spec", key], &message));
            }
        }
        Ok(())
    }

    fn check_cluster(&self, file: &Path, cluster: &KafkaCluster) -> Result<(), ManifestError> {
        self.check_name(file, cluster.metadata.name.as_deref())?;
        if !(1..=100).contains(&cluster.spec.brokers) {
            let message =
                format!("{} is out of range; allowed in one process: 1 to 100", cluster.spec.brokers);
            return Err(self.wrong(file, &["spec", "brokers"], &message));
        }
        self.check_config(file, &cluster.spec.config, settings::check_broker)
    }

    fn check_topic(&self, file: &Path, topic: &KafkaTopic) -> Result<(), ManifestError> {
        self.check_name(file, topic.metadata.name.as_deref())?;
        if let Err(error) = names::check_topic_name(topic.topic_name()) {
            let field: &[&str] =
                if topic.spec.topic_name.is_some() { &["spec", "topicName"] } else { &["metadata", "name"] };
            return Err(self.wrong(file, field, &error.to_string()));
        }
        if !(1..=MAX_PARTITIONS).contains(&topic.spec.partitions) {
            let message =
                format!("{} is out of range; allowed: 1 to {MAX_PARTITIONS}", topic.spec.partitions);
            return Err(self.wrong(file, &["spec", "partitions"], &message));
        }
        if !usize::try_from(topic.spec.replicas).is_ok_and(|wanted| (1..=MAX_REPLICAS).contains(&wanted)) {
            let message = format!("{} is out of range; allowed: 1 to {MAX_REPLICAS}", topic.spec.replicas);
            return Err(self.wrong(file, &["spec", "replicas"], &message));
        }
        self.check_config(file, &topic.spec.config, settings::check_topic)?;
        settings::check_topic_config(&topic.spec.config)
            .map_err(|error| self.wrong(file, &["spec", "config"], &error.to_string()))
    }

    fn check_name(&self, file: &Path, name: Option<&str>) -> Result<(), ManifestError> {
        let label = |label: &str| {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
        };
        let name = name.unwrap_or_default();
        if name.len() <= 253 && name.split('.').all(label) {
            return Ok(());
        }
        let message = format!(
            "'{name}' is no name of an object in Kubernetes; allowed: lower-case letters, digits, '-' and '.'. A \
             topic's own name goes into spec.topicName"
        );
        Err(self.wrong(file, &["metadata", "name"], &message))
    }

    fn check_config(
        &self,
        file: &Path,
        config: &Config,
        check: impl Fn(&str, &str) -> Result<(), SettingError>,
    ) -> Result<(), ManifestError> {
        for (name, value) in config {
            check(name, value.as_str())
                .map_err(|error| self.wrong(file, &["spec", "config", name], &error.to_string()))?;
        }
        Ok(())
    }

    fn wrong(&self, file: &Path, field: &[&str], message: &str) -> ManifestError {
        let line = self.lines_before + self.line_of(field);
        ManifestError {
            file: file.to_owned(),
            line,
            field: field.last().map_or_else(String::new, |_| format!("{}: ", field.join("."))),
            message: message.to_owned(),
        }
    }

    /// Line, from 1, on which a field stands: each key is looked for behind the one that holds it.
    fn line_of(&self, field: &[&str]) -> usize {
        let mut found = 0;
        for key in field {
            let (plain, quoted) = (format!("{key}:"), format!("\"{key}\":"));
            let begins = |line: &str| {
                line.split(['{', ','])
                    .map(str::trim_start)
                    .any(|part| part.starts_with(&plain) || part.starts_with(&quoted))
            };
            let behind = self.text.lines().enumerate().skip(found);
            match behind.into_iter().find(|(_, line)| begins(line)) {
                Some((number, _)) => found = number,
                None => break,
            }
        }
        found + 1
    }
}

/// The fields of a spec, for messages.
fn known_fields(kind: &str) -> &'static [&'static str] {
    match kind {
        "KafkaTopic" => &["cluster", "topicName", "partitions", "replicas", "config"],
        _ => &["brokers", "storage", "config", "resources", "pod", "image"],
    }
}

#[cfg(test)]
mod tests;
