//! The brokers of one process: each can be stopped and started while the others serve.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::{join_all, select_all};
use milena_controller::Liveness;
use milena_storage::LogDirs;
use parking_lot::Mutex;
use tracing::{error, info, warn};

use super::{address, advertised_host, open_dirs};
use crate::{
    advertised::Advertised,
    cli::Cli,
    cluster::BrokerInfo,
    config::BrokerConfig,
    coordination::embedded::Embedded,
    http::Probed,
    node::Broker,
    partitions::{Manager, generation},
    run::{Running, control::Order, listen},
};

/// A broker that has stopped has let go of its directories after so long.
const LETS_GO: Duration = Duration::from_secs(5);

/// All brokers of this process.
pub struct Fleet {
    cli: Cli,
    embedded: Arc<Embedded>,
    config: Arc<BrokerConfig>,
    /// Id of the first one, whose directory is that of the process.
    first: i32,
    running: BTreeMap<i32, Running>,
    stopped: Vec<i32>,
    probed: Arc<Probes>,
}

impl Fleet {
    /// Of brokers that run.
    pub fn new(cli: Cli, embedded: Arc<Embedded>, config: Arc<BrokerConfig>, running: Vec<Running>) -> Fleet {
        let running: BTreeMap<i32, Running> =
            running.into_iter().map(|running| (running.broker().id, running)).collect();
        let first = running.keys().next().copied().unwrap_or(0);
        let fleet =
            Fleet { cli, embedded, config, first, running, stopped: Vec::new(), probed: Arc::default() };
        fleet.show();
        fleet
    }

    /// What is asked over HTTP.
    pub fn probed(&self) -> Arc<dyn Probed> {
        self.probed.clone()
    }

    fn show(&self) {
        *self.probed.0.lock() = self.running.values().map(|one| one.broker().clone()).collect();
    }

    /// Ends when one of the brokers cannot go on, and says which and why.
    pub async fn failed(&self) -> (i32, String) {
        let failure = |running: &Running| {
            let broker = running.broker().clone();
            Box::pin(async move { (broker.id, broker.failed().await) })
        };
        select_all(self.running.values().map(failure)).await.0
    }

    /// Stops a broker that cannot go on, for others to take over.
    ///
    /// # Errors
    /// It is the last one.
    pub async fn lose(&mut self, id: i32, reason: String) -> Result<(), String> {
        if self.running.len() < 2 {
            return Err(reason);
        }
        error!(broker = id, reason, "BROKER STOPPED: it cannot go on, the others do");
        if let Some(running) = self.running.remove(&id) {
            running.broker().replication.stop();
            self.change(id, Liveness::Dead, false);
            running.stop().await;
        }
        self.stopped.push(id);
        self.show();
        Ok(())
    }

    /// Does as it is told; answers what was done, or why not.
    pub async fn carry_out(&mut self, order: Order) -> Result<String, String> {
        match order {
            Order::Stop(id) => self.stop(id).await,
            Order::Start(id) => self.start(id).await,
            Order::List => Ok(()),
        }?;
        self.show();
        let line = |id: &i32, is: &str| format!("broker {id} {is}");
        let lines = self.running.keys().map(|id| line(id, "runs"));
        Ok(lines.chain(self.stopped.iter().map(|id| line(id, "is stopped"))).collect::<Vec<_>>().join("\n"))
    }

    /// Makes every decision that is due; brokers are asked how far their logs go where one depends on it (rule 8).
    pub fn decide(&self) {
        for (id, asked) in self.embedded.wanted_reports() {
            if let Some(running) = self.running.get(&id) {
                self.embedded.heard(id, running.broker().reports(&asked.into_iter().collect()));
            }
        }
        if let Err(error) = self.embedded.decide() {
            warn!(%error, "decisions wait for the next change");
        }
    }

    async fn stop(&mut self, id: i32) -> Result<(), String> {
        if self.stopped.contains(&id) {
            return Err(format!("broker {id} is stopped already"));
        }
        if self.running.len() == 1 && self.running.contains_key(&id) {
            return Err(format!("broker {id} is the last one that runs: stop the process instead (Ctrl-C)"));
        }
        let Some(running) = self.running.remove(&id) else {
            return Err(format!("there is no broker {id} here"));
        };
        self.change(id, Liveness::Alive, true);
        running.hand_over().await;
        // It takes no more records: nobody should wait for it.
        running.broker().replication.stop();
        self.change(id, Liveness::Dead, false);
        running.stop().await;
        self.stopped.push(id);
        info!(broker = id, "stopped by command");
        Ok(())
    }

    async fn start(&mut self, id: i32) -> Result<(), String> {
        if !self.stopped.contains(&id) {
            return Err(format!("broker {id} is not stopped"));
        }
        let number = id.saturating_sub(self.first);
        let listener = listen(address(&self.cli, number)?, "--listen").await?;
        let paths: Vec<PathBuf> = match number {
            0 => self.cli.data_dir.clone(),
            _ => self.cli.data_dir.iter().map(|dir| dir.join(format!("broker.{id}"))).collect(),
        };
        let dirs = self.open(&paths, id).await?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        let rack = self.cli.rack(number).map(Arc::from);
        let info = BrokerInfo {
            host: advertised_host(&self.cli),
            port,
            rack,
            pod_ip: None,
            alive: true,
            offline: Arc::default(),
        };
        let epoch = self.embedded.register(id, info, generation(&dirs), false);
        let broker =
            Broker::new(id, Advertised::AsRegistered, self.config.clone(), self.embedded.clone(), dirs);
        broker.set_epoch(epoch);
        if let Err(error) = self.embedded.decide() {
            warn!(%error, "decisions wait for the next change");
        }
        let broker = Arc::new(broker);
        let manager = Manager::new(id, broker.dirs.clone(), broker.coordination.image());
        self.running.insert(id, Running::start(broker, manager, listener).await);
        self.stopped.retain(|stopped| *stopped != id);
        info!(broker = id, "started by command");
        Ok(())
    }

    /// Opens a broker's directories; its last task may still be about to let go of them.
    async fn open(&self, paths: &[PathBuf], id: i32) -> Result<Arc<LogDirs>, String> {
        let begun = Instant::now();
        loop {
            match open_dirs(paths, id, Some(self.embedded.cluster_id().to_string())) {
                Err(_) if begun.elapsed() < LETS_GO => tokio::time::sleep(Duration::from_millis(20)).await,
                opened => return opened,
            }
        }
    }

    fn change(&self, id: i32, liveness: Liveness, draining: bool) {
        if let Err(error) = self.embedded.change_broker(id, liveness, draining) {
            warn!(%error, "decisions wait for the next change");
        }
    }

    /// Stops all of them in order.
    pub async fn stop_all(self) {
        join_all(self.running.into_values().map(Running::stop)).await;
    }
}

/// Probes of all brokers in this process.
#[derive(Default)]
struct Probes(Mutex<Vec<Arc<Broker>>>);

impl Probed for Probes {
    fn not_ready(&self) -> Option<String> {
        let brokers = self.0.lock();
        let waiting = brokers.iter().find(|broker| !broker.is_ready())?;
        Some(format!("broker {} is opening its logs", waiting.id))
    }

    fn metrics(&self) -> String {
        // With several brokers in a process the first one's are shown: they share the processor and the memory.
        self.0.lock().first().map(|broker| broker.metrics_text()).unwrap_or_default()
    }
}
