//! One broker: what its connections, its partitions and its coordination share.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use arc_swap::ArcSwap;
use milena_storage::LogDirs;
use tokio::{sync::watch, time::Instant};

use crate::{
    advertised::Advertised,
    cluster::ClusterImage,
    config::BrokerConfig,
    coordination::Coordination,
    fetch::{CacheLimits, SessionCache},
    groups::Groups,
    metrics::Metrics,
    partitions::{Hosted, Moves, Partition},
    replication::Replication,
    server::Limits,
    throttle::Throttles,
};

/// A broker, shared by all its tasks.
pub struct Broker {
    /// Broker id (`node.id`).
    pub id: i32,
    /// Addresses that clients are told.
    pub advertised: Advertised,
    /// Budgets that all connections share.
    pub limits: Limits,
    /// What clients fetch again and again.
    pub fetch_sessions: SessionCache,
    /// What is counted.
    pub metrics: Metrics,
    /// Who keeps and decides on the cluster's state.
    pub coordination: Arc<dyn Coordination>,
    /// Groups whose coordinator this broker is.
    pub groups: Groups,
    /// Replicas here and elsewhere, kept alike.
    pub replication: Replication,
    /// Where the logs are.
    pub dirs: Arc<LogDirs>,
    /// Replicas on their way from one of them to another.
    pub moves: Arc<Moves>,
    /// How fast replicas that move are copied.
    pub throttles: Throttles,
    /// Counts this broker's starts (`leaseTransitions`).
    epoch: AtomicI64,
    started: watch::Sender<bool>,
    /// Why this broker cannot go on.
    fatal: watch::Sender<Option<String>>,
    config: ArcSwap<BrokerConfig>,
    view: ArcSwap<View>,
    changes: watch::Sender<u64>,
}

/// The cluster as far as this broker has acted on it: what the image gives this broker to host is open here.
#[derive(Clone, Default)]
pub struct View {
    /// The picture of the cluster.
    pub image: Arc<ClusterImage>,
    /// This broker's replicas.
    pub hosted: Hosted,
}

impl Broker {
    /// A broker that hosts nothing yet.
    pub fn new(
        id: i32,
        advertised: Advertised,
        config: Arc<BrokerConfig>,
        coordination: Arc<dyn Coordination>,
        dirs: Arc<LogDirs>,
    ) -> Broker {
        let metrics = Metrics::default();
        let throttles = Throttles::load(dirs.opened().first().map(|dir| dir.path()));
        Broker {
            id,
            advertised,
            limits: Limits::new(config.queued_request_bytes, config.queued_response_bytes),
            fetch_sessions: SessionCache::new(
                CacheLimits {
                    sessions: config.fetch_session_slots,
                    partitions: config.fetch_session_partitions,
                },
                metrics.fetch_session_evictions.clone(),
            ),
            metrics,
            coordination,
            groups: Groups::default(),
            dirs,
            moves: Arc::new(Moves::new(throttles.directories.clone())),
            throttles,
            replication: Replication::default(),
            epoch: AtomicI64::new(0),
            started: watch::Sender::new(false),
            fatal: watch::Sender::new(None),
            config: ArcSwap::new(config),
            view: ArcSwap::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<BrokerConfig> {
        self.config.load_full()
    }

    /// Puts other settings in force.
    pub fn set_config(&self, config: Arc<BrokerConfig>) {
        self.config.store(config);
    }

    /// The cluster as this broker has acted on it.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// The picture of the cluster as clients are told of it.
    pub fn shown_image(&self) -> Arc<ClusterImage> {
        self.replication.absences.shown(&self.view.load().image, Instant::now())
    }

    /// A signal at each change of the view.
    pub fn view_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Shows a new view to every request from now on.
    pub fn set_view(&self, view: View) {
        self.view.store(Arc::new(view));
        self.changes.send_modify(|version| *version += 1);
        self.started.send_replace(true);
    }

    /// Ends once the logs are open and the first view is shown.
    pub async fn wait_until_ready(&self) {
        // The sender lives as long as the broker.
        let _ = self.started.subscribe().wait_for(|started| *started).await;
    }

    /// This broker cannot go on: the process is to end, with this message.
    pub fn fail(&self, reason: String) {
        self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            fatal.get_or_insert(reason);
            first
        });
    }

    /// Ends once this broker cannot go on, and says why.
    pub async fn failed(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        let reason = fatal.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or_default()
    }

    /// Whether the logs are open and a view is shown.
    pub fn is_ready(&self) -> bool {
        *self.started.borrow()
    }

    /// The broker epoch: how often this broker was started.
    pub fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Notes the broker epoch that it registered with.
    pub fn set_epoch(&self, epoch: i64) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    /// All metrics in the Prometheus text format.
    pub fn metrics_text(&self) -> String {
        let open = i64::try_from(self.limits.connections.open()).unwrap_or(i64::MAX);
        self.metrics.connections.set(open);
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let (sessions, partitions) = self.fetch_sessions.size();
        self.metrics.fetch_sessions.set(count(sessions));
        self.metrics.fetch_session_partitions.set(count(partitions));
        // Looks at every partition: when somebody asks, and not as time passes.
        self.metrics.show_replication(&self.view().hosted);
        self.metrics.text().unwrap_or_default()
    }

    /// This broker's replica of a partition of the topic of that name.
    pub fn partition(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        let view = self.view.load();
        let id = view.image.topic(topic)?.id;
        view.hosted.partition(id, index).cloned()
    }
}
