//! ListOffsets: offsets by time, and the special ones.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        ListOffsetsRequest, ListOffsetsResponse,
        list_offsets_request::ListOffsetsPartition,
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
    },
};

use super::Call;
use crate::{
    clock,
    cluster::Topic,
    node::View,
    partitions::{FoundOffset, Partition, PartitionError},
};

/// From this version on answers carry leader epochs (KIP-320).
const TELLS_EPOCH: i16 = 4;
/// The end of what consumers can read.
const LATEST: i64 = -1;
/// The log start offset.
const EARLIEST: i64 = -2;
/// The record of the greatest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// The first offset on local disks (KIP-405): without tiered storage the log start offset.
const EARLIEST_LOCAL: i64 = -4;
/// The last offset in tiered storage (KIP-1005), which there is none of.
const LATEST_TIERED: i64 = -5;

/// Answers one request.
pub async fn handle(call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let view = call.broker.view();
    // READ_COMMITTED
    let committed = request.isolation_level == 1;
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let found = view.image.topic(&topic.name);
            let partitions =
                topic.partitions.iter().map(|asked| answer(call, &view, found, asked, committed)).collect();
            ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
        })
        .collect();
    ListOffsetsResponse::default().with_topics(topics)
}

fn answer(
    call: &Call,
    view: &View,
    topic: Option<&Arc<Topic>>,
    asked: &ListOffsetsPartition,
    committed: bool,
) -> ListOffsetsPartitionResponse {
    let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
    match find(call.head.api_version, view, topic, asked, committed) {
        Ok(found) => answer
            .with_timestamp(found.timestamp)
            .with_offset(found.offset)
            .with_leader_epoch(if call.head.api_version >= TELLS_EPOCH { found.leader_epoch } else { -1 }),
        Err(error) => {
            answer.with_error_code(error.code.code()).with_timestamp(-1).with_offset(-1).with_leader_epoch(-1)
        }
    }
}

/// Version 0 asks for what was written before a time: the log's end for one that is still to come, the log's
/// start where every record is older.
fn before(replica: &Partition, time_ms: i64) -> Result<FoundOffset, PartitionError> {
    if time_ms >= clock::now_ms() {
        return replica.latest_offset(false);
    }
    let newest = replica.max_timestamp_offset()?;
    Ok(if newest.timestamp <= time_ms { replica.earliest_offset() } else { FoundOffset::NONE })
}

fn find(
    version: i16,
    view: &View,
    topic: Option<&Arc<Topic>>,
    asked: &ListOffsetsPartition,
    committed: bool,
) -> Result<FoundOffset, PartitionError> {
    let unknown = || {
        PartitionError::new(
            asked.partition_index,
            ResponseError::UnknownTopicOrPartition,
            "no such topic here",
        )
    };
    let replica = view.replica(topic.ok_or_else(unknown)?, asked.partition_index)?;
    replica.check_epoch(asked.current_leader_epoch)?;
    match asked.timestamp {
        LATEST => replica.latest_offset(committed),
        EARLIEST | EARLIEST_LOCAL => Ok(replica.earliest_offset()),
        MAX_TIMESTAMP => replica.max_timestamp_offset(),
        LATEST_TIERED => Ok(FoundOffset::NONE),
        time if time >= 0 && version == 0 => before(&replica, time),
        time if time >= 0 => replica.offset_for_time(time),
        time => Err(PartitionError::new(
            asked.partition_index,
            ResponseError::UnsupportedVersion,
            format!("{time} is no special timestamp that is known here"),
        )),
    }
}
