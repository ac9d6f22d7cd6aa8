//! Who the brokers are, and the least that they may do.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use milena_crds::{GROUP, names};

use super::metadata;
use crate::cluster::validate::Resolved;

/// Service account, role and binding have one name.
pub fn account_name(cluster: &str) -> String {
    format!("{cluster}-broker")
}

pub fn service_account(cluster: &Resolved) -> ServiceAccount {
    ServiceAccount { metadata: metadata(cluster, account_name(&cluster.name)), ..ServiceAccount::default() }
}

/// Brokers read what concerns them, write topics for Kafka clients, their partitions' state and their own Lease.
pub fn role(cluster: &Resolved) -> Role {
    let own_leases = (0..cluster.brokers).map(|broker| names::pod(&cluster.name, broker)).collect();
    let leases = "coordination.k8s.io";
    let rules = vec![
        rule(GROUP, &["kafkaclusters"], &["get", "list", "watch"]),
        rule(GROUP, &["kafkatopics"], &["get", "list", "watch", "create", "patch", "delete"]),
        rule(GROUP, &["kafkapartitions"], &["get", "list", "watch", "patch"]),
        rule(leases, &["leases"], &["get", "list", "watch", "create"]),
        PolicyRule { resource_names: Some(own_leases), ..rule(leases, &["leases"], &["update", "patch"]) },
    ];
    Role { metadata: metadata(cluster, account_name(&cluster.name)), rules: Some(rules) }
}

pub fn role_binding(cluster: &Resolved) -> RoleBinding {
    let name = account_name(&cluster.name);
    RoleBinding {
        metadata: metadata(cluster, name.clone()),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name,
            namespace: Some(cluster.namespace.clone()),
            api_group: None,
        }]),
    }
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}
