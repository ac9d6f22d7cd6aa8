//! `broker.properties`: settings as java.util.Properties writes them.

use std::{iter::Peekable, str::Chars};

use milena_crds::settings::Config;

/// Reads `key=value` lines. Lines that begin with `#` or `!` are comments; a backslash takes the meaning from what
/// follows it, or stands with `n`, `r` or `t` for a line end or a tabulator. Of a key that is there twice the last counts.
pub fn parse(text: &str) -> Config {
    text.lines().filter_map(property).map(|(key, value)| (key, value.into())).collect()
}

fn property(line: &str) -> Option<(String, String)> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with(['#', '!']) {
        return None;
    }
    let mut rest = line.chars().peekable();
    let key = until(&mut rest, |c| matches!(c, '=' | ':') || c.is_whitespace());
    skip_spaces(&mut rest);
    if rest.next_if(|c| matches!(c, '=' | ':')).is_some() {
        skip_spaces(&mut rest);
    }
    Some((key, until(&mut rest, |_| false)))
}

fn until(rest: &mut Peekable<Chars<'_>>, end: impl Fn(char) -> bool) -> String {
    let mut text = String::new();
    while let Some(character) = rest.next_if(|c| !end(*c)) {
        match character {
            '\\' => text.extend(rest.next().map(|escaped| match escaped {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            })),
            other => text.push(other),
        }
    }
    text
}

fn skip_spaces(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_were_written() {
        let text = "# of the operator\n\n! too\na=C:\\\\x\\n y\nb\\ c=\\ leading\nlog.retention.ms = 604800000\nd:1\ne\n";
        let config = parse(text);
        let expected = [
            ("a", "C:\\x\n y"),
            ("b c", " leading"),
            ("log.retention.ms", "604800000"),
            ("d", "1"),
            ("e", ""),
        ];
        assert_eq!(config.len(), expected.len());
        for (key, value) in expected {
            assert_eq!(config[key].as_str(), value, "{key}");
        }
    }

    #[test]
    fn the_last_of_two_counts_and_a_lone_backslash_ends_nothing() {
        assert_eq!(parse("a=1\na=2\\")["a"].as_str(), "2");
        assert!(parse("").is_empty());
    }
}
