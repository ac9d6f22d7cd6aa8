//! CreateTopics: each topic is made whole or not at all, and answered once it has leaders.

use std::{collections::HashMap, time::Duration};

use futures::future::join_all;
use kafka_protocol::{
    ResponseError,
    messages::{
        CreateTopicsRequest, CreateTopicsResponse,
        create_topics_request::CreatableTopic,
        create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
    },
    protocol::StrBytes,
};
use milena_crds::{ConfigValue, settings::Config};

use super::{Call, describe_configs, request_wait};
use crate::{
    coordination::{NewTopic, Refusal},
    topics::{self, TopicRequest},
};

/// Answers one request.
pub async fn handle(call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let wait = request_wait(request.timeout_ms);
    let mut times: HashMap<&str, usize> = HashMap::new();
    for topic in &request.topics {
        *times.entry(topic.name.as_str()).or_default() += 1;
    }
    let mut answered: Vec<&str> = Vec::new();
    let mut jobs = Vec::new();
    for topic in &request.topics {
        let name = topic.name.as_str();
        let twice = times.get(name).is_some_and(|times| *times > 1);
        if twice && answered.contains(&name) {
            continue;
        }
        answered.push(name);
        jobs.push(one(call, topic, twice, request.validate_only, wait));
    }
    CreateTopicsResponse::default().with_topics(join_all(jobs).await)
}

async fn one(
    call: &Call,
    topic: &CreatableTopic,
    twice: bool,
    validate_only: bool,
    wait: Duration,
) -> CreatableTopicResult {
    let answer = CreatableTopicResult::default().with_name(topic.name.clone());
    match create(call, topic, twice, validate_only, wait).await {
        Ok((id, made)) => answer
            .with_topic_id(id)
            .with_num_partitions(made.partitions)
            .with_replication_factor(i16::try_from(made.replicas).unwrap_or(i16::MAX))
            .with_configs(Some(configs(call, &made))),
        Err(refusal) => answer
            .with_error_code(refusal.code.code())
            .with_error_message(Some(StrBytes::from_string(refusal.message)))
            .with_num_partitions(-1)
            .with_replication_factor(-1),
    }
}

async fn create(
    call: &Call,
    topic: &CreatableTopic,
    twice: bool,
    validate_only: bool,
    wait: Duration,
) -> Result<(uuid::Uuid, NewTopic), Refusal> {
    if twice {
        let message = format!("Topic '{}' is named more than once in the request.", topic.name.as_str());
        return Err(Refusal::new(ResponseError::InvalidRequest, message));
    }
    let checked = topics::check_new(&call.broker, asked(topic)?)?;
    if validate_only {
        return Ok((uuid::Uuid::nil(), checked));
    }
    let made = topics::create(&call.broker, checked.clone(), wait).await?;
    Ok((made.id, checked))
}

fn asked(topic: &CreatableTopic) -> Result<TopicRequest, Refusal> {
    if !topic.assignments.is_empty() {
        let message = "Replica assignments by hand are not taken: brokers are chosen by the control plane. Give a \
                       number of partitions and a replication factor.";
        return Err(Refusal::new(ResponseError::InvalidReplicaAssignment, message));
    }
    let mut config = Config::new();
    for setting in &topic.configs {
        let Some(value) = &setting.value else {
            let message = format!("Setting '{}' of topic '{}' has no value.", &*setting.name, &*topic.name);
            return Err(Refusal::new(ResponseError::InvalidConfig, message));
        };
        config.insert(setting.name.to_string(), ConfigValue::from(&**value));
    }
    Ok(TopicRequest {
        name: topic.name.to_string(),
        partitions: (topic.num_partitions != -1).then_some(topic.num_partitions),
        replicas: (topic.replication_factor != -1).then_some(topic.replication_factor),
        config,
    })
}

fn configs(call: &Call, made: &NewTopic) -> Vec<CreatableTopicConfigs> {
    let described = describe_configs::topic_settings(&call.broker.config(), &made.config);
    described
        .into_iter()
        .map(|setting| {
            CreatableTopicConfigs::default()
                .with_name(setting.name)
                .with_value(setting.value)
                .with_read_only(setting.read_only)
                .with_config_source(setting.config_source)
                .with_is_sensitive(setting.is_sensitive)
        })
        .collect()
}
