//! Fetch: batches out of logs, as they lie there. A request that finds too little waits for an append.

use std::sync::Arc;

use kafka_protocol::{ResponseError, messages::FetchRequest};
use milena_protocol::{FetchAnswer, FetchedPartition, FetchedTopic, LeaderEndpoint, Records};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{Call, endpoint, request_wait};
use crate::{
    config::ReplicaSelector,
    fetch::{Answered, Asking, Fetch, TopicKey},
    node::View,
    partitions::{PartitionError, Reach},
};

/// From this version on batches are sent as they lie in the log.
pub const LEFT_IN_FILES: i16 = 4;
/// From this version on there are sessions (KIP-227).
const SESSIONS: i16 = 7;
/// From this version on an answer's size has a limit (KIP-74).
const LIMITED: i16 = 3;
/// From this version on consumers tell their rack, and may read from followers (KIP-392).
const RACKS: i16 = 11;
/// From this version on answers name the leader to go to (KIP-951).
const TELLS_LEADER: i16 = 16;

/// Answers one request.
pub async fn handle(call: &Call, request: FetchRequest) -> FetchAnswer {
    let has_sessions = call.head.api_version >= SESSIONS;
    let answered = match Fetch::begin(call, &request, has_sessions) {
        Ok(fetch) => answer_in_time(call, &request, fetch).await,
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error| FetchAnswer { error_code: error.code(), ..FetchAnswer::default() })
}

async fn answer_in_time(
    call: &Call,
    request: &FetchRequest,
    mut fetch: Fetch,
) -> Result<FetchAnswer, ResponseError> {
    let asking = asking(call, request);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(asking.max_bytes);
    let deadline = Instant::now() + request_wait(request.max_wait_ms);
    let mailbox = fetch.mailbox();
    loop {
        let view = call.broker.view();
        let is_late = Instant::now() >= deadline;
        if let Some(answered) = fetch.look(&view, &asking, min_bytes, is_late)? {
            let session_id = fetch.end(call, &view);
            return Ok(answer(call, &view, answered, session_id));
        }
        let _ = timeout_at(deadline, mailbox.marked()).await;
    }
}

fn asking(call: &Call, request: &FetchRequest) -> Asking {
    let limit = call.broker.config().fetch_max_bytes;
    let max_bytes = match call.head.api_version {
        LIMITED.. => usize::try_from(request.max_bytes).unwrap_or(0).min(limit),
        _ => limit,
    };
    let reach = if request.isolation_level == 1 { Reach::LastStableOffset } else { Reach::HighWatermark };
    let follows_racks =
        call.head.api_version >= RACKS && call.broker.config().replica_selector == ReplicaSelector::RackAware;
    let rack = follows_racks.then(|| Arc::from(request.rack_id.as_str()));
    Asking { version: call.head.api_version, reach, max_bytes, rack }
}

fn answer(call: &Call, view: &View, answered: Vec<Answered>, session_id: i32) -> FetchAnswer {
    let mut leaders = Vec::new();
    let mut topics: Vec<FetchedTopic> = Vec::new();
    let mut last = None;
    let mut bytes = 0;
    for Answered { topic, index, outcome } in answered {
        bytes += outcome.as_ref().map_or(0, |found| found.records.len());
        let data = match outcome {
            Ok(found) => FetchedPartition {
                index,
                error_code: 0,
                high_watermark: found.high_watermark,
                last_stable_offset: found.last_stable_offset,
                log_start_offset: found.log_start_offset,
                diverging: found.diverging,
                leader: None,
                preferred_read_replica: found.nearer.unwrap_or(-1),
                aborted: found.aborted,
                records: found.records,
            },
            Err(error) => {
                let leader = error.leader.filter(|_| call.head.api_version >= TELLS_LEADER);
                leaders.extend(leader.map(|(id, _)| id));
                failed(index, &error, leader)
            }
        };
        match topics.last_mut() {
            Some(partitions) if last.as_ref() == Some(&topic) => partitions.partitions.push(data),
            _ => {
                topics.push(topic_of(&topic, data));
                last = Some(topic);
            }
        }
    }
    call.broker.metrics.bytes_out.inc_by(u64::try_from(bytes).unwrap_or(0));
    let endpoints =
        endpoint::of_leaders(call, view, leaders).into_iter().map(|(id, endpoint)| LeaderEndpoint {
            node_id: id,
            host: endpoint.host.to_string(),
            port: endpoint.port,
            rack: endpoint.rack.map(|rack| rack.to_string()),
        });
    FetchAnswer { error_code: 0, session_id, topics, endpoints: endpoints.collect() }
}

fn topic_of(topic: &TopicKey, first: FetchedPartition) -> FetchedTopic {
    let partitions = vec![first];
    match topic {
        TopicKey::Id(id) => FetchedTopic { name: Arc::default(), id: *id, partitions },
        TopicKey::Name(name) => FetchedTopic { name: name.clone(), id: Uuid::nil(), partitions },
    }
}

fn failed(index: i32, error: &PartitionError, leader: Option<(i32, i32)>) -> FetchedPartition {
    FetchedPartition {
        index,
        error_code: error.code.code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        diverging: None,
        leader,
        preferred_read_replica: -1,
        aborted: Vec::new(),
        records: Records::NONE,
    }
}
