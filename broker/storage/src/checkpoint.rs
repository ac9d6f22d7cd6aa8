//! Kafka's checkpoint files: version 0, the number of entries, one entry a line.

use std::fmt::Write;

/// The file's content for these lines.
pub(crate) fn format(lines: impl Iterator<Item = String>) -> Vec<u8> {
    let mut body = String::new();
    let mut count = 0usize;
    for line in lines {
        body.push_str(&line);
        body.push('\n');
        count = count.saturating_add(1);
    }
    let mut text = String::with_capacity(body.len().saturating_add(16));
    // Writing to a string cannot fail.
    let _ = write!(text, "0\n{count}\n");
    text.push_str(&body);
    text.into_bytes()
}

/// The entries of a file, or what is wrong with it. An empty file has no entries.
pub(crate) fn parse<T>(bytes: &[u8], entry: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(Vec::new()),
        Some("0") => {}
        Some(version) => return Err(format!("unknown version {version:?}")),
    }
    let Some(count) = lines.next() else { return Ok(Vec::new()) };
    let count: usize = count.parse().map_err(|_| format!("bad number of entries {count:?}"))?;
    let entries = lines
        .map(|line| entry(line).ok_or_else(|| format!("malformed line {line:?}")))
        .collect::<Result<Vec<T>, String>>()?;
    if entries.len() == count {
        Ok(entries)
    } else {
        Err(format!("{count} entries announced, {} found", entries.len()))
    }
}

#[cfg(test)]
mod tests;
