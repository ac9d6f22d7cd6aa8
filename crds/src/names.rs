//! Names: of topics in Kafka and in Kubernetes, of the objects of a cluster, of labels and annotations.

mod objects;
mod topic;

#[cfg(test)]
mod tests;

pub use objects::{
    bootstrap_service, broker_host, broker_of_pod, broker_service, chunk_of_object, config_map,
    headless_service, kafka_uuid, partitions_object, pod,
};
pub use topic::{InvalidName, MAX_TOPIC_NAME, check_topic_name, metric_name, object_name, object_name_in};

/// Label on every object of a cluster: the name of its KafkaCluster.
pub const CLUSTER: &str = "milena.dev/cluster";
/// Label on pods and leases of brokers: the broker id.
pub const BROKER: &str = "milena.dev/broker";
/// Label on objects that the operator or a broker made: what they are for, for example `broker`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Kubernetes' label for the program that looks after an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Kubernetes' label for the application.
pub const APP_NAME: &str = "app.kubernetes.io/name";
/// Kubernetes' label for the instance of the application: the name of the KafkaCluster.
pub const APP_INSTANCE: &str = "app.kubernetes.io/instance";

/// Annotation of a KafkaTopic: the id of a missing topic whose data it adopts.
pub const TOPIC_ID: &str = "milena.dev/topic-id";
/// Annotation of a KafkaCluster: ids of missing topics whose data may go, with commas between them.
pub const DROP_TOPICS: &str = "milena.dev/drop-topics";
/// Annotation of a KafkaTopic: elections to hold, as [`crate::elections`] describes them. The operator takes it away.
pub const ELECT_LEADERS: &str = "milena.dev/elect-leaders";
/// Annotation of a KafkaTopic: where its partitions are to move, see [`crate::moves::Moves`]. The operator takes it out
/// once they have begun to.
pub const REASSIGN: &str = "milena.dev/reassign";
/// Annotation of a KafkaCluster: ids of brokers that are to have no partitions, with commas between them.
pub const EMPTY_BROKERS: &str = "milena.dev/empty-brokers";
/// Annotation of a KafkaCluster: etcd was restored from a backup, see [`crate::restore::Declared`]. The operator takes it
/// out once the newest state of every partition is put back.
pub const RESTORED: &str = "milena.dev/restored";
/// Annotation of any object of ours: with the value `true` the operator leaves it alone.
pub const PAUSED: &str = "milena.dev/paused";
/// Annotation of objects that the operator applied: hash of what it applied.
pub const APPLIED: &str = "milena.dev/applied";
/// Annotation of the pod template: hash of the settings that need a restart.
pub const RESTART_SETTINGS: &str = "milena.dev/restart-settings";

/// Annotation of a broker's Lease: where clients reach it, `host:port`.
pub const ENDPOINT: &str = "milena.dev/endpoint";
/// Annotation of a broker's Lease: IP address of its pod.
pub const POD_IP: &str = "milena.dev/pod-ip";
/// Annotation of a broker's Lease: the zone of its node.
pub const RACK: &str = "milena.dev/rack";
/// Annotation of a broker's Lease: generation of its data directory.
pub const LOG_GENERATION: &str = "milena.dev/log-generation";
/// Annotation of a broker's Lease: `true` while it wants to be rid of its leadership.
pub const DRAINING: &str = "milena.dev/draining";
/// Annotation of a broker's Lease: the partitions that it cannot serve, as [`crate::partition::Offline`] writes them.
pub const OFFLINE_PARTITIONS: &str = "milena.dev/offline-partitions";
/// Annotation of a broker's Lease: partitions of which it remembers a newer state than the API server shows, as
/// [`crate::partition::Offline`] writes them.
pub const OLDER_STATES: &str = "milena.dev/older-states";
/// Annotation of a broker's Lease, written by the operator, which believes that the process of that broker epoch is gone:
/// leaders remove it from their in-sync replicas. A renewal takes it away.
pub const BELIEVED_DEAD: &str = "milena.dev/believed-dead";
/// Annotation of a broker's Lease: version of Milena that it runs.
pub const BROKER_VERSION: &str = "milena.dev/version";

/// Port of Kafka clients.
pub const KAFKA_PORT: u16 = 9092;
/// Port of probes and metrics.
pub const HTTP_PORT: u16 = 9404;
