//! The pod of a broker.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource,
    HTTPGetAction, ObjectFieldSelector, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, SeccompProfile, SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use milena_crds::names;

use super::{access, config, label_selector, labels};
use crate::cluster::validate::Resolved;

/// Name of the container with the broker.
pub const CONTAINER: &str = "broker";
/// Name of the first volume with logs, and of the claims made for it: `data-demo-0`. The others are `data-1`, …
const DATA: &str = "data";
const DATA_DIR: &str = "/var/lib/milena";
const CONFIG: &str = "config";
const CONFIG_DIR: &str = "/etc/milena";
/// A user that exists nowhere else.
const USER: i64 = 65532;
/// Time to hand over leadership and to make everything durable, in seconds.
const GRACE: i64 = 120;

/// A volume with logs.
pub struct LogVolume {
    /// Its name in the pod, and that of the claim template.
    pub name: String,
    /// Where it is mounted.
    pub path: String,
}

/// The volumes with logs. The first one is named as in clusters that have only that one.
pub fn volumes(cluster: &Resolved) -> impl Iterator<Item = LogVolume> {
    (0..cluster.volumes).map(|number| match number {
        0 => LogVolume { name: DATA.to_owned(), path: DATA_DIR.to_owned() },
        _ => LogVolume { name: format!("{DATA}-{number}"), path: format!("{DATA_DIR}-{number}") },
    })
}

/// The pod template; what the user adds never replaces what the operator relies on.
pub fn template(cluster: &Resolved) -> PodTemplateSpec {
    let options = &cluster.spec.pod;
    let mut pod_labels = options.labels.clone();
    pod_labels.extend(labels(&cluster.name));
    let mut annotations = options.annotations.clone();
    annotations.insert(names::RESTART_SETTINGS.to_owned(), config::restart_settings(&cluster.settings()));
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pod_labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod_spec(cluster)),
    }
}

fn pod_spec(cluster: &Resolved) -> PodSpec {
    let options = &cluster.spec.pod;
    let spread = options.topology_spread_constraints.clone();
    PodSpec {
        service_account_name: Some(access::account_name(&cluster.name)),
        // Environment variables for every Service of the namespace would only slow down the start.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE),
        security_context: Some(pod_security()),
        containers: vec![container(cluster)],
        volumes: Some(vec![Volume {
            name: CONFIG.to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: names::config_map(&cluster.name),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        }]),
        affinity: Some(options.affinity.clone().unwrap_or_else(|| apart(&cluster.name))),
        topology_spread_constraints: Some(spread.unwrap_or_else(|| vec![over_zones(&cluster.name)])),
        node_selector: some(options.node_selector.clone()),
        tolerations: Some(options.tolerations.clone()).filter(|all| !all.is_empty()),
        image_pull_secrets: Some(options.image_pull_secrets.clone()).filter(|all| !all.is_empty()),
        priority_class_name: options.priority_class_name.clone(),
        ..PodSpec::default()
    }
}

fn container(cluster: &Resolved) -> Container {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let mut volume_mounts: Vec<VolumeMount> =
        volumes(cluster).map(|volume| mount(&volume.name, &volume.path, false)).collect();
    volume_mounts.push(mount(CONFIG, CONFIG_DIR, true));
    Container {
        name: CONTAINER.to_owned(),
        image: Some(cluster.image.clone()),
        image_pull_policy: Some(cluster.defaults.pull_policy.name().to_owned()),
        env: Some(environment(cluster)),
        ports: Some(vec![port("kafka", names::KAFKA_PORT), port("http", names::HTTP_PORT)]),
        // Recovery of a large log may take minutes; the process answers /livez meanwhile.
        startup_probe: Some(probe("/livez", 1, 120)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        readiness_probe: Some(probe("/readyz", 1, 3)),
        resources: cluster.spec.resources.clone(),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(volume_mounts),
        ..Container::default()
    }
}

/// How the broker learns who and where it is.
fn environment(cluster: &Resolved) -> Vec<EnvVar> {
    let fixed =
        |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), value_from: None };
    let field = |name: &str, path: &str| EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: path.to_owned(),
                api_version: Some("v1".to_owned()),
            }),
            ..EnvVarSource::default()
        }),
    };
    vec![
        fixed("MILENA_CLUSTER", cluster.name.clone()),
        field("MILENA_NAMESPACE", "metadata.namespace"),
        field("MILENA_POD_NAME", "metadata.name"),
        field("MILENA_POD_IP", "status.podIP"),
        field("MILENA_NODE_NAME", "spec.nodeName"),
        // Kubernetes copies the node's zone to the pod's labels from 1.35 on; before, the value is empty.
        field("MILENA_RACK", "metadata.labels['topology.kubernetes.io/zone']"),
        fixed("MILENA_DATA_DIR", volumes(cluster).map(|volume| volume.path).collect::<Vec<_>>().join(",")),
        fixed("MILENA_LISTEN", format!("0.0.0.0:{}", names::KAFKA_PORT)),
        fixed("MILENA_HTTP_LISTEN", format!("0.0.0.0:{}", names::HTTP_PORT)),
        fixed("MILENA_CONFIG_FILE", format!("{CONFIG_DIR}/{}", config::FILE)),
        fixed("MILENA_LOG", cluster.defaults.log.clone()),
        fixed("MILENA_LOG_FORMAT", cluster.defaults.log_format.to_owned()),
    ]
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// What the `restricted` Pod Security level asks of a pod. The group makes the volume writable.
fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// Brokers keep apart from each other by node where they can.
fn apart(cluster: &str) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(label_selector(cluster)),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                weight: 100,
                pod_affinity_term: term,
            }]),
            required_during_scheduling_ignored_during_execution: None,
        }),
        ..Affinity::default()
    }
}

/// Brokers spread over zones where there are zones.
fn over_zones(cluster: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "topology.kubernetes.io/zone".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(label_selector(cluster)),
        ..TopologySpreadConstraint::default()
    }
}

fn some(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    Some(map).filter(|map| !map.is_empty())
}
