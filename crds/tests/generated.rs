//! What is generated from the code is the code's, and says enough.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::process::Command;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use milena_crds::{KafkaCluster, KafkaTopic, rules};

#[test]
fn generated_files_are_up_to_date() {
    let out = Command::new(env!("CARGO_BIN_EXE_gen")).arg("--check").output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Paths of fields without a description, and the number of all fields.
fn undescribed(path: &str, schema: &JSONSchemaProps, found: &mut Vec<String>) -> usize {
    let mut count = 0;
    for (name, field) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        if field.description.as_deref().is_none_or(str::is_empty) {
            found.push(path.clone());
        }
        count += 1 + undescribed(&path, field, found);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        count += undescribed(&format!("{path}[]"), items, found);
    }
    count
}

#[test]
fn every_field_has_a_description() {
    for definition in rules::definitions() {
        let schema =
            definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        let mut found = Vec::new();
        let count = undescribed(&definition.spec.names.kind, schema, &mut found);
        assert!(found.is_empty(), "{found:?}");
        assert!(count > 3);
    }
}

#[test]
fn every_rule_has_its_field() {
    let placed: usize = rules::definitions()
        .iter()
        .map(|definition| serde_json::to_value(definition).unwrap())
        .map(|definition| {
            rules_in(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &["config"])
        })
        .sum();
    assert_eq!(placed, rules::count());
}

/// Rules in a schema, but for the fields named in `without`.
fn rules_in(schema: &serde_json::Value, without: &[&str]) -> usize {
    let own = schema["x-kubernetes-validations"].as_array().map_or(0, Vec::len);
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| !without.contains(&name.as_str()));
    own + fields.map(|(_, field)| rules_in(field, without)).sum::<usize>()
}

#[test]
fn what_users_write_is_read() {
    let cluster: KafkaCluster = serde_yaml::from_str(
        "{apiVersion: milena.dev/v1alpha1, kind: KafkaCluster, metadata: {name: demo},
          spec: {storage: {size: 10Gi}, config: {min.insync.replicas: 2, auto.create.topics.enable: no,
          log.cleaner.min.cleanable.ratio: 0.25}}}",
    )
    .unwrap();
    assert_eq!(cluster.spec.brokers, 1);
    assert_eq!(cluster.spec.config["min.insync.replicas"].as_str(), "2");
    assert_eq!(cluster.spec.config["log.cleaner.min.cleanable.ratio"].as_str(), "0.25");
    let topic: KafkaTopic = serde_yaml::from_str(
        "{apiVersion: milena.dev/v1alpha1, kind: KafkaTopic, metadata: {name: sample},
          spec: {cluster: demo, config: {retention.ms: 604800000, preallocate: true, cleanup.policy: compact}}}",
    )
    .unwrap();
    assert_eq!((topic.spec.partitions, topic.spec.replicas, topic.topic_name()), (1, 1, "sample"));
    assert_eq!(topic.topic_id(), None, "no API server has seen it yet");
    assert_eq!(topic.spec.config["retention.ms"].as_str(), "604800000");
    assert_eq!(topic.spec.config["preallocate"].as_str(), "true");
    let json = serde_json::to_value(&topic).unwrap();
    assert_eq!(json["spec"]["config"]["retention.ms"], "604800000");
}
