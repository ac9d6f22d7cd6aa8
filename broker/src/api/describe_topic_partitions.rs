//! DescribeTopicPartitions (KIP-966): topics with their eligible leader replicas, page by page.

use std::sync::Arc;

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
        describe_topic_partitions_response::{
            Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
        },
    },
};

use super::{
    Call,
    metadata::{offline_replicas, topic_name},
};
use crate::cluster::{ClusterImage, Topic};

/// Partitions in one answer, whatever the client asks for.
const MAX_PARTITIONS: usize = 2_000;

/// Answers one request.
pub async fn handle(call: &Call, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let view = call.broker.view();
    let image = &view.image;
    let mut names: Vec<Arc<str>> = if request.topics.is_empty() {
        image.topics.keys().cloned().collect()
    } else {
        request.topics.iter().map(|topic| Arc::from(topic.name.as_str())).collect()
    };
    names.sort();
    names.dedup();
    let (from, mut first) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index.max(0)),
        None => ("", 0),
    };
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, MAX_PARTITIONS);
    let mut page = Page { left: limit, topics: Vec::new(), next: None };
    for name in names.iter().filter(|name| name.as_ref() >= from) {
        let start = if name.as_ref() == from { std::mem::take(&mut first) } else { 0 };
        if !page.add(image, name, start) {
            break;
        }
    }
    DescribeTopicPartitionsResponse::default().with_topics(page.topics).with_next_cursor(page.next)
}

struct Page {
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page {
    /// Adds a topic's partitions from `start` on; false once the page is full.
    fn add(&mut self, image: &ClusterImage, name: &str, start: i32) -> bool {
        if self.left == 0 {
            self.next = Some(cursor(name, start));
            return false;
        }
        let answer = DescribeTopicPartitionsResponseTopic::default().with_name(Some(topic_name(name)));
        let Some(topic) = image.topic(name) else {
            self.topics.push(answer.with_error_code(unknown(name).code()));
            return true;
        };
        let skipped = usize::try_from(start).unwrap_or(0);
        let partitions: Vec<_> = (0..)
            .zip(&topic.partitions)
            .skip(skipped)
            .take(self.left)
            .map(|(index, _)| partition(image, topic, index))
            .collect();
        self.left -= partitions.len();
        let shown = skipped + partitions.len();
        let complete = shown >= topic.partitions.len();
        if !complete {
            self.next = Some(cursor(name, i32::try_from(shown).unwrap_or(i32::MAX)));
        }
        let answer = answer.with_topic_id(topic.id).with_is_internal(topic.is_internal());
        self.topics.push(answer.with_partitions(partitions));
        complete
    }
}

fn cursor(topic: &str, partition: i32) -> Cursor {
    Cursor::default().with_topic_name(topic_name(topic)).with_partition_index(partition)
}

fn unknown(name: &str) -> ResponseError {
    match milena_crds::names::check_topic_name(name) {
        Ok(()) => ResponseError::UnknownTopicOrPartition,
        Err(_) => ResponseError::InvalidTopicException,
    }
}

fn partition(image: &ClusterImage, topic: &Topic, index: i32) -> DescribeTopicPartitionsResponsePartition {
    let answer = DescribeTopicPartitionsResponsePartition::default().with_partition_index(index);
    let Some(state) = topic.partition(index) else {
        let code = ResponseError::LeaderNotAvailable.code();
        return answer.with_error_code(code).with_leader_id(BrokerId(-1));
    };
    let leader = state.leader.filter(|leader| image.live_broker(*leader).is_some());
    let members = |members: &[milena_crds::partition::Member]| -> Vec<BrokerId> {
        members.iter().map(|member| BrokerId(member.broker)).collect()
    };
    answer
        .with_error_code(if leader.is_some() { 0 } else { ResponseError::LeaderNotAvailable.code() })
        .with_leader_id(BrokerId(leader.unwrap_or(-1)))
        .with_leader_epoch(state.leader_epoch)
        .with_replica_nodes(state.replicas.iter().copied().map(BrokerId).collect())
        .with_isr_nodes(members(&state.isr))
        .with_eligible_leader_replicas(Some(members(&state.elr)))
        .with_last_known_elr(Some(Vec::new()))
        .with_offline_replicas(offline_replicas(image, state))
}
