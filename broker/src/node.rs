//! One broker: what its connections, its partitions and its coordination share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::{
    advertised::Advertised,
    cluster::ClusterImage,
    config::BrokerConfig,
    coordination::Coordination,
    metrics::Metrics,
    partitions::{Hosted, Partition},
    server::Limits,
};

/// A broker, shared by all its tasks.
pub struct Broker {
    /// Broker id (`node.id`).
    pub id: i32,
    /// Addresses that clients are told.
    pub advertised: Advertised,
    /// Budgets that all connections share.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Metrics,
    /// Who keeps and decides on the cluster's state.
    pub coordination: Arc<dyn Coordination>,
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
    ) -> Broker {
        Broker {
            id,
            advertised,
            limits: Limits::new(config.max_connections, config.queued_request_bytes),
            metrics: Metrics::new(),
            coordination,
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

    /// A signal at each change of the view.
    pub fn view_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Shows a new view to every request from now on.
    pub fn set_view(&self, view: View) {
        self.view.store(Arc::new(view));
        self.changes.send_modify(|version| *version += 1);
    }

    /// This broker's replica of a partition of the topic of that name.
    pub fn partition(&self, topic: &str, index: i32) -> Option<Arc<Partition>> {
        let view = self.view.load();
        let id = view.image.topic(topic)?.id;
        view.hosted.partition(id, index).cloned()
    }
}
