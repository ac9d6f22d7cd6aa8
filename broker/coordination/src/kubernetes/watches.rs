//! What the API server shows of this cluster: one stream of changes out of a watch for each kind of object.

use std::{
    collections::HashSet,
    fmt::Debug,
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use futures::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use k8s_openapi::{NamespaceResourceScope, api::coordination::v1::Lease};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        utils::Backoff,
        watcher::{self, Config, Event, watcher},
    },
};
use milena_crds::{KafkaCluster, KafkaPartitions, KafkaTopic, names};
use serde::de::DeserializeOwned;
use tracing::{debug, info, warn};

use super::{
    lease::Registered,
    outage::{Outage, causes},
    place::Place,
};

/// Length of one watch in seconds; a connection that was cut without a word is noticed when it is over.
const WATCH_SECONDS: u32 = 30;

/// A change of any of the objects.
#[derive(Debug)]
pub enum Change {
    /// The KafkaCluster.
    Cluster(Of<KafkaCluster>),
    /// A KafkaTopic.
    Topic(Of<KafkaTopic>),
    /// A KafkaPartitions object.
    Partitions(Of<KafkaPartitions>),
    /// The Lease of a broker.
    Lease(Of<Lease>),
}

/// A change of an object, or of what is known of all of its kind.
#[derive(Debug)]
pub enum Of<K> {
    /// The object is new, or has changed, or was listed again.
    Applied(Box<K>),
    /// The object of that name is gone.
    Gone(String),
    /// A list is complete.
    Listed,
    /// The watch broke: what is known may be old.
    Broken,
}

/// All changes of a cluster's objects, for ever. `registered` tells when the API server goes back in time: watches know
/// nothing of it, and would wait for versions that are long to come.
pub fn changes(
    client: &Client,
    place: &Place,
    registered: tokio::sync::watch::Receiver<Registered>,
) -> impl Stream<Item = Change> + Send + Unpin + use<> {
    let of_cluster = || Config::default().fields(&format!("spec.cluster={}", place.cluster));
    let itself = Config::default().fields(&format!("metadata.name={}", place.cluster));
    let labelled = Config::default().labels(&format!("{}={}", names::CLUSTER, place.cluster));
    let namespace = place.namespace.as_str();
    let streams: [BoxStream<'static, Change>; 4] = [
        follow(client, namespace, itself, &registered).map(Change::Cluster).boxed(),
        follow(client, namespace, labelled, &registered).map(Change::Lease).boxed(),
        follow(client, namespace, of_cluster(), &registered).map(Change::Partitions).boxed(),
        follow(client, namespace, of_cluster(), &registered).map(Change::Topic).boxed(),
    ];
    stream::select_all(streams)
}

/// One watch. An object that does not fit its type is left out, and hides no other.
fn follow<K>(
    client: &Client,
    namespace: &str,
    config: Config,
    registered: &tokio::sync::watch::Receiver<Registered>,
) -> impl Stream<Item = Of<K>> + Send + use<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let api: Api<DeserializeGuard<K>> = Api::namespaced(client.clone(), namespace);
    let mut objects = Objects::<K>::new();
    let config = config.timeout(WATCH_SECONDS);
    let registered = registered.clone();
    // One watch after the other: each begins with a list, and ends when the API server went back in time.
    let watches = stream::repeat_with(move || {
        let mut registered = registered.clone();
        let restores = registered.borrow().restores;
        let restored = async move {
            if registered.wait_for(|now| now.restores != restores).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let watch = watcher(api.clone(), config.clone()).backoff(Patience::default());
        watch.take_until(Box::pin(restored))
    });
    watches.flatten().flat_map(move |event| stream::iter(objects.take(event)))
}

/// The names of one kind's objects, so that a new list shows which are gone.
struct Objects<K> {
    known: HashSet<String>,
    listed: HashSet<String>,
    outage: Outage,
    kind: std::marker::PhantomData<fn() -> K>,
}

impl<K: Resource<DynamicType = ()>> Objects<K> {
    fn new() -> Self {
        let (known, listed) = (HashSet::new(), HashSet::new());
        Objects { known, listed, outage: Outage::default(), kind: std::marker::PhantomData }
    }

    fn take(&mut self, event: watcher::Result<Event<DeserializeGuard<K>>>) -> Vec<Of<K>> {
        let event = match event {
            Ok(event) => event,
            Err(error) => return self.broke(&error),
        };
        // The start of a list is no answer of the API server yet.
        if !matches!(event, Event::Init)
            && let Some(outage) = self.outage.ends()
        {
            info!(kind = %K::kind(&()), ?outage, "the watch works again");
        }
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(object.name_any());
                self.applied(object)
            }
            Event::Apply(object) => self.applied(object),
            Event::Delete(object) => self.gone(object.name_any()).into_iter().collect(),
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let missing: Vec<String> = self.known.difference(&listed).cloned().collect();
                missing.into_iter().filter_map(|name| self.gone(name)).chain([Of::Listed]).collect()
            }
        }
    }

    fn applied(&mut self, object: DeserializeGuard<K>) -> Vec<Of<K>> {
        let name = object.name_any();
        match object.0 {
            Ok(object) => {
                self.known.insert(name);
                vec![Of::Applied(Box::new(object))]
            }
            Err(error) => {
                // What was known of it stays: less harm comes of an old state than of none.
                warn!(kind = %K::kind(&()), name, %error, "an object that cannot be read is left out");
                Vec::new()
            }
        }
    }

    fn gone(&mut self, name: String) -> Option<Of<K>> {
        self.known.remove(&name).then_some(Of::Gone(name))
    }

    fn broke(&mut self, error: &watcher::Error) -> Vec<Of<K>> {
        let error = causes(error);
        if self.outage.begins() {
            warn!(kind = %K::kind(&()), error, "a watch broke; what is known stays as it is");
        } else {
            debug!(kind = %K::kind(&()), error, "the watch is still broken");
        }
        vec![Of::Broken]
    }
}

/// Waits between attempts: 0.1 s at first, for an API server that is back is wanted soon, and up to 3 s. Brokers spread
/// over the last half of each wait, so that they do not come back all at once.
#[derive(Default)]
struct Patience {
    failures: u32,
    last: Option<Instant>,
    random: RandomState,
}

impl Patience {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(3);
    /// After so long without a failure the next one is the first again.
    const QUIET: Duration = Duration::from_secs(10);

    fn wait(&mut self, now: Instant) -> Duration {
        if self.last.replace(now).is_some_and(|last| now.saturating_duration_since(last) > Self::QUIET) {
            self.failures = 0;
        }
        let wait = Self::FIRST.saturating_mul(1 << self.failures.min(6)).min(Self::LONGEST);
        let spread = u32::try_from(self.random.hash_one(self.failures) % 50).unwrap_or(0);
        self.failures = self.failures.saturating_add(1);
        wait * (100 - spread) / 100
    }
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.wait(Instant::now()))
    }
}

impl Backoff for Patience {
    /// Called for every item, also for [`Event::Init`], which comes before the API server was asked anything: no sign
    /// that it works.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests;
