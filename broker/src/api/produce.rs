//! Produce: batches into logs. Everything is done on the connection's task, from the frame to the page cache.

use std::{sync::Arc, time::Duration};

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, ProduceRequest, ProduceResponse,
        produce_request::{PartitionProduceData, TopicProduceData},
        produce_response::{LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse},
    },
    protocol::StrBytes,
};
use tokio::time::{Instant, timeout_at};

use super::{Call, endpoint, request_wait};
use crate::{
    cluster::Topic,
    node::View,
    partitions::{Partition, PartitionError, ProduceVersion, Produced},
};

/// From this version on topics are named by id (KIP-516).
const BY_TOPIC_ID: i16 = 13;
/// From this version on answers name the leader to go to (KIP-951).
const TELLS_LEADER: i16 = 10;
/// acks=all: the answer waits for every in-sync replica.
const ALL: i16 = -1;

type Outcome = Result<(Arc<Partition>, Produced), PartitionError>;

/// Answers one request; none for acks=0. All is appended before anything is waited for: the connection's next request
/// may come meanwhile.
pub async fn handle(call: &Call, request: ProduceRequest) -> Option<ProduceResponse> {
    let view = call.broker.view();
    let acks = request.acks;
    let mut outcomes: Vec<(TopicProduceData, Vec<Outcome>)> = Vec::with_capacity(request.topic_data.len());
    for mut topic in request.topic_data {
        let found = find(call, &view, &topic);
        let partitions = std::mem::take(&mut topic.partition_data);
        let appended = partitions.into_iter().map(|data| append(call, &view, &found, acks, data)).collect();
        outcomes.push((topic, appended));
    }
    match acks {
        0 => return None,
        _ => await_acknowledgement(acks, request_wait(request.timeout_ms), &mut outcomes).await,
    }
    let mut leaders = Vec::new();
    let responses = outcomes
        .into_iter()
        .map(|(topic, outcomes)| {
            let answers = outcomes.into_iter().map(|outcome| answer(call, outcome, &mut leaders)).collect();
            TopicProduceResponse::default()
                .with_name(topic.name)
                .with_topic_id(topic.topic_id)
                .with_partition_responses(answers)
        })
        .collect();
    let endpoints = endpoint::of_leaders(call, &view, leaders).into_iter().map(|(id, endpoint)| {
        NodeEndpoint::default()
            .with_node_id(BrokerId(id))
            .with_host(endpoint.host)
            .with_port(endpoint.port)
            .with_rack(endpoint.rack)
    });
    Some(ProduceResponse::default().with_responses(responses).with_node_endpoints(endpoints.collect()))
}

fn find(call: &Call, view: &View, topic: &TopicProduceData) -> Result<Arc<Topic>, ResponseError> {
    if call.head.api_version >= BY_TOPIC_ID {
        return view.image.topic_by_id(topic.topic_id).cloned().ok_or(ResponseError::UnknownTopicId);
    }
    view.image.topic(&topic.name).cloned().ok_or(ResponseError::UnknownTopicOrPartition)
}

fn append(
    call: &Call,
    view: &View,
    topic: &Result<Arc<Topic>, ResponseError>,
    acks: i16,
    data: PartitionProduceData,
) -> Outcome {
    let index = data.index;
    let refuse = |code, message: &str| Err(PartitionError::new(index, code, message));
    if !(ALL..=1).contains(&acks) {
        return refuse(
            ResponseError::InvalidRequiredAcks,
            &format!("acks is {acks}; it must be 0, 1 or -1 (all)"),
        );
    }
    let topic = match topic {
        Ok(topic) => topic,
        Err(code) => return refuse(*code, "no such topic here"),
    };
    if topic.is_internal() {
        return refuse(ResponseError::InvalidTopicException, "only brokers write to this topic");
    }
    let replica = view.replica(topic, index)?;
    let records = data.records.unwrap_or_default();
    let version = ProduceVersion(call.head.api_version);
    let produced = replica.append(records, acks == ALL, version, call.buffer)?;
    call.broker.metrics.bytes_in.inc_by(produced.bytes);
    call.broker.metrics.batches_in.inc();
    Ok((replica, produced))
}

/// Turns appends that are not where `acks` wants them in time into errors: on every in-sync replica, or durable here.
async fn await_acknowledgement(acks: i16, wait: Duration, outcomes: &mut [(TopicProduceData, Vec<Outcome>)]) {
    let deadline = Instant::now() + wait;
    for outcome in outcomes.iter_mut().flat_map(|(_, outcomes)| outcomes) {
        let Ok((replica, produced)) = outcome else { continue };
        let (acknowledged, missed) = if acks == ALL {
            (timeout_at(deadline, replica.replicated(produced)).await, "on every in-sync replica")
        } else if replica.is_durable(produced) {
            continue;
        } else {
            (timeout_at(deadline, replica.durable(produced)).await, "on disk, as flush.messages asks,")
        };
        let acknowledged = acknowledged.unwrap_or_else(|_| {
            let message = format!("not {missed} after {wait:?}");
            Err(PartitionError::new(replica.index, ResponseError::RequestTimedOut, message))
        });
        if let Err(error) = acknowledged {
            *outcome = Err(error);
        }
    }
}

fn answer(call: &Call, outcome: Outcome, leaders: &mut Vec<i32>) -> PartitionProduceResponse {
    match outcome {
        Ok((replica, produced)) => PartitionProduceResponse::default()
            .with_index(replica.index)
            .with_base_offset(produced.base_offset)
            .with_log_append_time_ms(produced.log_append_time_ms)
            .with_log_start_offset(produced.log_start_offset),
        Err(error) => {
            let mut answer = PartitionProduceResponse::default()
                .with_index(error.partition)
                .with_error_code(error.code.code())
                .with_base_offset(-1)
                .with_log_append_time_ms(-1)
                .with_log_start_offset(-1)
                .with_error_message(Some(StrBytes::from_string(error.message)));
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
