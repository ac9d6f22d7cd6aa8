//! ListOffsets: offsets by time, and the special ones.

use std::{collections::HashSet, sync::Arc};

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
    partitions::{FoundOffset, Partition, PartitionError, Reach},
};

/// From this version on answers carry leader epochs (KIP-320).
const TELLS_EPOCH: i16 = 4;
/// From this version on OFFSET_NOT_AVAILABLE is known (KIP-207).
const KNOWS_NOT_AVAILABLE: i16 = 5;
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

/// Special timestamps, with the version that brought each.
const SPECIAL: &[(i64, i16)] =
    &[(LATEST, 0), (EARLIEST, 0), (MAX_TIMESTAMP, 7), (EARLIEST_LOCAL, 8), (LATEST_TIERED, 9)];

/// Answers one request.
pub async fn handle(call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let view = call.broker.view();
    let reach = if request.isolation_level == 1 { Reach::LastStableOffset } else { Reach::HighWatermark };
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let found = view.image.topic(&topic.name);
            let twice = repeated(&topic.partitions);
            let answer = |asked: &ListOffsetsPartition| {
                let outcome = match twice.contains(&asked.partition_index) {
                    true => Err(asked_twice(asked.partition_index)),
                    false => find(call.head.api_version, reach, &view, found, asked),
                };
                answer(call.head.api_version, asked.partition_index, outcome)
            };
            let partitions = topic.partitions.iter().map(answer).collect();
            ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
        })
        .collect();
    ListOffsetsResponse::default().with_topics(topics)
}

fn answer(
    version: i16,
    index: i32,
    outcome: Result<FoundOffset, PartitionError>,
) -> ListOffsetsPartitionResponse {
    let answer = ListOffsetsPartitionResponse::default().with_partition_index(index);
    match outcome {
        Ok(found) => answer
            .with_timestamp(found.timestamp)
            .with_offset(found.offset)
            .with_leader_epoch(if version >= TELLS_EPOCH { found.leader_epoch } else { -1 }),
        Err(error) => {
            let code = match error.code {
                ResponseError::OffsetNotAvailable if version < KNOWS_NOT_AVAILABLE => {
                    ResponseError::LeaderNotAvailable
                }
                code => code,
            };
            answer.with_error_code(code.code()).with_timestamp(-1).with_offset(-1).with_leader_epoch(-1)
        }
    }
}

/// Partitions that a request names more than once.
fn repeated(asked: &[ListOffsetsPartition]) -> HashSet<i32> {
    let mut seen = HashSet::with_capacity(asked.len());
    asked.iter().map(|asked| asked.partition_index).filter(|index| !seen.insert(*index)).collect()
}

fn asked_twice(index: i32) -> PartitionError {
    PartitionError::new(index, ResponseError::InvalidRequest, "the partition is named more than once")
}

/// Version 0 asks for what was written before a time: the log's end for one that is still to come, the log's
/// start where every record is older.
fn before(replica: &Partition, reach: Reach, time_ms: i64) -> Result<FoundOffset, PartitionError> {
    if time_ms >= clock::now_ms() {
        return replica.latest_offset(reach);
    }
    let newest = replica.max_timestamp_offset(reach)?;
    Ok(if newest.timestamp <= time_ms { replica.earliest_offset() } else { FoundOffset::NONE })
}

fn find(
    version: i16,
    reach: Reach,
    view: &View,
    topic: Option<&Arc<Topic>>,
    asked: &ListOffsetsPartition,
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
    let time = asked.timestamp;
    if time < 0 && !SPECIAL.iter().any(|(special, from)| *special == time && version >= *from) {
        let message =
            format!("{time} is no special timestamp that version {version} of ListOffsets knows here");
        return Err(PartitionError::new(asked.partition_index, ResponseError::UnsupportedVersion, message));
    }
    match time {
        LATEST => replica.latest_offset(reach),
        EARLIEST | EARLIEST_LOCAL => Ok(replica.earliest_offset()),
        MAX_TIMESTAMP => replica.max_timestamp_offset(reach),
        LATEST_TIERED => Ok(FoundOffset::NONE),
        time if version == 0 => before(&replica, reach, time),
        time => replica.offset_for_time(reach, time),
    }
}
