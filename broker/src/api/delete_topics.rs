//! DeleteTopics, by name or by id (KIP-516).

use std::time::Duration;

use futures::future::join_all;
use kafka_protocol::{
    ResponseError,
    messages::{
        DeleteTopicsRequest, DeleteTopicsResponse, TopicName, delete_topics_response::DeletableTopicResult,
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use super::{Call, metadata::topic_name, request_wait};
use crate::{coordination::Refusal, topics};

/// Answers one request.
pub async fn handle(call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let wait = request_wait(request.timeout_ms);
    let by_name = request.topic_names.iter().map(|name| (Some(name.clone()), Uuid::nil()));
    let asked = by_name.chain(request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id)));
    let jobs = asked.map(|(name, id)| one(call, name, id, wait));
    DeleteTopicsResponse::default().with_responses(join_all(jobs).await)
}

async fn one(call: &Call, name: Option<TopicName>, id: Uuid, wait: Duration) -> DeletableTopicResult {
    let answer = DeletableTopicResult::default().with_name(name.clone()).with_topic_id(id);
    let view = call.broker.view();
    let found = match &name {
        Some(name) => view.image.topic(name),
        None => view.image.topic_by_id(id),
    };
    let Some(topic) = found else {
        let (code, message) = match &name {
            Some(name) => {
                (ResponseError::UnknownTopicOrPartition, format!("There is no topic '{}'.", &**name))
            }
            None => (ResponseError::UnknownTopicId, format!("There is no topic of id {id}.")),
        };
        return refused(answer, Refusal::new(code, message));
    };
    let answer = answer.with_name(Some(topic_name(&topic.name))).with_topic_id(topic.id);
    if !call.broker.config().delete_topics {
        let message = "Topics cannot be deleted here: delete.topic.enable is false.";
        return refused(answer, Refusal::new(ResponseError::TopicDeletionDisabled, message));
    }
    match topics::delete(&call.broker, topic.id, wait).await {
        Ok(()) => answer,
        Err(refusal) => refused(answer, refusal),
    }
}

fn refused(answer: DeletableTopicResult, refusal: Refusal) -> DeletableTopicResult {
    answer
        .with_error_code(refusal.code.code())
        .with_error_message(Some(StrBytes::from_string(refusal.message)))
}
