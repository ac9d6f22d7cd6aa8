//! Watches: each change of an object once, trimmed to what is of use, and told apart where it matters: an object that
//! was seen to go, and one that is only found missing.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::core::DeserializeGuard;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::metrics::Metrics;

/// What kubectl keeps of what it last applied.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Length of one watch in seconds; a connection that was cut without a word is noticed when it is over.
const WATCH_SECONDS: u32 = 30;

/// Namespace and name of an object.
pub type ObjectName = (String, String);

/// A change of one object, or of what is known of all of a kind.
#[derive(Debug)]
pub enum Change<K> {
    /// The object is new, or has changed.
    Applied(K),
    /// The object was in a list: it may be as old as you like.
    Found(K),
    /// The object was seen to go; this is its last state.
    Deleted(K),
    /// The object is missing from a new list: it went while nobody looked.
    Missing {
        /// Which object.
        name: ObjectName,
        /// Its KafkaCluster, by namespace and name.
        cluster: ObjectName,
    },
    /// A list is complete.
    Listed,
    /// The watch is broken; what is known may be old.
    Broken,
}

/// What a kind is watched for.
pub struct Watch<K: Resource> {
    /// Where.
    pub api: Api<DeserializeGuard<K>>,
    /// Which objects.
    pub config: Config,
    /// Resource in the plural, for logs and counts.
    pub resource: String,
    /// The name of the KafkaCluster that an object belongs to; objects without one are left out.
    pub cluster_of: fn(&K) -> Option<String>,
}

/// Follows a watch for ever, and hands each change to `sink`.
pub async fn follow<K>(watch: Watch<K>, metrics: Metrics, mut sink: impl FnMut(Change<K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut index = Index::default();
    let mut stream =
        watcher(watch.api, watch.config.timeout(WATCH_SECONDS)).backoff(Patience::default()).boxed();
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => {
                metrics.saw(&watch.resource);
                index.take(event, watch.cluster_of, &mut sink);
            }
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(resource = watch.resource, %error, "a watch broke; trying again");
                sink(Change::Broken);
            }
        }
    }
}

/// Which objects are known, so that a new list shows which are missing.
#[derive(Default)]
struct Index {
    known: HashMap<ObjectName, ObjectName>,
    listed: HashSet<ObjectName>,
}

impl Index {
    fn take<K: Resource>(
        &mut self,
        event: Event<DeserializeGuard<K>>,
        cluster_of: fn(&K) -> Option<String>,
        sink: &mut impl FnMut(Change<K>),
    ) {
        match event {
            Event::Init => self.listed.clear(),
            Event::Apply(object) => self.apply(object, cluster_of, sink, false),
            Event::InitApply(object) => self.apply(object, cluster_of, sink, true),
            Event::Delete(object) => match (self.known.remove(&name_of(&object)), object.0) {
                (Some(_), Ok(object)) => sink(Change::Deleted(trim(object))),
                (Some(cluster), Err(invalid)) => {
                    let metadata = invalid.metadata;
                    let name = (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
                    sink(Change::Missing { name, cluster });
                }
                (None, _) => {}
            },
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let missing: Vec<_> =
                    self.known.keys().filter(|name| !listed.contains(*name)).cloned().collect();
                for name in missing {
                    if let Some(cluster) = self.known.remove(&name) {
                        sink(Change::Missing { name, cluster });
                    }
                }
                sink(Change::Listed);
            }
        }
    }

    fn apply<K: Resource>(
        &mut self,
        object: DeserializeGuard<K>,
        cluster_of: fn(&K) -> Option<String>,
        sink: &mut impl FnMut(Change<K>),
        listing: bool,
    ) {
        let name = name_of(&object);
        if listing {
            self.listed.insert(name.clone());
        }
        let object = match object.0 {
            Ok(object) => object,
            Err(error) => {
                // What was known of it stays: less harm comes of an old state than of none.
                tracing::warn!(namespace = name.0, name = name.1, %error, "an object that cannot be read is left out");
                return;
            }
        };
        let Some(cluster) = cluster_of(&object) else {
            // Somebody took away the label that says whose it is.
            if let Some(cluster) = self.known.remove(&name) {
                sink(Change::Missing { name, cluster });
            }
            return;
        };
        let cluster = (name.0.clone(), cluster);
        // An object whose cluster has changed is gone for the former one.
        match self.known.insert(name.clone(), cluster.clone()) {
            Some(former) if former != cluster => sink(Change::Missing { name, cluster: former }),
            _ => {}
        }
        let object = trim(object);
        sink(if listing { Change::Found(object) } else { Change::Applied(object) });
    }
}

/// Namespace and name of an object.
pub fn name_of<K: Resource>(object: &K) -> ObjectName {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Without what only the API server and kubectl need, which is most of an object.
fn trim<K: Resource>(mut object: K) -> K {
    object.managed_fields_mut().clear();
    object.annotations_mut().remove(LAST_APPLIED);
    object
}

/// After so long without a failure the next one is the first again.
const CALM: Duration = Duration::from_secs(30);

/// Waits from 100 ms to 5 s between attempts: an API server that is back is wanted soon.
#[derive(Debug, Default)]
struct Patience {
    failures: u32,
    last: Option<Instant>,
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let calm = self.last.replace(Instant::now()).is_some_and(|last| last.elapsed() > CALM);
        if calm {
            self.failures = 0;
        }
        let wait = Duration::from_millis(100).saturating_mul(1 << self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        Some(wait.min(Duration::from_secs(5)))
    }
}

impl Backoff for Patience {
    /// Called at each event, the first of which comes before anything is asked: only calm starts over.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use kube::core::error_boundary::InvalidObject;

    use super::*;

    fn object(name: &str, cluster: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some("ns".to_owned());
        object.metadata.name = Some(name.to_owned());
        object.labels_mut().insert("cluster".to_owned(), cluster.to_owned());
        object
    }

    fn seen(index: &mut Index, events: Vec<Event<ConfigMap>>) -> Vec<String> {
        let mut seen = Vec::new();
        let cluster_of = |object: &ConfigMap| object.labels().get("cluster").cloned();
        for event in events {
            let event = match event {
                Event::Init => Event::Init,
                Event::InitApply(object) => Event::InitApply(DeserializeGuard(Ok(object))),
                Event::InitDone => Event::InitDone,
                Event::Apply(object) => Event::Apply(DeserializeGuard(Ok(object))),
                Event::Delete(object) => Event::Delete(DeserializeGuard(Ok(object))),
            };
            index.take(event, cluster_of, &mut |change| {
                seen.push(match change {
                    Change::Applied(object) => format!("applied {}", object.name_any()),
                    Change::Found(object) => format!("found {}", object.name_any()),
                    Change::Deleted(object) => format!("deleted {}", object.name_any()),
                    Change::Missing { name, cluster } => format!("missing {} of {}", name.1, cluster.1),
                    Change::Listed => "listed".to_owned(),
                    Change::Broken => "broken".to_owned(),
                });
            });
        }
        seen
    }

    #[test]
    fn a_deletion_that_nobody_saw_is_told_apart() {
        let mut index = Index::default();
        let first = vec![
            Event::Init,
            Event::InitApply(object("a", "x")),
            Event::InitApply(object("b", "x")),
            Event::InitDone,
            Event::Delete(object("a", "x")),
            Event::Delete(object("never seen", "x")),
        ];
        assert_eq!(seen(&mut index, first), ["found a", "found b", "listed", "deleted a"]);
        let again = vec![Event::Init, Event::InitApply(object("c", "x")), Event::InitDone];
        assert_eq!(seen(&mut index, again), ["found c", "missing b of x", "listed"]);
    }

    #[test]
    fn an_object_that_cannot_be_read_hides_no_other_and_is_not_missing() {
        let mut index = Index::default();
        seen(&mut index, vec![Event::Apply(object("a", "x"))]);
        let metadata = object("a", "x").metadata;
        let invalid = InvalidObject { error: "no".to_owned(), metadata };
        let mut changes = 0;
        let mut sink = |change: Change<ConfigMap>| changes += usize::from(!matches!(change, Change::Listed));
        for event in [Event::Init, Event::InitApply(DeserializeGuard(Err(invalid.clone()))), Event::InitDone]
        {
            index.take(event, |_| None, &mut sink);
        }
        assert_eq!(changes, 0);
        assert_eq!(seen(&mut index, vec![Event::Delete(object("a", "x"))]), ["deleted a"]);
    }

    #[test]
    fn an_object_that_changes_its_cluster_is_gone_for_the_former() {
        let mut index = Index::default();
        let events = vec![Event::Apply(object("a", "x")), Event::Apply(object("a", "y"))];
        assert_eq!(seen(&mut index, events), ["applied a", "missing a of x", "applied a"]);
        let mut nobodys = object("a", "y");
        nobodys.labels_mut().clear();
        let events = vec![Event::Apply(nobodys.clone()), Event::Delete(nobodys)];
        assert_eq!(seen(&mut index, events), ["missing a of y"]);
    }
}
