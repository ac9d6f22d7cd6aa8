//! AlterPartitionReassignments (KIP-455): partitions move to the brokers that are named, or back where they came from.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use kafka_protocol::{
    ResponseError,
    messages::{
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
        alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
        alter_partition_reassignments_response::{ReassignablePartitionResponse, ReassignableTopicResponse},
    },
    protocol::StrBytes,
};

use super::{Call, request_wait};
use crate::{coordination::Refusal, reassign};

/// Answers one request: each topic by itself, and in it each partition.
pub async fn handle(
    call: &Call,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let wait = request_wait(request.timeout_ms);
    // Version 0 has no such field, and allows it.
    let may_change = call.head.api_version == 0 || request.allow_replication_factor_change;
    let jobs = request.topics.iter().map(|topic| one(call, topic, may_change, wait));
    AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(may_change)
        .with_responses(join_all(jobs).await)
}

async fn one(
    call: &Call,
    topic: &ReassignableTopic,
    may_change: bool,
    wait: Duration,
) -> ReassignableTopicResponse {
    let asked: BTreeMap<i32, Option<Vec<i32>>> =
        topic.partitions.iter().map(|partition| (partition.partition_index, replicas(partition))).collect();
    let refused = match reassign::reassign(&call.broker, &topic.name, asked, may_change, wait).await {
        Ok(refused) => refused,
        Err(refusal) => {
            topic.partitions.iter().map(|partition| (partition.partition_index, refusal.clone())).collect()
        }
    };
    let answers = topic.partitions.iter().map(|partition| answer(partition.partition_index, &refused));
    ReassignableTopicResponse::default().with_name(topic.name.clone()).with_partitions(answers.collect())
}

/// The brokers that are named; none: the partition is to stay where it was.
fn replicas(partition: &ReassignablePartition) -> Option<Vec<i32>> {
    partition.replicas.as_ref().map(|replicas| replicas.iter().map(|id| id.0).collect())
}

fn answer(index: i32, refused: &BTreeMap<i32, Refusal>) -> ReassignablePartitionResponse {
    let answer = ReassignablePartitionResponse::default().with_partition_index(index);
    match refused.get(&index) {
        None => answer.with_error_code(0).with_error_message(None),
        Some(Refusal { code, message }) => {
            let code: &ResponseError = code;
            answer
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message.clone())))
        }
    }
}
