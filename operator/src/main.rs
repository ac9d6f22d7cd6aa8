//! The operator: reconciles KafkaCluster and KafkaTopic objects.

mod api;
mod args;
mod clock;
mod cluster;
mod context;
mod error;
mod hash;
mod http;
mod leader;
mod logging;
mod metrics;
mod partitions;
mod watch;
mod watches;
mod world;

use std::process::ExitCode;

use clap::Parser as _;
use kube::runtime::events::{Recorder, Reporter};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch as channel;

use api::{MANAGER, Scope};
use args::Args;
use context::Context;
use metrics::Metrics;

/// Two threads are plenty: what takes time is the API server.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(error) = logging::start(&args.log, args.log_format) {
        eprintln!("milena-operator: --log {}: {error}", args.log);
        return ExitCode::FAILURE;
    }
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until SIGTERM or SIGINT.
async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let metrics = Metrics::default();
    let client = api::connect(metrics.clone())?;
    let (synced, synced_seen) = channel::channel(false);
    let (leader, leader_seen) = channel::channel(false);
    let (stop, stopped) = channel::channel(false);
    let pages = http::Pages { synced: synced_seen.clone(), metrics: metrics.clone() };
    let address = http::serve(args.http_listen, pages)
        .await
        .map_err(|error| format!("--http-listen {}: {error}", args.http_listen))?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %address, "the operator has started");

    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(args.identity.clone()) };
    let context = Context {
        client: client.clone(),
        scope: args.namespaces().map_or(Scope::All, Scope::Only),
        defaults: cluster::Defaults {
            image: args.broker_image.clone(),
            pull_policy: args.broker_image_pull_policy,
            log: args.broker_log.clone(),
            log_format: args.broker_log_format.name(),
        },
        metrics: metrics.clone(),
        leader: leader_seen,
        synced: synced_seen,
        recorder: Recorder::new(client.clone(), reporter),
    };
    watches::start(&context, synced);
    let candidate = leader::Candidate::new(
        client,
        &args.lease_namespace,
        args.lease_name,
        args.identity,
        leader,
        metrics,
    );
    let mut candidate = tokio::spawn(candidate.run(stopped));

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = &mut candidate => {
            // What is known here is newer than what there is: nothing of it may be decided on.
            return Err("etcd was restored from a backup: the operator begins anew".into());
        }
    }
    tracing::info!("the operator stops");
    stop.send_replace(true);
    candidate.await?;
    Ok(())
}
