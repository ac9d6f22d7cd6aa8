//! Which kinds are watched, and where their changes go.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::core::DeserializeGuard;
use kube::runtime::watcher::Config;
use kube::{Api, Resource, ResourceExt as _};
use milena_crds::{KafkaCluster, KafkaPartitions, KafkaTopic, names};
use serde::de::DeserializeOwned;
use tokio::sync::watch::Sender;

use crate::api::MANAGER;
use crate::clock::Clock;
use crate::cluster;
use crate::context::Context;
use crate::partitions;
use crate::watch::{Change, Watch, follow};
use crate::world::{World, cluster_label};

/// Starts every watch. `synced` becomes true when each has brought its first list.
pub fn start(context: &Context, synced: Sender<bool>) {
    let (begin, clock) = (context.clone(), Clock::start());
    let world = Arc::new(World::new(clock, move |handle| {
        tokio::spawn(cluster::run(Arc::clone(&handle), begin.clone()));
        tokio::spawn(partitions::run(handle, begin.clone(), clock));
    }));
    let starter = Starter { context, lists: Arc::new(Lists::new(synced)) };
    let (scope, client) = (&context.scope, &context.client);

    let into = Arc::clone(&world);
    let own_name: fn(&KafkaCluster) -> Option<String> = |cluster| Some(cluster.name_any());
    starter.add(scope.apis(client), "kafkaclusters", &Config::default(), own_name, move |change| {
        into.cluster(change);
    });
    let into = Arc::clone(&world);
    let of_topic: fn(&KafkaTopic) -> Option<String> = |topic| Some(topic.spec.cluster.clone());
    starter.add(scope.apis(client), "kafkatopics", &Config::default(), of_topic, move |change| {
        into.topic(change)
    });
    let into = Arc::clone(&world);
    let of_chunk: fn(&KafkaPartitions) -> Option<String> = |chunk| Some(chunk.spec.cluster.clone());
    starter.add(scope.apis(client), "kafkapartitions", &Config::default(), of_chunk, move |change| {
        into.chunk(change)
    });
    // Leases and pods of brokers, and of nobody else.
    let brokers = Config::default().labels(names::CLUSTER);
    let into = Arc::clone(&world);
    starter.add(scope.apis(client), "leases", &brokers, cluster_label, move |change| into.lease(change));
    let into = Arc::clone(&world);
    starter.add(scope.apis(client), "pods", &brokers, cluster_label, move |change| into.pod(change));

    let managed = Config::default().labels(&format!("{}={MANAGER}", names::MANAGED_BY));
    for kind in cluster::kinds() {
        let (into, plural) = (Arc::clone(&world), kind.plural.clone());
        starter.add(scope.dynamic(client, &kind), &kind.plural, &managed, cluster_label, move |change| {
            into.owned(&plural, change);
        });
    }
    starter.lists.done();
}

/// Starts one watch after the other.
struct Starter<'a> {
    context: &'a Context,
    lists: Arc<Lists>,
}

impl Starter<'_> {
    fn add<K>(
        &self,
        apis: Vec<Api<DeserializeGuard<K>>>,
        resource: &str,
        config: &Config,
        cluster_of: fn(&K) -> Option<String>,
        sink: impl Fn(Change<K>) + Clone + Send + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        for api in apis {
            self.lists.one_more();
            let (sink, lists, mut listed) = (sink.clone(), Arc::clone(&self.lists), false);
            let watch = Watch { api, config: config.clone(), resource: resource.to_owned(), cluster_of };
            tokio::spawn(follow(watch, self.context.metrics.clone(), move |change| {
                let complete = matches!(change, Change::Listed);
                sink(change);
                if complete && !std::mem::replace(&mut listed, true) {
                    lists.done();
                }
            }));
        }
    }
}

/// How many first lists are still to come.
struct Lists {
    missing: AtomicUsize,
    synced: Sender<bool>,
}

impl Lists {
    /// One is to come: that all watches have been started.
    fn new(synced: Sender<bool>) -> Self {
        Self { missing: AtomicUsize::new(1), synced }
    }

    fn one_more(&self) {
        self.missing.fetch_add(1, Ordering::SeqCst);
    }

    fn done(&self) {
        if self.missing.fetch_sub(1, Ordering::SeqCst) == 1 {
            tracing::info!("every first list is complete");
            self.synced.send_replace(true);
        }
    }
}
