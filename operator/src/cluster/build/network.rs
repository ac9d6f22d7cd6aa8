//! How clients find the brokers, and how many may be away at once.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use milena_crds::names;

use super::{label_selector, metadata, selector};
use crate::cluster::validate::Resolved;

/// Label that a StatefulSet gives to each of its pods.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";

/// Gives each pod its name. Also to pods that are not ready: brokers and clients that know one must reach it.
pub fn headless_service(cluster: &Resolved) -> Service {
    Service {
        metadata: metadata(cluster, names::headless_service(&cluster.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            ports: Some(vec![port("kafka", names::KAFKA_PORT), port("http", names::HTTP_PORT)]),
            selector: Some(selector(&cluster.name)),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Where clients begin: any broker that serves.
pub fn bootstrap_service(cluster: &Resolved) -> Service {
    Service {
        metadata: metadata(cluster, names::bootstrap_service(&cluster.name)),
        spec: Some(ServiceSpec {
            ports: Some(vec![port("kafka", names::KAFKA_PORT)]),
            selector: Some(selector(&cluster.name)),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Where clients find one broker, whatever address its pod has: one that is made anew has another, and who still asks for
/// the old one waits for minutes. Also while it is not ready: it is refused there at once while nobody listens, and served
/// as soon as somebody does.
pub fn broker_service(cluster: &Resolved, broker: i32) -> Service {
    let mut pod = selector(&cluster.name);
    pod.insert(POD_NAME.to_owned(), names::pod(&cluster.name, broker));
    Service {
        metadata: metadata(cluster, names::broker_service(&cluster.name, broker)),
        spec: Some(ServiceSpec {
            publish_not_ready_addresses: Some(true),
            ports: Some(vec![port("kafka", names::KAFKA_PORT)]),
            selector: Some(pod),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Evictions take one broker at a time; one that does not serve anyway never holds up the drain of a node.
pub fn disruption_budget(cluster: &Resolved) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(cluster, cluster.name.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(label_selector(&cluster.name)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

/// The target is the port's name in the pod, which is the same.
fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}
