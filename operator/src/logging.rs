//! Logs: one line an event, by `tracing`.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::LogFormat;

/// The client of the API server tells every failed attempt; who asked says what matters of it, once.
const QUIET: &str = "kube_client=off,kube_runtime=off";

/// Begins logging to standard error, at the levels that `directives` names.
///
/// # Errors
/// When the directives do not parse.
pub fn start(directives: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter: Targets = format!("{QUIET},{directives}").parse()?;
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.finish().with(filter).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).finish().with(filter).init(),
    }
    Ok(())
}
