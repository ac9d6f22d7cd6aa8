//! What the API server refuses beyond types and bounds: CEL rules, one row each.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kube::CustomResourceExt as _;

use crate::{KafkaCluster, KafkaPartitions, KafkaTopic};

/// A rule on the field at `path`; the object itself where the path is empty.
struct Rule {
    path: &'static [&'static str],
    /// CEL; with `oldSelf` it speaks of updates alone.
    rule: &'static str,
    /// CEL that makes the message, or the message between single quotes.
    message: &'static str,
}

/// Rules of KafkaTopic.
const TOPIC: &[Rule] = &[
    Rule {
        path: &[],
        rule: "has(self.spec.topicName) || size(self.metadata.name) <= 249",
        message: "'Topic name is invalid: the length of metadata.name is longer than the max allowed length 249; \
                  give a shorter name or spec.topicName'",
    },
    Rule {
        path: &[],
        rule: "(has(self.spec.topicName) ? self.spec.topicName : self.metadata.name) == \
               (has(oldSelf.spec.topicName) ? oldSelf.spec.topicName : oldSelf.metadata.name)",
        message: "'spec.topicName cannot change: make a new KafkaTopic instead'",
    },
    Rule {
        path: &["spec", "cluster"],
        rule: "self == oldSelf",
        message: "'spec.cluster cannot change from ' + oldSelf + ' to ' + self + ': make a new KafkaTopic instead'",
    },
    Rule {
        path: &["spec", "topicName"],
        rule: "self != '' && self != '.' && self != '..'",
        message: "'Topic name is invalid: it must not be empty, \".\" or \"..\"'",
    },
    Rule {
        path: &["spec", "topicName"],
        rule: "self.matches('^[a-zA-Z0-9._-]*$')",
        message: "'Topic name is invalid: it contains one or more characters other than ASCII alphanumerics, \
                  \".\", \"_\" and \"-\"'",
    },
    Rule {
        path: &["spec", "partitions"],
        rule: "self >= oldSelf",
        message: "'partitions can grow, never shrink: records stay in the partition of their key'",
    },
];

/// Rules of KafkaCluster.
const CLUSTER: &[Rule] = &[
    Rule {
        path: &[],
        // A pod's name, with its number, is a label of a host name; a StatefulSet adds a hash to it.
        rule: "size(self.metadata.name) <= 48 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        message: "'the name of a KafkaCluster has at most 48 characters: lower-case letters, digits and \"-\", \
                  beginning with a letter'",
    },
    Rule {
        path: &[],
        rule: "!self.metadata.name.endsWith('-bootstrap')",
        message: "'the name of a KafkaCluster must not end with -bootstrap: Services are named so'",
    },
    Rule {
        path: &["spec", "storage", "size"],
        rule: "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
        message: "'must be a size above 0, for example 10Gi'",
    },
    Rule {
        path: &["spec", "storage", "size"],
        rule: "!isQuantity(string(self)) || !isQuantity(string(oldSelf)) || \
               quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",
        message: "'volumes cannot shrink from ' + string(oldSelf) + ' to ' + string(self)",
    },
    Rule {
        path: &["spec", "storage"],
        rule: "(has(self.volumes) ? self.volumes : 1) >= (has(oldSelf.volumes) ? oldSelf.volumes : 1)",
        message: "'volumes cannot become fewer: records lie on each of them'",
    },
    Rule {
        path: &["spec", "storage"],
        rule: "has(self.storageClassName) == has(oldSelf.storageClassName) && \
               (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        message: "'storageClassName cannot change: volumes cannot move to another class'",
    },
];

/// Every custom resource, as it is applied to a cluster.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    vec![
        with_rules(KafkaCluster::crd(), CLUSTER),
        with_rules(KafkaPartitions::crd(), &[]),
        with_rules(KafkaTopic::crd(), TOPIC),
    ]
}

/// How many rules there are besides those of the settings; for tests.
#[must_use]
pub fn count() -> usize {
    TOPIC.len() + CLUSTER.len()
}

fn with_rules(mut definition: CustomResourceDefinition, rules: &[Rule]) -> CustomResourceDefinition {
    let schemas = definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
        plain(schema);
        for rule in rules {
            let Some(field) = rule
                .path
                .iter()
                .try_fold(&mut *schema, |field, name| field.properties.as_mut()?.get_mut(*name))
            else {
                continue;
            };
            field.x_kubernetes_validations.get_or_insert_default().push(rule.to_api());
        }
    }
    definition
}

impl Rule {
    fn to_api(&self) -> ValidationRule {
        let text = self.message.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
        let fixed = text.filter(|text| !text.contains('\''));
        ValidationRule {
            rule: self.rule.to_owned(),
            message: fixed.map(str::to_owned),
            message_expression: if fixed.is_some() { None } else { Some(self.message.to_owned()) },
            ..ValidationRule::default()
        }
    }
}

/// Without `nullable` the API server drops a null, as kubectl's users expect; with it, rules would have to know null.
fn plain(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for field in schema.properties.iter_mut().flat_map(|fields| fields.values_mut()) {
        plain(field);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        plain(values);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        plain(items);
    }
}
