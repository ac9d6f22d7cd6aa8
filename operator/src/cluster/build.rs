//! Step three: the objects that a KafkaCluster is made of. Pure.

mod access;
mod config;
mod network;
mod pod;
mod stateful_set;

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::core::{ApiResource, DynamicObject};
use milena_crds::names;
use serde::Serialize;

use super::validate::Resolved;
use crate::api::{MANAGER, owner};

/// Kinds of objects that a KafkaCluster owns, in the order in which they are applied: what others need comes first.
pub fn kinds() -> [ApiResource; 7] {
    use k8s_openapi::api::{apps::v1 as apps, core::v1 as core, policy::v1 as policy, rbac::v1 as rbac};
    [
        ApiResource::erase::<core::ServiceAccount>(&()),
        ApiResource::erase::<rbac::Role>(&()),
        ApiResource::erase::<rbac::RoleBinding>(&()),
        ApiResource::erase::<core::ConfigMap>(&()),
        ApiResource::erase::<core::Service>(&()),
        ApiResource::erase::<policy::PodDisruptionBudget>(&()),
        ApiResource::erase::<apps::StatefulSet>(&()),
    ]
}

/// An object as it should be.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Its kind.
    pub resource: ApiResource,
    /// Its content, as it is sent.
    pub object: DynamicObject,
}

/// Every object of the cluster, in the order in which they are applied.
///
/// # Errors
/// When an object cannot be written as JSON.
pub fn build(cluster: &Resolved) -> Result<Vec<Desired>, serde_json::Error> {
    let before = [
        erase(access::service_account(cluster)),
        erase(access::role(cluster)),
        erase(access::role_binding(cluster)),
        erase(config::config_map(cluster)),
        erase(network::headless_service(cluster)),
        erase(network::bootstrap_service(cluster)),
        erase(network::disruption_budget(cluster)),
    ];
    let brokers = (0..cluster.brokers).map(|broker| erase(network::broker_service(cluster, broker)));
    before.into_iter().chain(brokers).chain([erase(stateful_set::stateful_set(cluster))]).collect()
}

fn erase<K>(object: K) -> Result<Desired, serde_json::Error>
where
    K: kube::Resource<DynamicType = ()> + Serialize,
{
    let object = serde_json::from_value(serde_json::to_value(object)?)?;
    Ok(Desired { resource: ApiResource::erase::<K>(&()), object })
}

/// Labels by which the brokers' pods are found. They cannot change in the life of a StatefulSet.
pub fn selector(cluster: &str) -> BTreeMap<String, String> {
    [(names::CLUSTER, cluster), (names::COMPONENT, "broker")]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Labels of every object of a cluster.
fn labels(cluster: &str) -> BTreeMap<String, String> {
    let mut labels = selector(cluster);
    for (key, value) in
        [(names::APP_NAME, "milena"), (names::APP_INSTANCE, cluster), (names::MANAGED_BY, MANAGER)]
    {
        labels.insert(key.to_owned(), value.to_owned());
    }
    labels
}

/// Metadata of an object of the cluster, which goes when the KafkaCluster does.
fn metadata(cluster: &Resolved, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(labels(&cluster.name)),
        owner_references: Some(vec![owner(&cluster.name, &cluster.uid)]),
        ..ObjectMeta::default()
    }
}

fn label_selector(cluster: &str) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(cluster)), match_expressions: None }
}
