//! The pure steps: validate, build, and the decision to apply.

use kube::ResourceExt as _;
use kube::core::DynamicObject;
use milena_crds::{KafkaCluster, names};
use serde_json::{Value, json};

use super::build::{Desired, build};
use super::diff::{self, Applied, Reason, decide};
use super::validate::{Defaults, InUse, Resolved, validate};
use crate::args::PullPolicy;

fn cluster(spec: Value) -> KafkaCluster {
    let metadata =
        json!({ "name": "demo", "namespace": "ns", "uid": "d61732e2-c1cd-442e-850b-2792d347ea96" });
    let whole = json!({
        "apiVersion": "milena.dev/v1alpha1", "kind": "KafkaCluster", "metadata": metadata, "spec": spec,
    });
    serde_json::from_value(whole).unwrap()
}

fn defaults() -> Defaults {
    Defaults {
        image: "broker:1".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        log: "info".to_owned(),
        log_format: "text",
    }
}

fn resolved(spec: Value) -> Resolved {
    validate(&cluster(spec), &defaults(), InUse::default()).unwrap()
}

fn objects(spec: Value) -> Vec<Desired> {
    build(&resolved(spec)).unwrap()
}

fn find(desired: &[Desired], kind: &str, name: &str) -> DynamicObject {
    let found =
        desired.iter().find(|desired| desired.resource.kind == kind && desired.object.name_any() == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}")).object.clone()
}

fn stateful_set(spec: Value) -> DynamicObject {
    find(&objects(spec), "StatefulSet", "demo")
}

const SMALL: &str = r#"{"brokers": 3, "storage": {"size": "1Gi"}}"#;

fn small() -> Value {
    serde_json::from_str(SMALL).unwrap()
}

#[test]
fn names_that_others_rely_on() {
    let all = objects(small());
    for (kind, name) in [
        ("StatefulSet", "demo"),
        ("Service", "demo"),
        ("Service", "demo-bootstrap"),
        ("Service", "demo-broker-0"),
        ("Service", "demo-broker-2"),
        ("ConfigMap", "demo"),
        ("PodDisruptionBudget", "demo"),
        ("ServiceAccount", "demo-broker"),
        ("Role", "demo-broker"),
        ("RoleBinding", "demo-broker"),
    ] {
        let object = find(&all, kind, name);
        assert_eq!(object.namespace().as_deref(), Some("ns"));
        assert_eq!(object.labels().get(names::CLUSTER).map(String::as_str), Some("demo"));
        let owner = &object.owner_references()[0];
        assert_eq!((owner.kind.as_str(), owner.controller), ("KafkaCluster", Some(true)));
    }
    assert_eq!(all.len(), 11);
    assert_eq!(all.last().unwrap().resource.kind, "StatefulSet", "pods come after what they need");
}

#[test]
fn pods_fit_the_restricted_level() {
    let set = stateful_set(small());
    let pod = &set.data["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true));
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], json!("RuntimeDefault"));
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], json!(false));
    assert_eq!(container["readOnlyRootFilesystem"], json!(true));
    assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
}

#[test]
fn brokers_may_renew_no_lease_but_their_own() {
    let role = find(&objects(small()), "Role", "demo-broker");
    let rules = role.data["rules"].as_array().unwrap();
    let renews = rules.iter().find(|rule| rule["verbs"] == json!(["update", "patch"])).unwrap();
    assert_eq!(renews["resourceNames"], json!(["demo-0", "demo-1", "demo-2"]));
    assert!(rules.iter().all(|rule| !rule.to_string().contains('*')));
}

#[test]
fn only_settings_that_need_it_change_the_pods() {
    let template = |config: Value| {
        let set = stateful_set(json!({ "brokers": 3, "storage": { "size": "1Gi" }, "config": config }));
        set.data["spec"]["template"].clone()
    };
    let plain = template(json!({}));
    assert_eq!(plain, template(json!({ "log.retention.ms": 1000 })));
    let restart = milena_crds::settings::BROKER_SETTINGS
        .iter()
        .find(|setting| {
            setting.update == milena_crds::settings::Update::Restart
                && setting.effect == milena_crds::settings::Effect::Works
                && setting.default.is_some()
        })
        .expect("some setting needs a restart");
    assert_ne!(plain, template(json!({ restart.name: restart.default.unwrap() })));
}

#[test]
fn users_add_to_pods_and_replace_nothing() {
    let set = stateful_set(json!({
        "brokers": 1, "storage": { "size": "1Gi", "deleteWithCluster": true },
        "pod": { "labels": { "team": "a", (names::CLUSTER): "other" }, "nodeSelector": { "disk": "fast" } },
    }));
    let template = &set.data["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["team"], json!("a"));
    assert_eq!(template["metadata"]["labels"][names::CLUSTER], json!("demo"));
    assert_eq!(template["spec"]["nodeSelector"], json!({ "disk": "fast" }));
    let retention = &set.data["spec"]["persistentVolumeClaimRetentionPolicy"];
    assert_eq!(retention, &json!({ "whenDeleted": "Delete", "whenScaled": "Retain" }));
}

/// Names and sizes of the claim templates, names and paths of the broker's mounts, and its log directories.
fn storage_of(set: &DynamicObject) -> Value {
    let spec = &set.data["spec"];
    let container = &spec["template"]["spec"]["containers"][0];
    let claims = spec["volumeClaimTemplates"].as_array().unwrap().iter();
    let mounts = container["volumeMounts"].as_array().unwrap().iter();
    let environment = container["env"].as_array().unwrap();
    let directories = environment.iter().find(|one| one["name"] == json!("MILENA_DATA_DIR")).unwrap();
    let claims: Vec<Value> = claims
        .map(|claim| json!([claim["metadata"]["name"], claim["spec"]["resources"]["requests"]["storage"]]))
        .collect();
    let mounts: Vec<Value> = mounts.map(|mount| json!([mount["name"], mount["mountPath"]])).collect();
    json!([claims, mounts, directories["value"]])
}

#[test]
fn a_broker_has_a_log_directory_on_each_volume() {
    let config = ["config", "/etc/milena"];
    assert_eq!(
        storage_of(&stateful_set(small())),
        json!([[["data", "1Gi"]], [["data", "/var/lib/milena"], config], "/var/lib/milena"])
    );
    let set = stateful_set(json!({ "brokers": 3, "storage": { "size": "1Gi", "volumes": 3 } }));
    let mounts = [
        ["data", "/var/lib/milena"],
        ["data-1", "/var/lib/milena-1"],
        ["data-2", "/var/lib/milena-2"],
        config,
    ];
    assert_eq!(
        storage_of(&set),
        json!([
            [["data", "1Gi"], ["data-1", "1Gi"], ["data-2", "1Gi"]],
            mounts,
            "/var/lib/milena,/var/lib/milena-1,/var/lib/milena-2"
        ])
    );
    assert_eq!(super::volumes::count(&set), 3);
}

#[test]
fn volumes_that_are_there_stay() {
    let two = cluster(json!({ "storage": { "size": "1Gi", "volumes": 2 } }));
    let with = |volumes| validate(&two, &defaults(), InUse { brokers: 0, volumes }).unwrap();
    for (has, stays, fewer) in [(0, 2, false), (1, 2, false), (2, 2, false), (3, 3, true)] {
        let resolved = with(has);
        assert_eq!((resolved.volumes, resolved.fewer_volumes()), (stays, fewer), "{has}");
    }
}

#[test]
fn brokers_that_hold_partitions_stay() {
    let one = cluster(json!({ "brokers": 1, "storage": { "size": "1Gi" } }));
    let with = |brokers| validate(&one, &defaults(), InUse { brokers, volumes: 1 }).unwrap();
    let resolved = with(3);
    assert_eq!((resolved.brokers, resolved.scale_down_blocked()), (3, true));
    let resolved = with(1);
    assert_eq!((resolved.brokers, resolved.scale_down_blocked()), (1, false));
}

#[test]
fn what_cannot_be_built_is_said() {
    let reason = |cluster: KafkaCluster| {
        validate(&cluster, &defaults(), InUse::default()).map(|_| ()).unwrap_err().reason
    };
    for name in ["1demo", "de.mo", "demo-", &"d".repeat(53)] {
        let mut named = cluster(small());
        named.metadata.name = Some(name.to_owned());
        assert_eq!(reason(named), "InvalidName", "{name}");
    }
    let unknown = json!({ "storage": { "size": "1Gi" }, "config": { "no.such.setting": 1 } });
    assert_eq!(reason(cluster(unknown)), "InvalidConfig");
    assert_eq!(reason(cluster(json!({ "brokers": -1, "storage": { "size": "1Gi" } }))), "InvalidSpec");
    for volumes in [0, 17] {
        assert_eq!(
            reason(cluster(json!({ "storage": { "size": "1Gi", "volumes": volumes } }))),
            "InvalidSpec"
        );
    }
}

/// What the API server would make of an apply: the annotation, and a field with a default.
fn applied(desired: &DynamicObject) -> DynamicObject {
    let mut live = desired.clone();
    live.annotations_mut().insert(names::APPLIED.to_owned(), diff::text(diff::hash(desired)));
    live.data["spec"]["revisionHistoryLimit"] = json!(10);
    live.data["status"] = json!({ "replicas": 0 });
    live
}

#[test]
fn what_is_right_is_not_applied() {
    let desired = stateful_set(small());
    let sent = diff::hash(&desired);
    let live = applied(&desired);
    assert_eq!(decide(&desired, sent, None, None), Some(Reason::Absent));
    // After a start of the operator, and later.
    assert_eq!(decide(&desired, sent, Some(&live), None), None);
    let last = Applied { sent, got: diff::fingerprint(&live) };
    assert_eq!(decide(&desired, sent, Some(&live), Some(last)), None);
    // Neither a status nor a note of another controller is an edit.
    let mut noted = live.clone();
    noted.data["status"] = json!({ "replicas": 3 });
    noted.annotations_mut().insert("deployment.kubernetes.io/revision".to_owned(), "1".to_owned());
    assert_eq!(decide(&desired, sent, Some(&noted), Some(last)), None);
}

#[test]
fn edits_are_put_back_and_wishes_applied() {
    let desired = stateful_set(small());
    let sent = diff::hash(&desired);
    let live = applied(&desired);
    let last = Applied { sent, got: diff::fingerprint(&live) };
    let mut edits = Vec::new();
    let mut edit = |change: &dyn Fn(&mut DynamicObject)| {
        let mut edited = live.clone();
        change(&mut edited);
        edits.push(edited);
    };
    edit(&|set| set.data["spec"]["replicas"] = json!(5));
    edit(&|set| set.data["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other"));
    edit(&|set| set.data["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(json!({})));
    edit(&|set| drop(set.labels_mut().remove(names::APP_NAME)));
    edit(&|set| set.metadata.owner_references = None);
    for edited in &edits {
        assert_eq!(decide(&desired, sent, Some(edited), Some(last)), Some(Reason::Edited));
        assert_eq!(decide(&desired, sent, Some(edited), None), Some(Reason::Edited), "found at a start");
    }
    let more = stateful_set(json!({ "brokers": 4, "storage": { "size": "1Gi" } }));
    assert_eq!(decide(&more, diff::hash(&more), Some(&live), Some(last)), Some(Reason::Wanted));
}

#[test]
fn what_others_add_is_theirs_once_an_apply_left_it() {
    let desired = stateful_set(small());
    let sent = diff::hash(&desired);
    let mut live = applied(&desired);
    live.data["spec"]["revisionHistoryLimit"] = json!(7);
    let last = Applied { sent, got: diff::fingerprint(&live) };
    assert_eq!(decide(&desired, sent, Some(&live), Some(last)), None);
}
