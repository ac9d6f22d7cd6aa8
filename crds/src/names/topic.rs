//! Names of topics in Kafka, and the names of their KafkaTopics.

/// Longest name of a topic, in bytes.
pub const MAX_TOPIC_NAME: usize = 249;
/// Longest name of an object in Kubernetes (DNS subdomain).
const MAX_OBJECT_NAME: usize = 253;
/// `--` and eight hex digits.
const SUFFIX: usize = 10;

/// A name that Kafka refuses for a topic, in the words of Kafka's `Topic.validate`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// No name at all.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// `.` and `..` would be folders.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(String),
    /// Longer than [`MAX_TOPIC_NAME`].
    #[error(
        "Topic name is invalid: the length of '{}' is longer than the max allowed length {MAX_TOPIC_NAME}",
        shown(.0)
    )]
    TooLong(String),
    /// A character beyond ASCII letters, digits and `._-`.
    #[error(
        "Topic name is invalid: '{}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        shown(.0)
    )]
    Characters(String),
}

/// A wrong name of any length, short enough for a message.
fn shown(name: &str) -> String {
    name.chars().take(MAX_TOPIC_NAME + 1).collect()
}

/// Whether Kafka takes `name` for a topic.
///
/// # Errors
/// Says what Kafka says.
pub fn check_topic_name(name: &str) -> Result<(), InvalidName> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Err(InvalidName::Empty),
        "." | ".." => Err(InvalidName::Dots(name.to_owned())),
        _ if name.len() > MAX_TOPIC_NAME => Err(InvalidName::TooLong(shown(name))),
        _ if !name.bytes().all(legal) => Err(InvalidName::Characters(name.to_owned())),
        _ => Ok(()),
    }
}

/// The name as metrics have it, where `.` and `_` are one: topics that share it collide in Kafka.
#[must_use]
pub fn metric_name(name: &str) -> String {
    name.replace('.', "_")
}

/// The name of the KafkaTopic for a topic that a Kafka client makes.
///
/// The topic's own name where Kubernetes takes it, and where it does not look derived; else the nearest legal name
/// with a hash of the topic's name behind it: `__consumer_offsets` is `consumer-offsets--` and eight hex digits.
#[must_use]
pub fn object_name(topic: &str) -> String {
    if is_object_name(topic) && !looks_derived(topic) {
        return topic.to_owned();
    }
    derived(topic, topic)
}

/// The name to take where [`object_name`] is taken by the topic of another cluster in the namespace.
#[must_use]
pub fn object_name_in(cluster: &str, topic: &str) -> String {
    derived(topic, &format!("{cluster}/{topic}"))
}

fn derived(topic: &str, hashed: &str) -> String {
    let mut name = String::with_capacity(topic.len() + SUFFIX);
    for character in topic.chars() {
        let legal = match character.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => c,
            '.' if name.ends_with(|c: char| c.is_ascii_alphanumeric()) => '.',
            _ => '-',
        };
        // A label must not begin with a hyphen, nor end with one before a dot.
        if legal == '-' && (name.is_empty() || name.ends_with(['.', '-'])) {
            continue;
        }
        name.push(legal);
    }
    name.truncate(MAX_OBJECT_NAME - SUFFIX);
    let stem = name.trim_end_matches(['.', '-']);
    let stem = if stem.is_empty() { "topic" } else { stem };
    format!("{stem}--{:08x}", fnv1a(hashed.as_bytes()))
}

/// A lower-case DNS subdomain (RFC 1123).
fn is_object_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= MAX_OBJECT_NAME && name.split('.').all(label)
}

fn looks_derived(name: &str) -> bool {
    name.rsplit_once("--")
        .is_some_and(|(_, tail)| tail.len() == 8 && tail.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// FNV-1a folded to 32 bits: the same for ever, which a hash of the standard library does not promise.
fn fnv1a(bytes: &[u8]) -> u32 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    u32::try_from((hash ^ (hash >> 32)) & 0xffff_ffff).unwrap_or_default()
}
