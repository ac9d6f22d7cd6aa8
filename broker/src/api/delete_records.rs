//! DeleteRecords: raises log start offsets (KIP-107).

use kafka_protocol::{
    ResponseError,
    messages::{
        DeleteRecordsRequest, DeleteRecordsResponse,
        delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
    },
};

use super::Call;
use crate::{node::View, partitions::PartitionError};

/// Answers one request.
pub async fn handle(call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let view = call.broker.view();
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|asked| {
                    let answer =
                        DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
                    match delete(&view, &topic.name, asked.partition_index, asked.offset) {
                        Ok(start) => answer.with_low_watermark(start),
                        Err(error) => answer.with_low_watermark(-1).with_error_code(error.code.code()),
                    }
                })
                .collect();
            DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
        })
        .collect();
    DeleteRecordsResponse::default().with_topics(topics)
}

fn delete(view: &View, topic: &str, index: i32, offset: i64) -> Result<i64, PartitionError> {
    let refuse = |code, message: &str| Err(PartitionError::new(index, code, message));
    let Some(topic) = view.image.topic(topic) else {
        return refuse(ResponseError::UnknownTopicOrPartition, "no such topic here");
    };
    if topic.is_internal() {
        return refuse(ResponseError::InvalidTopicException, "records of this topic are the brokers' own");
    }
    let replica = view.replica(topic, index)?;
    if !replica.config().deletes_records() {
        return refuse(ResponseError::PolicyViolation, "the topic's cleanup.policy does not include delete");
    }
    replica.delete_records(offset)
}
