//! Cluster `demo` in a real API server, with its operator's part played by the test.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use milena_broker::{
    cluster::ClusterImage,
    coordination::{
        Coordination as _, NewTopic,
        kubernetes::{Kubernetes, Place},
    },
};
use milena_crds::{
    KafkaCluster, KafkaPartitions, KafkaPartitionsSpec, KafkaTopic, KafkaTopicSpec, names,
    partition::Generation,
};
use milena_storage::{LogDirs, Owner};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::control_plane::ControlPlane;

/// Longer than anything takes that is expected to happen.
pub const SOON: Duration = Duration::from_secs(20);
pub const GENERATION: Generation = Generation { disk: 0x9f2c_41d7, unclean_starts: 0 };

/// Cluster `demo` with its API server, and the data directory of its broker 0.
pub struct Scene {
    pub plane: ControlPlane,
    pub data_dir: TempDir,
    /// Two log directories in it.
    pub dirs: LogDirs,
}

impl Scene {
    /// An API server with the KafkaCluster.
    pub async fn new(assets: &Path) -> Scene {
        let plane = ControlPlane::start(assets).await;
        plane.install().await;
        let cluster = json!({
            "apiVersion": "milena.dev/v1alpha1",
            "kind": "KafkaCluster",
            "metadata": { "name": "demo" },
            "spec": { "brokers": 2, "storage": { "size": "1Gi" }, "config": { "num.partitions": "3" } },
        });
        let data_dir = TempDir::new().unwrap();
        let owner = Owner { cluster_id: None, node_id: 0 };
        let dirs = LogDirs::open(&["0", "1"].map(|name| data_dir.path().join(name)), owner).unwrap();
        let scene = Scene { plane, data_dir, dirs };
        let cluster = serde_json::from_value(cluster).unwrap();
        scene.api::<KafkaCluster>().create(&PostParams::default(), &cluster).await.unwrap();
        scene
    }

    /// Objects of the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.plane.client.clone(), "default")
    }

    /// Broker 0, in this process.
    pub async fn start_broker(&self) -> Kubernetes {
        let place = Place {
            cluster: "demo".into(),
            namespace: "default".into(),
            pod: "demo-0".into(),
            broker: 0,
            pod_ip: Some("10.0.0.7".into()),
            rack: Some("a".into()),
        };
        let start = Kubernetes::start(place, GENERATION, &self.dirs, self.plane.access.clone());
        timeout(SOON, start).await.expect("no picture of the cluster").unwrap()
    }

    /// The Lease of broker 0.
    pub async fn lease(&self) -> Lease {
        self.api::<Lease>().get("demo-0").await.unwrap()
    }

    /// Waits for the Lease of this start.
    pub async fn is_registered(&self, epoch: i32) -> Lease {
        let begun = Instant::now();
        loop {
            let lease = self.api::<Lease>().get_opt("demo-0").await.unwrap();
            let registered =
                lease.filter(|lease| lease.spec.as_ref().unwrap().lease_transitions == Some(epoch));
            if let Some(lease) = registered {
                assert_eq!(lease.labels()[names::CLUSTER], "demo");
                assert_eq!(lease.labels()[names::BROKER], "0");
                let annotation = |name: &str| lease.annotations().get(name).map(String::as_str);
                assert_eq!(annotation(names::ENDPOINT), Some("demo-broker-0.default.svc:9092"));
                assert_eq!(annotation(names::POD_IP), Some("10.0.0.7"));
                assert_eq!(annotation(names::RACK), Some("a"));
                assert_eq!(annotation(names::LOG_GENERATION), Some("9f2c41d7-0"));
                assert_eq!(annotation(names::DRAINING), None);
                assert_eq!(lease.owner_references()[0].kind, "KafkaCluster");
                return lease;
            }
            assert!(begun.elapsed() < SOON, "not registered in broker epoch {epoch}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the operator does for a topic: one leader, broker 0, for each partition.
    pub async fn lead(&self, id: Uuid, partitions: i32, epoch: i32) {
        self.lead_by(0, &GENERATION.to_string(), id, partitions, epoch).await;
    }

    /// The same with another leader.
    pub async fn lead_by(&self, leader: i32, generation: &str, id: Uuid, partitions: i32, epoch: i32) {
        let state = format!(
            "replicas={leader} leader={leader} leaderEpoch={epoch} partitionEpoch={epoch} \
             isr={leader}.{generation} elr="
        );
        self.write_states((0..partitions).map(|index| (format!("{id}/{index}"), state.clone())).collect())
            .await;
    }

    /// Writes the states of all partitions that there are.
    pub async fn write_states(&self, states: BTreeMap<String, String>) {
        let spec = KafkaPartitionsSpec { cluster: "demo".into(), partitions: states, ..Default::default() };
        let object = KafkaPartitions::new("demo-0", spec);
        let parameters = PatchParams::apply("operator").force();
        self.api::<KafkaPartitions>().patch("demo-0", &parameters, &Patch::Apply(&object)).await.unwrap();
    }

    /// Makes a KafkaTopic as a user does.
    pub async fn make(&self, object: &str, cluster: &str, topic: Option<&str>) {
        let spec = KafkaTopicSpec {
            cluster: cluster.into(),
            topic_name: topic.map(str::to_owned),
            partitions: 1,
            replicas: 1,
            config: BTreeMap::new(),
        };
        let metadata = ObjectMeta { name: Some(object.to_owned()), ..ObjectMeta::default() };
        let topic = KafkaTopic { metadata, spec, status: None };
        self.api::<KafkaTopic>().create(&PostParams::default(), &topic).await.unwrap();
    }
}

pub fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic { name: name.to_owned(), partitions, replicas: 1, config: BTreeMap::new() }
}

/// Waits until the broker's picture is as expected.
pub async fn sees(broker: &Kubernetes, expected: impl Fn(&ClusterImage) -> bool) {
    let mut images = broker.image();
    let seen = images.wait_for(|image: &Arc<ClusterImage>| expected(image));
    let done = timeout(SOON, seen).await.map(|seen| seen.is_ok());
    assert_eq!(done.ok(), Some(true), "{:?}", broker.image().borrow());
}
