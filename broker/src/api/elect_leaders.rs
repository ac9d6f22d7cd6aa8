//! ElectLeaders: elections that a client asks for (KIP-183, KIP-460). Judged here by what this broker sees, held by the
//! control plane, and answered once this broker sees the new leader.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt as _, stream};
use kafka_protocol::{
    ResponseError,
    messages::{
        ElectLeadersRequest, ElectLeadersResponse, TopicName,
        elect_leaders_response::{PartitionResult, ReplicaElectionResult},
    },
    protocol::StrBytes,
};
use milena_crds::{
    elections::{ElectionType, Wish},
    partition::PartitionState,
};

use super::{Call, request_wait};
use crate::{
    cluster::{ClusterImage, Topic},
    coordination::Refusal,
    node::Broker,
};

/// Topics whose elections are asked for at a time.
const AT_A_TIME: usize = 16;

/// Answers one request.
pub async fn handle(call: &Call, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let kind = match request.election_type {
        0 => ElectionType::Preferred,
        1 => ElectionType::Unclean,
        _ => return ElectLeadersResponse::default().with_error_code(ResponseError::InvalidRequest.code()),
    };
    let wait = request_wait(request.timeout_ms);
    let view = call.broker.view();
    // Whoever names no partitions hears only of those where an election was due.
    let all = request.topic_partitions.is_none();
    let asked: Vec<(TopicName, Vec<i32>)> = match request.topic_partitions {
        Some(topics) => topics.into_iter().map(|topic| (topic.topic, topic.partitions)).collect(),
        None => view.image.topics.values().map(|topic| every_partition(topic)).collect(),
    };
    let jobs = asked.into_iter().map(|(name, partitions)| {
        let image = &view.image;
        async move {
            let results = elect(&call.broker, image, &name, partitions, kind, wait).await;
            ReplicaElectionResult::default().with_topic(name).with_partition_result(results)
        }
    });
    let mut results: Vec<ReplicaElectionResult> = stream::iter(jobs).buffered(AT_A_TIME).collect().await;
    if all {
        let needless = ResponseError::ElectionNotNeeded.code();
        results
            .iter_mut()
            .for_each(|topic| topic.partition_result.retain(|result| result.error_code != needless));
        results.retain(|topic| !topic.partition_result.is_empty());
    }
    ElectLeadersResponse::default().with_replica_election_results(results)
}

fn every_partition(topic: &Topic) -> (TopicName, Vec<i32>) {
    (TopicName(StrBytes::from_string(topic.name.to_string())), (0..topic.partition_count()).collect())
}

/// Elections in one topic.
async fn elect(
    broker: &Broker,
    image: &ClusterImage,
    name: &TopicName,
    partitions: Vec<i32>,
    kind: ElectionType,
    wait: Duration,
) -> Vec<PartitionResult> {
    let Some(topic) = image.topic(name) else {
        let refusal =
            Refusal::new(ResponseError::UnknownTopicOrPartition, format!("No such topic as {}", &**name));
        return partitions.into_iter().map(|index| result(index, Err(refusal.clone()))).collect();
    };
    let judged: Vec<(i32, Result<Wish, Refusal>)> =
        partitions.into_iter().map(|index| (index, judge(image, topic, index, kind))).collect();
    let wishes: Vec<Wish> = judged.iter().filter_map(|(_, wish)| wish.as_ref().ok()).copied().collect();
    let ended = hold(broker, topic, wishes, wait).await;
    let outcome = |index: i32, wish: Result<Wish, Refusal>| {
        wish.and_then(|_| ended.get(&index).cloned().unwrap_or_else(|| Err(too_late(topic, index, wait))))
    };
    judged.into_iter().map(|(index, wish)| result(index, outcome(index, wish))).collect()
}

/// What to ask for, or why there is no election to hold.
fn judge(image: &ClusterImage, topic: &Topic, index: i32, kind: ElectionType) -> Result<Wish, Refusal> {
    let refuse = |code, message: String| Err(Refusal::new(code, message));
    let Some(state) = topic.partition(index) else {
        return refuse(
            ResponseError::UnknownTopicOrPartition,
            format!("No such partition as {}-{index}", topic.name),
        );
    };
    let lives = |broker: i32| image.live_broker(broker).is_some();
    if has_what_is_wanted(state, kind) {
        return refuse(
            ResponseError::ElectionNotNeeded,
            format!("{}-{index} needs no election: {state}", topic.name),
        );
    }
    match kind {
        ElectionType::Preferred
            if !state
                .replicas
                .first()
                .is_some_and(|first| lives(*first) && state.in_isr(*first).is_some()) =>
        {
            let message =
                format!("the first replica of {}-{index} is down or not in sync: {state}", topic.name);
            refuse(ResponseError::PreferredLeaderNotAvailable, message)
        }
        ElectionType::Unclean if !state.replicas.iter().any(|replica| lives(*replica)) => {
            let message = format!("no broker with a replica of {}-{index} is up: {state}", topic.name);
            refuse(ResponseError::EligibleLeadersNotAvailable, message)
        }
        _ => Ok(Wish { kind, partition: index, leader_epoch: Some(state.leader_epoch) }),
    }
}

fn has_what_is_wanted(state: &PartitionState, kind: ElectionType) -> bool {
    match kind {
        ElectionType::Preferred => state.leader.is_some() && state.leader == state.replicas.first().copied(),
        ElectionType::Unclean => state.leader.is_some(),
    }
}

/// Asks for the elections and waits until every partition has changed; answers how each has ended that did.
async fn hold(
    broker: &Broker,
    topic: &Topic,
    wishes: Vec<Wish>,
    wait: Duration,
) -> HashMap<i32, Result<(), Refusal>> {
    if wishes.is_empty() {
        return HashMap::new();
    }
    if let Err(refusal) = broker.coordination.elect_leaders(topic.id, wishes.clone()).await {
        return wishes.iter().map(|wish| (wish.partition, Err(refusal.clone()))).collect();
    }
    let ended = |topic: Option<&Topic>| {
        let outcome = |wish: &Wish| {
            let state = topic?.partition(wish.partition)?;
            let moved = Some(state.leader_epoch) > wish.leader_epoch;
            moved.then(|| (wish.partition, judge_outcome(state, wish.kind)))
        };
        wishes.iter().filter_map(outcome).collect::<HashMap<_, _>>()
    };
    let all_ended = broker
        .wait_for(wait, |view| {
            let ended = ended(view.image.topic_by_id(topic.id).map(AsRef::as_ref));
            (ended.len() == wishes.len()).then_some(ended)
        })
        .await;
    all_ended.unwrap_or_else(|| ended(broker.view().image.topic_by_id(topic.id).map(AsRef::as_ref)))
}

/// Whether a partition that has changed since has what was wanted.
fn judge_outcome(state: &PartitionState, kind: ElectionType) -> Result<(), Refusal> {
    if has_what_is_wanted(state, kind) {
        return Ok(());
    }
    let code = match kind {
        ElectionType::Preferred => ResponseError::PreferredLeaderNotAvailable,
        ElectionType::Unclean => ResponseError::EligibleLeadersNotAvailable,
    };
    Err(Refusal::new(code, format!("the partition changed otherwise meanwhile: {state}")))
}

fn too_late(topic: &Topic, index: i32, waited: Duration) -> Refusal {
    let message =
        format!("no election in {}-{index} after {waited:?}: look at the operator's log", topic.name);
    Refusal::new(ResponseError::RequestTimedOut, message)
}

fn result(index: i32, outcome: Result<(), Refusal>) -> PartitionResult {
    let result = PartitionResult::default().with_partition_id(index).with_error_message(None);
    match outcome {
        Ok(()) => result,
        Err(refusal) => result
            .with_error_code(refusal.code.code())
            .with_error_message(Some(StrBytes::from_string(refusal.message))),
    }
}
