//! The schema of `spec.config`: one property for each setting, so that the API server checks each value, refuses what
//! is unknown, and `kubectl explain` lists them all.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{BROKER_SETTINGS, Effect, Kind, Range, Setting, TOPIC_SETTINGS};

/// Schema of KafkaTopic's `spec.config`.
pub(crate) fn topic_config_schema(_: &mut SchemaGenerator) -> Schema {
    schema(TOPIC_SETTINGS)
}

/// Schema of KafkaCluster's `spec.config`.
pub(crate) fn broker_config_schema(_: &mut SchemaGenerator) -> Schema {
    schema(BROKER_SETTINGS)
}

fn schema(table: &[Setting]) -> Schema {
    let properties: Map<String, Value> = table.iter().map(|s| (s.name.to_owned(), property(s))).collect();
    let mut schema = Schema::default();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema
}

const INTEGER: &str = "^[+-]?[0-9]{1,19}$";
const DOUBLE: &str = "^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$";

/// One setting. A YAML scalar comes as text, number or boolean; each form is checked, as far as a schema can.
fn property(setting: &Setting) -> Value {
    let mut schema = match setting.kind {
        Kind::Bool => scalar(json!({ "enum": booleans(setting) })),
        Kind::Short(range) | Kind::Int(range) | Kind::Long(range) => integer(setting, range),
        Kind::Double(min, max) => scalar(json!({
            "minimum": min, "maximum": max, "pattern": DOUBLE, "not": { "enum": [true, false] }
        })),
        Kind::Enum(values) => json!({ "type": "string", "enum": values }),
        Kind::List(values) if !values.is_empty() => {
            let any = values.join("|");
            json!({ "type": "string", "pattern": format!("^(({any})( *, *({any}))*)?$") })
        }
        Kind::ThrottledReplicas => {
            json!({ "type": "string", "pattern": "^([*]|[0-9]+:[0-9]+( *, *[0-9]+:[0-9]+)*)?$" })
        }
        Kind::Class => json!({ "type": "string", "maxLength": 0 }),
        Kind::String | Kind::List(_) => json!({ "type": "string" }),
    };
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("description".to_owned(), json!(description(setting)));
        if fields.get("type").is_some() && fields.get("maxLength").is_none() {
            fields.insert("maxLength".to_owned(), json!(super::MAX_VALUE));
        }
    }
    schema
}

/// Without a type the API server takes any value, so that the rest must say which.
fn scalar(mut schema: Value) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
        fields.insert("maxLength".to_owned(), json!(64));
        fields.insert("maxItems".to_owned(), json!(0));
        fields.insert("maxProperties".to_owned(), json!(0));
    }
    schema
}

fn booleans(setting: &Setting) -> Vec<Value> {
    [false, true]
        .into_iter()
        .filter(|value| setting.check(&value.to_string()).is_ok())
        .flat_map(|value| [json!(value), json!(value.to_string())])
        .collect()
}

/// A whole number, as a number or as text. CEL reads both alike, and says what is allowed in our words.
fn integer(setting: &Setting, range: Range) -> Value {
    let number = "int(string(self))";
    let (rule, message) = match (setting.effect, setting.default) {
        (Effect::DefaultOnly(why), Some(default)) => (format!("{number} == {default}"), why.to_owned()),
        _ => (bounds(number, range), format!("allowed: {}", range.describe())),
    };
    let mut schema = json!({ "x-kubernetes-int-or-string": true, "pattern": INTEGER });
    if let (Some(fields), false) = (schema.as_object_mut(), rule.is_empty()) {
        let rules = json!([{ "rule": rule, "message": message }]);
        fields.insert("x-kubernetes-validations".to_owned(), rules);
    }
    schema
}

fn bounds(number: &str, range: Range) -> String {
    let least = (range.min != i64::MIN).then(|| format!("{number} >= {}", range.min));
    let most = (range.max != i64::MAX).then(|| format!("{number} <= {}", range.max));
    let hole = range.except.map(|hole| format!("{number} != {hole}"));
    [least, most, hole].into_iter().flatten().collect::<Vec<_>>().join(" && ")
}

/// What `kubectl explain` shows.
fn description(setting: &Setting) -> String {
    let mut text = setting.doc.to_owned();
    match setting.effect {
        Effect::Works => {}
        Effect::None(why) => text.push_str(&format!(" Without effect: {why}.")),
        Effect::DefaultOnly(why) => text.push_str(&format!(" Restricted: {why}.")),
    }
    if let Some(default) = setting.default.filter(|default| !default.is_empty()) {
        text.push_str(&format!(" Default: {default}."));
    }
    text
}
