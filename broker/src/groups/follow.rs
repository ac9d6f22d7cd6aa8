//! Keeps the shards in line with what this broker leads.

use std::{collections::HashMap, sync::Arc, time::Duration};

use imbl::ordmap::DiffItem;
use milena_groups::{Config, DeletedTopic};
use tokio::{sync::watch, time::sleep};
use tracing::{error, info};
use uuid::Uuid;

use super::{Groups, OFFSETS_TOPIC, load::load, settings, shard::Shard};
use crate::{
    cluster::ClusterImage,
    config::BrokerConfig,
    node::{Broker, View},
    partitions::Partition,
};

/// How long after a log that could not be read it is read again.
const RETRY: Duration = Duration::from_secs(30);

/// Follows the broker's view until the stop, then sends everyone that waits away.
pub async fn follow(broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
    let mut follower = Follower::new(&broker);
    let mut changes = broker.view_changes();
    loop {
        changes.mark_unchanged();
        follower.look(&broker);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            changed = changes.changed() => if changed.is_err() { break },
        }
    }
    broker.groups.close_all();
}

struct Follower {
    image: Arc<ClusterImage>,
    settings: Arc<BrokerConfig>,
    config: Arc<Config>,
    /// Topics that clients no longer see, but whose deletion is not recorded (yet).
    missing: HashMap<Uuid, Arc<str>>,
}

impl Follower {
    fn new(broker: &Broker) -> Follower {
        let settings = broker.config();
        let config = Arc::new(settings::of(&settings));
        Follower { image: broker.view().image.clone(), settings, config, missing: HashMap::new() }
    }

    fn look(&mut self, broker: &Arc<Broker>) {
        let view = broker.view();
        self.take_settings(broker);
        self.follow_leaders(broker, &view);
        self.follow_deletions(broker, &view.image);
    }

    fn take_settings(&mut self, broker: &Broker) {
        let settings = broker.config();
        if Arc::ptr_eq(&settings, &self.settings) {
            return;
        }
        self.config = Arc::new(settings::of(&settings));
        self.settings = settings;
        for shard in broker.groups.shards.read().values() {
            shard.set_config(self.config.clone());
        }
    }

    /// One shard for each partition that this broker leads, and for its leader epoch.
    fn follow_leaders(&self, broker: &Arc<Broker>, view: &View) {
        let led = led(view);
        let mut closed = Vec::new();
        broker.groups.shards.write().retain(|index, shard| {
            let stays = led
                .get(index)
                .is_some_and(|partition| Arc::ptr_eq(partition, &shard.partition) && shard.is_current());
            if !stays {
                closed.push(shard.clone());
            }
            stays
        });
        for shard in closed {
            shard.close();
            info!(partition = %shard.partition.name(), "groups unloaded");
        }
        for (index, partition) in led {
            if !broker.groups.shards.read().contains_key(&index) {
                let epoch = partition.state().leader_epoch;
                let shard = Arc::new(Shard::new(partition, epoch));
                broker.groups.shards.write().insert(index, shard.clone());
                tokio::spawn(serve(broker.clone(), shard, self.config.clone()));
            }
        }
        broker.groups.changed();
    }

    /// Offsets of a topic whose deletion is recorded are taken back.
    fn follow_deletions(&mut self, broker: &Broker, image: &Arc<ClusterImage>) {
        for item in self.image.topics.diff(&image.topics) {
            let old = match item {
                DiffItem::Remove(_, old) | DiffItem::Update { old: (_, old), .. } => old,
                DiffItem::Add(..) => continue,
            };
            if image.topic_by_id(old.id).is_none() {
                self.missing.insert(old.id, old.name.clone());
            }
        }
        self.image = image.clone();
        self.missing.retain(|id, _| image.topic_by_id(*id).is_none());
        let mut deleted = Vec::new();
        self.missing.retain(|id, name| {
            let is_deleted = image.deleted.contains(id);
            if is_deleted {
                deleted.push(DeletedTopic { name: name.to_string(), topic_id: Some(*id) });
            }
            !is_deleted
        });
        if deleted.is_empty() {
            return;
        }
        let shards: Vec<Arc<Shard>> = broker.groups.shards.read().values().cloned().collect();
        for shard in shards {
            // A shard that is not loaded yet keeps such offsets until they expire; their topic id tells them apart.
            let _ = shard.act(|coordinator, now_ms, effects| {
                coordinator.topics_deleted(&deleted, now_ms, effects);
            });
        }
    }
}

fn led(view: &View) -> HashMap<i32, Arc<Partition>> {
    let topic = view.image.topic(OFFSETS_TOPIC).and_then(|topic| view.hosted.topic(topic.id));
    let open = topic.into_iter().flat_map(|topic| &topic.open);
    open.filter(|(_, partition)| partition.is_leader())
        .map(|(index, partition)| (*index, partition.clone()))
        .collect()
}

/// Loads a shard and looks after it until it is closed.
async fn serve(broker: Arc<Broker>, shard: Arc<Shard>, config: Arc<Config>) {
    while shard.is_current() {
        match load(&shard, config.clone()).await {
            Ok(None) => return,
            Ok(Some((coordinator, effects))) => {
                if !coordinator.is_empty() {
                    let groups = coordinator.group_count();
                    info!(partition = %shard.partition.name(), groups, "groups loaded");
                }
                if shard.activate(coordinator, effects) {
                    broker.groups.changed();
                    shard.run().await;
                }
                return;
            }
            Err(error) => {
                let partition = shard.partition.name();
                error!(partition, error, "groups cannot be loaded, their clients have to wait; trying again");
                sleep(RETRY).await;
            }
        }
    }
}

impl Groups {
    fn close_all(&self) {
        let shards = std::mem::take(&mut *self.shards.write());
        for shard in shards.into_values() {
            shard.close();
        }
        self.changed();
    }
}
