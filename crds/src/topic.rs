//! KafkaTopic: a topic, whoever made it.
// Columns of one type look like attributes given twice.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{ConfigValue, names};

/// Most partitions that one topic may have.
pub const MAX_PARTITIONS: i32 = 10_000;

/// What the user wants of a topic.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "milena.dev",
    version = "v1alpha1",
    kind = "KafkaTopic",
    plural = "kafkatopics",
    shortname = "kt",
    category = "milena",
    namespaced,
    status = "KafkaTopicStatus",
    derive = "PartialEq",
    doc = "A topic of a KafkaCluster in the same namespace. Topics that Kafka clients create appear here too.",
    selectable = ".spec.cluster",
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".spec.cluster",
        description = "Its KafkaCluster"
    ),
    printcolumn(
        name = "Partitions",
        type_ = "integer",
        json_path = ".spec.partitions",
        description = "Partitions wanted"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".spec.replicas",
        description = "Replicas wanted of each partition"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether every partition has a leader"
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
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why, in one word",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTopicSpec {
    /// Name of the KafkaCluster, in the same namespace. It cannot change.
    #[schemars(length(min = 1, max = 253))]
    pub cluster: String,
    /// Kafka's name of the topic, where it is not the name of this object (`Orders.v1`). It cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 249))]
    pub topic_name: Option<String>,
    /// How many partitions the topic has. The number can grow, never shrink.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub partitions: i32,
    /// How many brokers hold a copy of each partition. Where it changes, replicas are added or removed.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub replicas: i32,
    /// Topic settings under Kafka's own names. A setting that is taken out goes back to the cluster's default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::settings::topic_config_schema")]
    pub config: BTreeMap<String, ConfigValue>,
}

/// Kafka's own defaults of num.partitions and default.replication.factor.
fn one() -> i32 {
    1
}

/// What the operator sees of a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTopicStatus {
    /// Conditions; the one of type Ready says whether every partition has a leader, and if not what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The topic's id. A topic made anew under an old name has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// Kafka's name of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,
    /// Partitions that exist.
    #[serde(default)]
    pub partitions: i32,
    /// Replicas of each partition.
    #[serde(default)]
    pub replicas: i32,
    /// Partitions without a leader.
    #[serde(default)]
    pub offline_partitions: i32,
    /// Partitions of which some replica is not in sync.
    #[serde(default)]
    pub under_replicated_partitions: i32,
    /// Partitions that move to other brokers, or to more or fewer of them.
    #[serde(default)]
    pub reassigning_partitions: i32,
}

impl KafkaTopic {
    /// The id of the topic: that of an orphan's data that the annotation adopts, else the object's uid.
    ///
    /// `None` for an object that the API server has not seen yet, or whose annotation is no UUID.
    #[must_use]
    pub fn topic_id(&self) -> Option<Uuid> {
        match self.annotations().get(names::TOPIC_ID) {
            Some(adopted) => Uuid::parse_str(adopted).ok(),
            None => self.metadata.uid.as_deref().and_then(|uid| Uuid::parse_str(uid).ok()),
        }
    }

    /// Kafka's name of the topic: `spec.topicName`, else the name of the object.
    #[must_use]
    pub fn topic_name(&self) -> &str {
        match &self.spec.topic_name {
            Some(name) => name,
            None => self.metadata.name.as_deref().unwrap_or_default(),
        }
    }
}
