//! Java properties as Kafka writes them: `key=value`, comments with `#`.

/// The value of a key.
pub(super) fn get<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| line.split_once('=').filter(|(name, _)| name.trim() == key))
        .map(|(_, value)| value.trim())
}

/// The file's content.
pub(super) fn format(pairs: &[(&str, &str)]) -> Vec<u8> {
    pairs.iter().flat_map(|(key, value)| format!("{key}={value}\n").into_bytes()).collect()
}
