//! Fetch: batches out of logs, as they lie there. A request that finds too little waits for an append.

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, FetchRequest, FetchResponse, ProducerId, TopicName,
        fetch_response::{
            AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
            PartitionData,
        },
    },
    protocol::StrBytes,
};
use tokio::time::{Instant, timeout_at};

use super::{Call, endpoint, request_wait};
use crate::{
    fetch::{Answered, Asking, Fetch, TopicKey},
    node::View,
    partitions::{Fetched, PartitionError, Reach},
};

/// From this version on there are sessions (KIP-227).
const SESSIONS: i16 = 7;
/// From this version on an answer's size has a limit (KIP-74).
const LIMITED: i16 = 3;
/// From this version on answers name the leader to go to (KIP-951).
const TELLS_LEADER: i16 = 16;

/// Answers one request.
pub async fn handle(call: &Call, request: FetchRequest) -> FetchResponse {
    let refuse = |error: ResponseError| FetchResponse::default().with_error_code(error.code());
    let has_sessions = call.head.api_version >= SESSIONS;
    let fetch = match Fetch::begin(call, &request, has_sessions) {
        Ok(fetch) => fetch,
        Err(error) => return refuse(error),
    };
    match answer_in_time(call, &request, fetch).await {
        Ok(response) => response,
        Err(error) => refuse(error),
    }
}

async fn answer_in_time(
    call: &Call,
    request: &FetchRequest,
    mut fetch: Fetch,
) -> Result<FetchResponse, ResponseError> {
    let asking = asking(call, request);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(asking.max_bytes);
    let deadline = Instant::now() + request_wait(request.max_wait_ms);
    let mailbox = fetch.mailbox();
    loop {
        let view = call.broker.view();
        let is_late = Instant::now() >= deadline;
        if let Some(answered) = fetch.look(&view, &asking, min_bytes, is_late)? {
            let session_id = fetch.end(call, &view);
            return Ok(response(call, &view, answered).with_session_id(session_id));
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
    Asking { version: call.head.api_version, reach, max_bytes }
}

fn response(call: &Call, view: &View, answered: Vec<Answered>) -> FetchResponse {
    let mut leaders = Vec::new();
    let mut topics: Vec<(TopicKey, FetchableTopicResponse)> = Vec::new();
    let mut bytes = 0;
    for Answered { topic, index, outcome } in answered {
        bytes += outcome.as_ref().map_or(0, |found| found.records.len());
        let data = match outcome {
            Ok(found) => PartitionData::default()
                .with_partition_index(index)
                .with_high_watermark(found.high_watermark)
                .with_last_stable_offset(found.last_stable_offset)
                .with_log_start_offset(found.log_start_offset)
                .with_aborted_transactions(Some(aborted(&found)))
                .with_diverging_epoch(found.diverging.map_or_else(EpochEndOffset::default, |(epoch, end)| {
                    EpochEndOffset::default().with_epoch(epoch).with_end_offset(end)
                }))
                .with_records(Some(found.records)),
            Err(error) => failed(call, index, &error, &mut leaders),
        };
        let data = data.with_preferred_read_replica(BrokerId(-1));
        match topics.last_mut() {
            Some((last, partitions)) if *last == topic => partitions.partitions.push(data),
            _ => {
                let answer = match &topic {
                    TopicKey::Id(id) => FetchableTopicResponse::default().with_topic_id(*id),
                    TopicKey::Name(name) => {
                        let name = TopicName(StrBytes::from_string(name.to_string()));
                        FetchableTopicResponse::default().with_topic(name)
                    }
                };
                topics.push((topic, answer.with_partitions(vec![data])));
            }
        }
    }
    call.broker.metrics.bytes_out.inc_by(u64::try_from(bytes).unwrap_or(0));
    let endpoints = endpoint::of_leaders(call, view, leaders).into_iter().map(|(id, endpoint)| {
        NodeEndpoint::default()
            .with_node_id(BrokerId(id))
            .with_host(endpoint.host)
            .with_port(endpoint.port)
            .with_rack(endpoint.rack)
    });
    FetchResponse::default()
        .with_responses(topics.into_iter().map(|(_, answer)| answer).collect())
        .with_node_endpoints(endpoints.collect())
}

fn aborted(found: &Fetched) -> Vec<AbortedTransaction> {
    let aborted = found.aborted.iter();
    aborted
        .map(|(producer_id, first_offset)| {
            AbortedTransaction::default()
                .with_producer_id(ProducerId(*producer_id))
                .with_first_offset(*first_offset)
        })
        .collect()
}

fn failed(call: &Call, index: i32, error: &PartitionError, leaders: &mut Vec<i32>) -> PartitionData {
    let answer = PartitionData::default()
        .with_partition_index(index)
        .with_error_code(error.code.code())
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_aborted_transactions(Some(Vec::new()))
        .with_records(Some(bytes::Bytes::new()));
    match error.leader.filter(|_| call.head.api_version >= TELLS_LEADER) {
        Some((leader, epoch)) => {
            leaders.push(leader);
            answer.with_current_leader(
                LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader)).with_leader_epoch(epoch),
            )
        }
        None => answer,
    }
}
