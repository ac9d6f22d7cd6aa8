//! One broker in a pod, started by the operator.

mod properties;
mod settings;

use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use milena_kubeclient::Access;
use milena_storage::{LogDirs, Owner};
use tokio::{task::JoinSet, time::interval};
use tracing::{info, warn};

use super::{Running, StopSignals, listen, serve_http};
use crate::{
    advertised::Advertised,
    cli::Cli,
    cluster::ClusterImage,
    config::{BrokerConfig, Values},
    coordination::{
        Coordination as _,
        kubernetes::{Kubernetes, Place},
    },
    http::Probed,
    node::Broker,
    partitions::{Manager, generation},
};
use settings::Layers;

/// Largest file of settings that is read, in bytes: a ConfigMap holds no more.
const MAX_SETTINGS: u64 = 1024 * 1024;
/// How often it is looked whether a disk is full.
const ROOM_LOOKS: Duration = Duration::from_millis(250);

/// Runs until SIGTERM or Ctrl-C.
pub async fn run(cli: Cli) -> Result<(), String> {
    let mut signals = StopSignals::install()?;
    let place = Place::from_args(&cli.kubernetes)?;
    let layers = read_settings(&cli)?;
    let probes = Arc::new(Probes::default());
    // The kubelet asks before the broker knows its cluster.
    serve_http(&cli, probes.clone()).await?;
    let api_server =
        Access::find().map_err(|error| format!("cannot find the Kubernetes API server: {error}"))?;
    let owner = Owner { cluster_id: None, node_id: place.broker };
    let dirs = Arc::new(LogDirs::open(&cli.data_dir, owner).map_err(|error| error.to_string())?);
    let dir = dirs.opened().first().ok_or("no log directory is given")?;
    info!(broker = place.broker, cluster = place.cluster, generation = %generation(&dirs), "starting");

    let id = place.broker;
    let kubernetes = tokio::select! {
        started = Kubernetes::start(place, generation(&dirs), &dirs, api_server) => started.map_err(|e| e.to_string())?,
        signal = signals.wait() => {
            info!("{}: stopping, before the cluster was known", signal);
            return Ok(());
        }
    };
    // Not before: who connects now is answered as soon as the logs are open.
    let listener = listen(cli.listen, "--listen").await?;
    let kubernetes = Arc::new(kubernetes);
    let config = Arc::new(BrokerConfig::new(layers.in_force(&kubernetes.image().borrow())));
    let broker =
        Arc::new(Broker::new(id, Advertised::ForwardedOnLoopback, config, kubernetes.clone(), dirs.clone()));
    let mut tasks = JoinSet::new();
    tasks.spawn(follow_settings(broker.clone(), layers));
    tasks.spawn(follow_registration(broker.clone(), kubernetes.clone()));
    let room = tokio::spawn(follow_room(dirs.clone(), kubernetes.clone()));
    // Set once, here.
    let _ = probes.broker.set(broker.clone());
    let manager = Manager::new(id, dirs.clone(), kubernetes.image());
    let running = Running::start(broker.clone(), manager, listener).await;
    info!(broker = id, listen = %cli.listen, data = %dir.path().display(), "serving Kafka clients");

    let outcome = tokio::select! {
        signal = signals.wait() => {
            info!("{signal}: stopping");
            Ok(())
        }
        reason = broker.failed() => Err(reason),
    };
    // Nobody else may say any more whether this broker is willing to lead.
    room.abort();
    let _ = room.await;
    kubernetes.drain();
    running.hand_over().await;
    running.stop().await;
    kubernetes.release().await;
    outcome
}

fn read_settings(cli: &Cli) -> Result<Layers, String> {
    let file = match &cli.kubernetes.config_file {
        Some(path) => read_file(path)?,
        None => Values::default(),
    };
    let given = cli.config.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let given = Values::new(given).map_err(|error| format!("--config: {error}"))?;
    Ok(Layers::new(file, given))
}

/// One wrong setting must not keep a broker from its data: it is left out, and said.
fn read_file(path: &Path) -> Result<Values, String> {
    let failed = |error: std::io::Error| format!("cannot read the settings in {}: {error}", path.display());
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_SETTINGS {
        return Err(format!("{} has {size} bytes; settings have at most {MAX_SETTINGS}", path.display()));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let (values, errors) = Values::lenient(&properties::parse(&text));
    for error in errors {
        warn!(file = %path.display(), %error, "a setting is left out");
    }
    Ok(values)
}

/// Puts the settings of the KafkaCluster in force as they change.
async fn follow_settings(broker: Arc<Broker>, mut layers: Layers) {
    let mut images = broker.coordination.image();
    let mut seen: Option<Arc<ClusterImage>> = None;
    while images.changed().await.is_ok() {
        let image = images.borrow_and_update().clone();
        if seen.replace(image.clone()).is_some_and(|seen| Arc::ptr_eq(&seen.settings, &image.settings)) {
            continue;
        }
        let values = layers.in_force(&image);
        for name in layers.newly_waiting(&image) {
            info!(
                setting = name,
                "changed in the KafkaCluster; takes effect when the operator restarts this broker"
            );
        }
        if values != *broker.config().values {
            info!("settings changed in the KafkaCluster are in force");
            broker.set_config(Arc::new(BrokerConfig::new(values)));
        }
    }
}

/// Shows how the registration stands.
async fn follow_registration(broker: Arc<Broker>, kubernetes: Arc<Kubernetes>) {
    let mut states = kubernetes.registration();
    loop {
        let state = *states.borrow_and_update();
        broker.metrics.coordination_reachable.set(i64::from(state.reachable));
        if let Some(epoch) = state.epoch {
            broker.set_epoch(i64::from(epoch));
        }
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// While nothing but the reserve is left on a disk, records of clients are refused here: others are to lead, who have
/// room. Where nobody has, leadership stays.
async fn follow_room(dirs: Arc<LogDirs>, kubernetes: Arc<Kubernetes>) {
    let mut looks = interval(ROOM_LOOKS);
    let mut full = false;
    loop {
        looks.tick().await;
        let now = dirs.in_service().any(|dir| dir.is_full());
        match (std::mem::replace(&mut full, now), now) {
            (false, true) => {
                warn!("a disk is full: leadership is handed over until there is room again");
                kubernetes.drain();
            }
            (true, false) => {
                info!("there is room on the disks again");
                kubernetes.serve();
            }
            _ => {}
        }
    }
}

/// What the kubelet and Prometheus are told, also while there is no broker yet.
#[derive(Default)]
struct Probes {
    broker: OnceLock<Arc<Broker>>,
}

impl Probed for Probes {
    fn not_ready(&self) -> Option<String> {
        match self.broker.get() {
            None => Some("waiting for the Kubernetes API server".to_owned()),
            Some(broker) if !broker.is_ready() => Some("opening its logs".to_owned()),
            Some(_) => None,
        }
    }

    fn metrics(&self) -> String {
        self.broker.get().map(|broker| broker.metrics_text()).unwrap_or_default()
    }
}
