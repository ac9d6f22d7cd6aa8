//! The StatefulSet that runs the brokers.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use milena_crds::names;

use super::{label_selector, metadata, pod, selector};
use crate::cluster::validate::Resolved;

/// Seconds that a broker has to serve before the next one is restarted: until every node knows which address is behind its
/// Service now, so that who is sent there by the next one's going finds it.
const SETTLED: i32 = 3;

/// Brokers start together, for they do not wait for each other, and are updated one by one, the next one only when
/// the last one serves again.
pub fn stateful_set(cluster: &Resolved) -> StatefulSet {
    StatefulSet {
        metadata: metadata(cluster, names::headless_service(&cluster.name)),
        spec: Some(StatefulSetSpec {
            replicas: Some(cluster.brokers),
            service_name: Some(names::headless_service(&cluster.name)),
            selector: label_selector(&cluster.name),
            min_ready_seconds: Some(SETTLED),
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: None,
            }),
            persistent_volume_claim_retention_policy: Some(retention(cluster)),
            template: pod::template(cluster),
            volume_claim_templates: Some(
                pod::volumes(cluster).map(|volume| claim(cluster, volume.name)).collect(),
            ),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

/// Scaling down keeps the volume, so that scaling up again finds the records.
fn retention(cluster: &Resolved) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let deleted = if cluster.spec.storage.delete_with_cluster { "Delete" } else { "Retain" };
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(deleted.to_owned()),
        when_scaled: Some("Retain".to_owned()),
    }
}

fn claim(cluster: &Resolved, name: String) -> PersistentVolumeClaim {
    let storage = &cluster.spec.storage;
    let requests = BTreeMap::from([("storage".to_owned(), storage.size.clone())]);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name),
            labels: Some(selector(&cluster.name)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements { requests: Some(requests), limits: None }),
            storage_class_name: storage.storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
