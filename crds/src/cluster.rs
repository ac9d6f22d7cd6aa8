//! KafkaCluster: brokers, their storage and their settings.
// Columns of one type look like attributes given twice.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ConfigValue;

/// Most brokers that one KafkaCluster may have.
pub const MAX_BROKERS: i32 = 1000;
/// Most volumes of a broker.
pub const MAX_VOLUMES: i32 = 16;

/// What the user wants of a Kafka cluster.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "milena.dev",
    version = "v1alpha1",
    kind = "KafkaCluster",
    plural = "kafkaclusters",
    shortname = "kc",
    category = "milena",
    namespaced,
    status = "KafkaClusterStatus",
    derive = "PartialEq",
    doc = "A Kafka cluster: brokers that Kafka clients reach at the Service <name>-bootstrap, port 9092.",
    scale(
        spec_replicas_path = ".spec.brokers",
        status_replicas_path = ".status.brokers",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Brokers",
        type_ = "integer",
        json_path = ".spec.brokers",
        description = "Brokers wanted"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the cluster serves"
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        description = "Version of Milena that every broker runs"
    ),
    printcolumn(
        name = "Offline",
        type_ = "integer",
        json_path = ".status.offlinePartitions",
        description = "Partitions without a leader"
    ),
    printcolumn(
        name = "Under-Replicated",
        type_ = "integer",
        json_path = ".status.underReplicatedPartitions",
        description = "Partitions of which some replica is not in sync"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterSpec {
    /// How many brokers run. Brokers have the ids 0, 1, 2, …; scaling down takes the highest away.
    #[serde(default = "one_broker")]
    #[schemars(range(min = 0, max = 1000))]
    pub brokers: i32,
    /// The volumes of each broker.
    pub storage: Storage,
    /// Broker settings under Kafka's own names, the defaults of topics among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::settings::broker_config_schema")]
    pub config: BTreeMap<String, ConfigValue>,
    /// CPU and memory of each broker's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Where the brokers' pods run and what they carry.
    #[serde(default, skip_serializing_if = "PodOptions::is_default")]
    pub pod: PodOptions,
    /// Image of the brokers. Left out: the one that the operator was installed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,
}

/// One broker: the least that works, more is a decision about cost.
fn one_broker() -> i32 {
    1
}

/// The volumes of each broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of each volume, for example 10Gi. It can grow where the storage class allows it, never shrink.
    pub size: Quantity,
    /// How many volumes each broker has, with a log directory on each (Kafka's log.dirs). More can be added, for which
    /// the brokers restart one by one; none can be taken away.
    #[serde(default = "one_volume")]
    #[schemars(range(min = 1, max = 16))]
    pub volumes: i32,
    /// Storage class of the volumes. Left out: the default class of the Kubernetes cluster. It cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// Whether the volumes go when the KafkaCluster is deleted. By default they stay, with all records.
    #[serde(default)]
    pub delete_with_cluster: bool,
}

/// One volume: a disk each is for those who have several.
fn one_volume() -> i32 {
    1
}

/// Where the brokers' pods run and what they carry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodOptions {
    /// Labels to add to the pods. Those that the operator sets win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations to add to the pods. Those that the operator sets win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pods. Left out: brokers keep apart from each other by node where they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How the pods spread over the cluster. Left out: evenly over zones where there are zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// Priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Secrets with which the image is pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

impl PodOptions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What the operator sees of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterStatus {
    /// Conditions; the one of type Ready says whether the cluster serves, and if not what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Brokers that have a pod.
    #[serde(default)]
    pub brokers: i32,
    /// Brokers that serve clients.
    #[serde(default)]
    pub ready_brokers: i32,
    /// Label selector of the brokers' pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Version of Milena that every broker runs; left out while it differs between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The cluster id as Kafka clients see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
    /// Topics of this cluster.
    #[serde(default)]
    pub topics: i32,
    /// Partitions of those topics.
    #[serde(default)]
    pub partitions: i32,
    /// Partitions without a leader: nobody can produce to them or consume from them.
    #[serde(default)]
    pub offline_partitions: i32,
    /// Partitions of which some replica is not in sync. They serve, but the loss of another broker may cost more.
    #[serde(default)]
    pub under_replicated_partitions: i32,
    /// Partitions that move between brokers.
    #[serde(default)]
    pub reassigning_partitions: i32,
    /// Replicas on brokers that are to have none: they leave a few at a time.
    #[serde(default)]
    pub replicas_to_move: i32,
    /// Topics whose KafkaTopic was found missing without its deletion having been seen. Their data is kept for
    /// a day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_topics: Vec<MissingTopic>,
}

/// One address of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Name of the listener.
    pub name: String,
    /// What clients take as bootstrap.servers.
    pub bootstrap_servers: String,
}

/// A topic that has data but no KafkaTopic.
///
/// To adopt it, create a KafkaTopic with the annotation `milena.dev/topic-id: <topicId>`; to drop it, add its id
/// to the annotation `milena.dev/drop-topics` of the KafkaCluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MissingTopic {
    /// The topic's id.
    pub topic_id: String,
    /// How many of its partitions are known.
    pub partitions: i32,
    /// When it was found missing.
    pub since: Time,
    /// When its data goes if nobody adopts it.
    pub keep_until: Time,
}
