//! DescribeConfigs: every setting with its value, where the value comes from, and what it means.

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeConfigsRequest, DescribeConfigsResponse,
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::{
            DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
        },
    },
    protocol::StrBytes,
};
use milena_crds::settings::{
    self, BROKER_SETTINGS, Config, Effective, Setting, Source, TOPIC_SETTINGS, Update,
};

use super::{Call, broker_rates};
use crate::{config::BrokerConfig, coordination::Refusal};

/// Resource types (KIP-133).
pub const TOPIC: i8 = 2;
/// A broker, or all brokers where the name is empty.
pub const BROKER: i8 = 4;

/// Sources of a value, as clients know them.
const TOPIC_SOURCE: i8 = 1;
const BROKER_SOURCE: i8 = 4;
const DEFAULT_SOURCE: i8 = 5;

/// Answers one request.
pub async fn handle(call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request
        .resources
        .into_iter()
        .map(|resource| {
            let answer = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match describe(call, &resource) {
                Ok(configs) => answer.with_configs(
                    configs
                        .into_iter()
                        .filter(|config| is_asked(&resource, &config.name))
                        .map(|config| {
                            trimmed(config, request.include_synonyms, request.include_documentation)
                        })
                        .collect(),
                ),
                Err(refusal) => answer
                    .with_error_code(refusal.code.code())
                    .with_error_message(Some(StrBytes::from_string(refusal.message))),
            }
        })
        .collect();
    DescribeConfigsResponse::default().with_results(results)
}

fn is_asked(resource: &DescribeConfigsResource, name: &StrBytes) -> bool {
    match &resource.configuration_keys {
        Some(keys) if !keys.is_empty() => keys.contains(name),
        _ => true,
    }
}

fn trimmed(
    mut config: DescribeConfigsResourceResult,
    synonyms: bool,
    documentation: bool,
) -> DescribeConfigsResourceResult {
    if !synonyms {
        config.synonyms.clear();
    }
    if !documentation {
        config.documentation = None;
    }
    config
}

fn describe(
    call: &Call,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let name = &*resource.resource_name;
    match resource.resource_type {
        TOPIC => {
            milena_crds::names::check_topic_name(name)
                .map_err(|error| Refusal::new(ResponseError::InvalidTopicException, error.to_string()))?;
            let view = call.broker.view();
            let topic = view.image.topic(name).ok_or_else(|| {
                let message = format!("There is no topic '{name}'.");
                Refusal::new(ResponseError::UnknownTopicOrPartition, message)
            })?;
            Ok(topic_settings(&call.broker.config(), &topic.config))
        }
        BROKER => {
            check_broker_name(call, name)?;
            let mut all = broker_settings(&call.broker.config());
            all.extend(broker_rates::describe(&call.broker.throttles));
            all.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(all)
        }
        other => {
            let message = format!(
                "Settings of resource type {other} are not kept here: topics (2) and brokers (4) are."
            );
            Err(Refusal::new(ResponseError::InvalidRequest, message))
        }
    }
}

/// A broker answers for itself, and for the cluster's defaults (an empty name).
pub fn check_broker_name(call: &Call, name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.parse() == Ok(call.broker.id) {
        return Ok(());
    }
    let message = format!("Broker {} answers for itself, not for broker '{name}'.", call.broker.id);
    Err(Refusal::new(ResponseError::InvalidRequest, message))
}

/// Every topic setting, for a topic with these settings of its own.
pub fn topic_settings(broker: &BrokerConfig, own: &Config) -> Vec<DescribeConfigsResourceResult> {
    let defaults = broker.values.all();
    TOPIC_SETTINGS
        .iter()
        .map(|setting| {
            let effective = settings::effective(setting, own, defaults);
            let synonyms = settings::synonyms(setting, own, defaults).into_iter().map(synonym).collect();
            result(setting, Some(&effective.value), source(effective.source)).with_synonyms(synonyms)
        })
        .collect()
}

fn broker_settings(broker: &BrokerConfig) -> Vec<DescribeConfigsResourceResult> {
    BROKER_SETTINGS
        .iter()
        .map(|setting| match broker.values.all().get(setting.name) {
            Some(value) => result(setting, Some(value.as_str()), BROKER_SOURCE),
            None => result(setting, setting.default, DEFAULT_SOURCE),
        })
        .map(|described| {
            let own = DescribeConfigsSynonym::default()
                .with_name(described.name.clone())
                .with_value(described.value.clone())
                .with_source(described.config_source);
            // What brokers are set to is changed in the KafkaCluster or on the command line.
            described.with_read_only(true).with_synonyms(vec![own])
        })
        .collect()
}

fn result(setting: &Setting, value: Option<&str>, source: i8) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(setting.name))
        .with_value(value.map(|value| StrBytes::from_string(value.to_owned())))
        .with_read_only(setting.update == Update::Restart)
        .with_config_source(source)
        .with_config_type(setting.kind.config_type())
        .with_documentation(Some(StrBytes::from_static_str(setting.doc)))
}

fn synonym(effective: Effective<'_>) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_static_str(effective.name))
        .with_value(Some(StrBytes::from_string(effective.value.into_owned())))
        .with_source(source(effective.source))
}

fn source(source: Source) -> i8 {
    match source {
        Source::Topic => TOPIC_SOURCE,
        Source::Broker => BROKER_SOURCE,
        Source::Default => DEFAULT_SOURCE,
    }
}
