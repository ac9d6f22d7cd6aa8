//! Fetch: batches out of logs, as they lie there. A request that finds too little waits for an append.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, FetchRequest, FetchResponse,
        fetch_request::{FetchPartition, FetchTopic},
        fetch_response::{FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData},
    },
};
use tokio::time::{Instant, timeout_at};

use super::{Call, endpoint, fetch_convert, request_wait};
use crate::{
    cluster::Topic,
    node::View,
    partitions::{FetchWaiter, Fetched, Partition, PartitionError, ReadLimits},
};

/// From this version on topics are named by id (KIP-516).
const BY_TOPIC_ID: i16 = 13;
/// From this version on answers name the leader to go to (KIP-951).
const TELLS_LEADER: i16 = 16;
/// From this version on an answer holds one whole batch even where it is larger than the limits (KIP-74).
const FIRST_BATCH_WHOLE: i16 = 3;

/// Answers one request.
///
/// Fetch sessions (KIP-227) are declined by session id 0: each request names all its partitions.
pub async fn handle(call: &Call, request: FetchRequest) -> FetchResponse {
    if request.session_id != 0 && request.session_epoch > 0 {
        return FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code());
    }
    let deadline = Instant::now() + request_wait(request.max_wait_ms);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let waiter = Arc::new(FetchWaiter::default());
    loop {
        let view = call.broker.view();
        // Asked for before the logs are read: an append in between is not missed.
        let woken = waiter.woken();
        let round = Round::read(call, &view, &request);
        let enough = round.bytes >= min_bytes || round.has_error || Instant::now() >= deadline;
        if enough || !round.wait_on(&waiter) {
            return round.answer(call, &view, &request);
        }
        // Registered only now: look once more before sleeping.
        let again = Round::read(call, &view, &request);
        if again.bytes >= min_bytes || again.has_error {
            return again.answer(call, &view, &request);
        }
        let _ = timeout_at(deadline, woken).await;
    }
}

/// One look at all partitions of a request.
struct Round {
    topics: Vec<Vec<Outcome>>,
    bytes: usize,
    has_error: bool,
}

type Outcome = Result<(Arc<Partition>, Fetched), PartitionError>;

impl Round {
    fn read(call: &Call, view: &View, request: &FetchRequest) -> Round {
        let config = call.broker.config();
        let mut left = match call.head.api_version {
            FIRST_BATCH_WHOLE.. => {
                usize::try_from(request.max_bytes).unwrap_or(0).min(config.fetch_max_bytes)
            }
            _ => config.fetch_max_bytes,
        };
        let mut round =
            Round { topics: Vec::with_capacity(request.topics.len()), bytes: 0, has_error: false };
        for topic in &request.topics {
            let found = find(call, view, topic);
            let mut outcomes = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let whole = round.bytes == 0 && call.head.api_version >= FIRST_BATCH_WHOLE;
                let outcome = read_one(call.head.api_version, view, &found, asked, left, whole);
                match &outcome {
                    Ok((_, fetched)) => {
                        round.bytes += fetched.records.len();
                        left = left.saturating_sub(fetched.records.len());
                    }
                    Err(_) => round.has_error = true,
                }
                outcomes.push(outcome);
            }
            round.topics.push(outcomes);
        }
        round
    }

    /// Asks every partition to wake the waiter; false where there is none to wait for.
    fn wait_on(&self, waiter: &Arc<FetchWaiter>) -> bool {
        let mut any = false;
        for (partition, _) in self.topics.iter().flatten().flatten() {
            partition.wake_on_advance(waiter);
            any = true;
        }
        any
    }

    fn answer(self, call: &Call, view: &View, request: &FetchRequest) -> FetchResponse {
        call.broker.metrics.bytes_out.inc_by(u64::try_from(self.bytes).unwrap_or(0));
        let mut leaders = Vec::new();
        let responses = request
            .topics
            .iter()
            .zip(self.topics)
            .map(|(topic, outcomes)| {
                let partitions = topic
                    .partitions
                    .iter()
                    .zip(outcomes)
                    .map(|(asked, outcome)| partition(call, asked, outcome, &mut leaders))
                    .collect();
                FetchableTopicResponse::default()
                    .with_topic(topic.topic.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions)
            })
            .collect();
        let endpoints = endpoint::of_leaders(call, view, leaders).into_iter().map(|(id, endpoint)| {
            NodeEndpoint::default()
                .with_node_id(BrokerId(id))
                .with_host(endpoint.host)
                .with_port(endpoint.port)
                .with_rack(endpoint.rack)
        });
        FetchResponse::default().with_responses(responses).with_node_endpoints(endpoints.collect())
    }
}

fn find(call: &Call, view: &View, topic: &FetchTopic) -> Result<Arc<Topic>, ResponseError> {
    if call.head.api_version >= BY_TOPIC_ID {
        return view.image.topic_by_id(topic.topic_id).cloned().ok_or(ResponseError::UnknownTopicId);
    }
    view.image.topic(&topic.topic).cloned().ok_or(ResponseError::UnknownTopicOrPartition)
}

fn read_one(
    version: i16,
    view: &View,
    topic: &Result<Arc<Topic>, ResponseError>,
    asked: &FetchPartition,
    left: usize,
    whole_batch: bool,
) -> Outcome {
    let topic =
        topic.as_ref().map_err(|code| PartitionError::new(asked.partition, *code, "no such topic here"))?;
    let replica = view.replica(topic, asked.partition)?;
    let max_bytes = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(left);
    let limits = ReadLimits { max_bytes, whole_batch };
    let (offset, epoch) = (asked.fetch_offset, asked.current_leader_epoch);
    let fetched = fetch_convert::fetch(version, &replica, offset, epoch, limits)?;
    Ok((replica, fetched))
}

fn partition(call: &Call, asked: &FetchPartition, outcome: Outcome, leaders: &mut Vec<i32>) -> PartitionData {
    match outcome {
        Ok((_, fetched)) => PartitionData::default()
            .with_partition_index(asked.partition)
            .with_high_watermark(fetched.high_watermark)
            .with_last_stable_offset(fetched.last_stable_offset)
            .with_log_start_offset(fetched.log_start_offset)
            .with_aborted_transactions(Some(Vec::new()))
            .with_preferred_read_replica(BrokerId(-1))
            .with_records(Some(fetched.records)),
        Err(error) => {
            let mut answer = PartitionData::default()
                .with_partition_index(asked.partition)
                .with_error_code(error.code.code())
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(-1)
                .with_aborted_transactions(Some(Vec::new()))
                .with_preferred_read_replica(BrokerId(-1))
                .with_records(Some(bytes::Bytes::new()));
            if let Some((leader, epoch)) = error.leader.filter(|_| call.head.api_version >= TELLS_LEADER) {
                leaders.push(leader);
                answer = answer.with_current_leader(
                    LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader)).with_leader_epoch(epoch),
                );
            }
            answer
        }
    }
}
