//! What is known of clusters, as watches bring it.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;

const CLUSTER: &str = "demo";

fn world() -> (World, Arc<AtomicUsize>) {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let world = World::new(Clock::start(), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    (world, begun)
}

fn object<K: serde::de::DeserializeOwned>(kind: &str, name: &str, version: u32, spec: Value) -> K {
    let metadata = json!({
        "name": name, "namespace": "ns", "uid": format!("00000000-0000-0000-0000-{version:012}"),
        "resourceVersion": version.to_string(),
    });
    serde_json::from_value(json!({
        "apiVersion": "milena.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec,
    }))
    .unwrap()
}

fn cluster() -> KafkaCluster {
    object("KafkaCluster", CLUSTER, 1, json!({ "brokers": 1, "storage": { "size": "1Gi" } }))
}

fn topic(name: &str, version: u32) -> KafkaTopic {
    object("KafkaTopic", name, version, json!({ "cluster": CLUSTER, "partitions": 1 }))
}

fn known(world: &World) -> Option<Arc<Handle>> {
    world.clusters.lock().unwrap().get(&("ns".to_owned(), CLUSTER.to_owned())).cloned()
}

#[test]
fn a_cluster_is_known_as_long_as_anything_speaks_of_it() {
    let (world, begun) = world();
    world.topic(Change::Found(topic("early", 2)));
    let handle = known(&world).unwrap();
    assert!(handle.state().cluster.is_none());
    world.cluster(Change::Applied(cluster()));
    assert!(handle.state().cluster.is_some(), "it is the same one");
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    world.cluster(Change::Deleted(cluster()));
    assert!(!handle.is_closed(), "its topic is left");
    world.topic(Change::Deleted(topic("early", 2)));
    assert!(handle.is_closed() && known(&world).is_none());
    world.cluster(Change::Applied(cluster()));
    assert_eq!(begun.load(Ordering::SeqCst), 2, "under its name another one begins");
}

#[test]
fn an_older_version_of_partitions_is_passed_over() {
    let (world, _) = world();
    world.cluster(Change::Applied(cluster()));
    let chunk = |version| -> KafkaPartitions {
        object("KafkaPartitions", "demo-0", version, json!({ "cluster": CLUSTER }))
    };
    world.chunk(Change::Applied(chunk(7)));
    world.chunk(Change::Applied(chunk(5)));
    let version = || known(&world).unwrap().state().objects.version(0);
    assert_eq!(version().as_deref(), Some("7"));
    world.chunk(Change::Deleted(chunk(6)));
    assert_eq!(version().as_deref(), Some("7"), "what was made anew since is not gone");
    world.chunk(Change::Deleted(chunk(8)));
    assert_eq!(version(), None);
}

#[test]
fn a_write_is_tested_against_the_version_that_was_decided_on() {
    let (world, _) = world();
    world.cluster(Change::Applied(cluster()));
    world.topic(Change::Applied(topic("sample", 2)));
    let chunk = |version, isr: &str| -> KafkaPartitions {
        let state = format!("replicas=0,1 leader=0 leaderEpoch=3 partitionEpoch={version} isr={isr} elr=");
        let key = "00000000-0000-0000-0000-000000000002/0";
        object(
            "KafkaPartitions",
            "demo-0",
            version,
            json!({ "cluster": CLUSTER, "partitions": { key: state } }),
        )
    };
    world.chunk(Change::Applied(chunk(7, "0.9f2c41d7-0,1.11d09ac2-0")));
    world.topic(Change::Deleted(topic("sample", 2)));
    let handle = known(&world).unwrap();
    let (plan, versions) = handle.state().plan("2026-01-01T00:00:00Z".parse().unwrap());
    // Before the plan is carried out, the leader's change of the ISR is seen.
    world.chunk(Change::Applied(chunk(9, "0.9f2c41d7-0")));
    assert_eq!(plan.chunks.len(), 1);
    assert_eq!(versions, [Some("7".to_owned())], "over version 9 it would take the change back");
    assert_eq!(handle.state().objects.version(0).as_deref(), Some("9"));
}

#[test]
fn partitions_of_an_earlier_cluster_are_not_taken_over() {
    let (world, _) = world();
    world.cluster(Change::Applied(cluster()));
    let mut old: KafkaPartitions = object("KafkaPartitions", "demo-0", 3, json!({ "cluster": CLUSTER }));
    old.metadata.owner_references = Some(vec![crate::api::owner(CLUSTER, "another-uid")]);
    world.chunk(Change::Applied(old));
    assert_eq!(known(&world).unwrap().state().objects.version(0), None);
}
