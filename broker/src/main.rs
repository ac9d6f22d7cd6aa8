//! `milena-broker`: one command, and there is a broker on localhost:9092.

use std::process::ExitCode;

use clap::Parser;
use milena_broker::{cli::Cli, heap, logging, run};

fn main() -> ExitCode {
    heap::share();
    let cli = Cli::parse().with_log_dirs();
    let done = logging::start(&cli.log, cli.log_format).and_then(|()| run::run(cli));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("milena-broker: {message}");
            ExitCode::FAILURE
        }
    }
}
