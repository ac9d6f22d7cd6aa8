//! Logs: one line an event, to standard error.

use std::io::IsTerminal;

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::cli::LogFormat;

/// The client of the API server tells every failed attempt; who asked says what matters of it, once.
const QUIET: &str = "kube_client=off,kube_runtime=off";

/// Starts logging. `levels` is a level, or levels by module as in `info,milena_broker::api=debug`.
///
/// # Errors
/// Levels that cannot be read.
pub fn start(levels: &str, format: LogFormat) -> Result<(), String> {
    let filter = format!("{QUIET},{levels}")
        .parse::<Targets>()
        .map_err(|error| format!("--log {levels}: {error}; allowed: error, warn, info, debug, trace"))?;
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.with_target(false).finish().with(filter).init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().with(filter).init(),
    }
    Ok(())
}
