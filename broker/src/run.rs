//! Starting and stopping: what both ways of running have in common.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{cli::Cli, groups, http, node::Broker, partitions::Manager, server};

mod control;
mod embedded;
mod kubernetes;

/// Leadership has so long to move away from a broker that is to stop.
const HAND_OVER: Duration = Duration::from_secs(10);
/// So long clients are told who leads instead: those that write or read do so more often.
const FAREWELL: Duration = Duration::from_secs(1);
/// Connections that are being served when the broker stops are waited for so long.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or Ctrl-C.
///
/// # Errors
/// Why it could not start, in one line.
pub fn run(cli: Cli) -> Result<(), String> {
    if let Some(command) = &cli.command {
        return control::give(cli.data_dir.first().map_or(Path::new("."), PathBuf::as_path), command);
    }
    allow_many_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("milena")
        .build()
        .map_err(|error| format!("cannot start threads: {error}"))?;
    if cli.kubernetes.cluster.is_some() {
        runtime.block_on(kubernetes::run(cli))
    } else {
        runtime.block_on(embedded::run(cli))
    }
}

/// Each log in use and each connection takes a file descriptor, and the usual limit is 1,024: as many as the
/// system allows are taken.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        warn!(%error, limit = ?limit.current, "the limit of open files stays");
    }
}

/// A broker that serves.
pub struct Running {
    broker: Arc<Broker>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    manager: JoinHandle<()>,
}

impl Running {
    /// Opens this broker's logs as the picture of the cluster says, then serves clients.
    pub async fn start(broker: Arc<Broker>, manager: Manager, listener: TcpListener) -> Running {
        let stop = watch::Sender::new(false);
        let manager = tokio::spawn(manager.run(broker.clone(), stop.subscribe()));
        broker.wait_until_ready().await;
        broker.replication.start(&broker, stop.subscribe());
        tokio::spawn(groups::follow(broker.clone(), stop.subscribe()));
        let server = tokio::spawn(server::serve(listener, broker.clone(), stop.subscribe()));
        Running { broker, stop, server, manager }
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Serves until leadership has moved to others, who have been asked to take it; for ten seconds at most. What is in
    /// sync nowhere else cannot move. Then clients are told for a moment yet who leads now: one that finds only the
    /// connection closed asks another broker, whose answer lacks this one, and librdkafka forgets new leaders that it learns
    /// of in the same answer.
    pub async fn hand_over(&self) {
        let can_move = || {
            let view = self.broker.view();
            view.hosted.replicas().any(|replica| replica.is_leader() && replica.state().isr.len() > 1)
        };
        if !can_move() {
            return;
        }
        let mut changes = self.broker.view_changes();
        let moved = async { while can_move() && changes.changed().await.is_ok() {} };
        if timeout(HAND_OVER, moved).await.is_err() {
            warn!(
                broker = self.broker.id,
                "some leadership has not moved: those partitions are away for a moment"
            );
        }
        sleep(FAREWELL).await;
    }

    /// Answers what is being answered, writes everything to disk and marks the stop as clean.
    pub async fn stop(self) {
        let begun = Instant::now();
        self.stop.send_replace(true);
        let abort = self.server.abort_handle();
        if timeout(LAST_ANSWERS, self.server).await.is_err() {
            warn!(broker = self.broker.id, "some clients still waited for answers after {LAST_ANSWERS:?}");
            abort.abort();
        }
        self.broker.replication.stop();
        if let Err(error) = self.manager.await {
            warn!(broker = self.broker.id, %error, "the logs were not closed in order; the next start looks them over");
        }
        info!(broker = self.broker.id, took = ?begun.elapsed(), "stopped");
    }
}

/// Binds a listener, with a message that says what to do where it cannot.
async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("cannot listen on {address}: another program does (choose another port with {flag})")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "cannot listen on {address}: not permitted (ports below 1024 need privileges; see {flag})"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("cannot listen on {address}: this machine has no such address (see {flag})")
        }
        _ => format!("cannot listen on {address}: {error}"),
    })
}

/// Serves probes and metrics where an address is given.
async fn serve_http(cli: &Cli, probed: Arc<dyn http::Probed>) -> Result<(), String> {
    if let Some(address) = cli.http_listen {
        let listener = listen(address, "--http-listen").await?;
        tokio::spawn(http::serve(listener, probed));
    }
    Ok(())
}

/// What ends the process in order. It is waited for from the first moment on: a signal during the start counts.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn install() -> Result<StopSignals, String> {
        let failed = |error: io::Error| format!("cannot wait for signals: {error}");
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    /// Ends at SIGTERM or Ctrl-C, and says which it was.
    async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "Ctrl-C",
        }
    }
}
