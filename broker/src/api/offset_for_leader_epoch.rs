//! OffsetForLeaderEpoch: where a leader epoch ended (KIP-101, KIP-320).

use kafka_protocol::{
    ResponseError,
    messages::{
        OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
        offset_for_leader_epoch_request::OffsetForLeaderPartition,
        offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
    },
};

use super::Call;
use crate::{node::View, partitions::PartitionError};

/// Answers one request.
pub async fn handle(call: &Call, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let view = call.broker.view();
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let partitions =
                topic.partitions.iter().map(|asked| answer(&view, &topic.topic, asked)).collect();
            OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
        })
        .collect();
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

fn answer(view: &View, topic: &str, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let answer = EpochEndOffset::default().with_partition(asked.partition);
    match find(view, topic, asked) {
        Ok((epoch, end_offset)) => answer.with_leader_epoch(epoch).with_end_offset(end_offset),
        Err(error) => answer.with_error_code(error.code.code()).with_leader_epoch(-1).with_end_offset(-1),
    }
}

fn find(view: &View, topic: &str, asked: &OffsetForLeaderPartition) -> Result<(i32, i64), PartitionError> {
    let topic = view.image.topic(topic).ok_or_else(|| {
        PartitionError::new(asked.partition, ResponseError::UnknownTopicOrPartition, "no such topic here")
    })?;
    let replica = view.replica(topic, asked.partition)?;
    replica.check_epoch(asked.current_leader_epoch)?;
    replica.epoch_end(asked.leader_epoch)
}
