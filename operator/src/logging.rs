//! Logs: one line an event, by `tracing`.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::args::LogFormat;

/// The client of the API server tells every failed attempt; who asked says what matters of it, once.
const QUIET: &str = "kube_client=off,kube_runtime=off";

/// Begins logging to standard error, at the levels that `directives` names.
///
/// # Errors
/// When the directives do not parse.
pub fn start(directives: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::try_new(format!("{QUIET},{directives}"))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}
