//! KafkaPartitions: the state of up to 256 partitions, owned by the machine.
// Columns of one type look like attributes given twice.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most partitions that one KafkaPartitions object holds; new objects are begun beyond it.
pub const MAX_PARTITIONS_PER_OBJECT: usize = 256;
/// Longest run of one topic's partitions that lies in one object, and never moves.
pub const RUN: usize = 64;

/// The state of partitions, and the ids of topics that were deleted.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "milena.dev",
    version = "v1alpha1",
    kind = "KafkaPartitions",
    plural = "kafkapartitions",
    singular = "kafkapartitions",
    shortname = "kp",
    namespaced,
    derive = "PartialEq",
    doc = "State of partitions, written by the operator and by partition leaders alone. To see a topic, look at its KafkaTopic.",
    selectable = ".spec.cluster",
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".spec.cluster",
        description = "Its KafkaCluster"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaPartitionsSpec {
    /// Name of the KafkaCluster.
    pub cluster: String,
    /// State by partition, `<topic id>/<partition>`: replicas, leader, leader epoch, partition epoch, in-sync
    /// replicas, eligible leader replicas.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub partitions: BTreeMap<String, String>,
    /// Ids of deleted topics, with the time of the deletion. Brokers drop their data.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub deleted: BTreeMap<String, String>,
    /// By broker id: the broker epoch in which the broker was last made leader of the partitions here. A broker with
    /// another epoch has restarted since, and leads again only in a new leader epoch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub broker_epochs: BTreeMap<String, i64>,
    /// Partitions whose state may be older than what brokers have acted on, and who says so. Nobody acts on it until
    /// the newest state that a replica remembers is put back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub held: BTreeMap<String, String>,
    /// The restored backup, as the annotation of the KafkaCluster declares it, that is taken note of here: what is not
    /// held since is the newest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub restored: String,
}

impl KafkaPartitionsSpec {
    /// The partitions on which nobody may act, by their keys: those that are held, or all where a restore is declared
    /// of which this object has not taken note.
    pub fn not_settled(&self, declared: Option<&str>) -> impl Iterator<Item = &String> {
        let all = declared.is_some_and(|declared| declared != self.restored);
        let every = all.then(|| self.partitions.keys());
        let some = (!all).then(|| self.held.keys());
        every.into_iter().flatten().chain(some.into_iter().flatten())
    }
}
