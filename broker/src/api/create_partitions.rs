//! CreatePartitions: raises a topic's number of partitions.

use std::time::Duration;

use futures::future::join_all;
use kafka_protocol::{
    ResponseError,
    messages::{
        CreatePartitionsRequest, CreatePartitionsResponse, create_partitions_request::CreatePartitionsTopic,
        create_partitions_response::CreatePartitionsTopicResult,
    },
    protocol::StrBytes,
};

use super::{Call, request_wait};
use crate::{coordination::Refusal, topics};

/// Answers one request.
pub async fn handle(call: &Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let wait = request_wait(request.timeout_ms);
    let jobs = request.topics.iter().map(|topic| async {
        let answer = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        match grow(call, topic, request.validate_only, wait).await {
            Ok(()) => answer,
            Err(refusal) => answer
                .with_error_code(refusal.code.code())
                .with_error_message(Some(StrBytes::from_string(refusal.message))),
        }
    });
    CreatePartitionsResponse::default().with_results(join_all(jobs).await)
}

async fn grow(
    call: &Call,
    asked: &CreatePartitionsTopic,
    validate_only: bool,
    wait: Duration,
) -> Result<(), Refusal> {
    let view = call.broker.view();
    let topic = view.image.topic(&asked.name).ok_or_else(|| {
        let message = format!("There is no topic '{}'.", &*asked.name);
        Refusal::new(ResponseError::UnknownTopicOrPartition, message)
    })?;
    topics::check_growth(topic, asked.count)?;
    if asked.assignments.is_some() {
        let message = "Replica assignments by hand are not taken: brokers are chosen by the control plane.";
        return Err(Refusal::new(ResponseError::InvalidReplicaAssignment, message));
    }
    if validate_only {
        return Ok(());
    }
    topics::grow(&call.broker, topic, asked.count, wait).await
}
