//! OffsetDelete: a group forgets how far it has consumed (KIP-496).

use kafka_protocol::messages::{
    OffsetDeleteRequest, OffsetDeleteResponse,
    offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
};
use milena_groups::{
    Error, Response,
    offsets::{DeleteOffsetsRequest, DeletedOffset},
};

use super::{Call, group_text::code};

/// Answers one request.
pub async fn handle(call: &Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let mut answers: Vec<OffsetDeleteResponseTopic> = Vec::with_capacity(request.topics.len());
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let partitions: Vec<i32> =
            topic.partitions.iter().map(|partition| partition.partition_index).collect();
        let answer = |index: &i32| OffsetDeleteResponsePartition::default().with_partition_index(*index);
        topics.push((topic.name.to_string(), partitions.clone()));
        answers.push(
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(partitions.iter().map(answer).collect()),
        );
    }
    match delete(call, DeleteOffsetsRequest { group_id: request.group_id.to_string(), topics }).await {
        Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
        Ok(deleted) => {
            // The outcome names every partition of the request, in its order.
            let partitions = answers.iter_mut().flat_map(|topic| &mut topic.partitions);
            for (answer, deleted) in partitions.zip(deleted) {
                answer.error_code = code(deleted.error);
            }
            OffsetDeleteResponse::default().with_topics(answers)
        }
    }
}

async fn delete(call: &Call, request: DeleteOffsetsRequest) -> Result<Vec<DeletedOffset>, Error> {
    let group_id = request.group_id.clone();
    let deleted = call
        .broker
        .groups
        .ask(&call.broker, &group_id, |coordinator, token, now_ms, effects| {
            coordinator.delete_offsets(&request, token, now_ms, effects);
        })
        .await?;
    match deleted {
        Response::DeleteOffsets(outcome) => outcome,
        _ => Err(Error::UnknownServerError),
    }
}
