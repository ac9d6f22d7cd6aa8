//! OffsetFetch: from where a group goes on consuming.

use kafka_protocol::{
    messages::{
        GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName,
        offset_fetch_request::OffsetFetchRequestTopic,
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
    protocol::StrBytes,
};
use milena_groups::{
    Error,
    offsets::{FetchTopic, FetchedOffset, FetchedTopic},
};

use super::{
    Call,
    group_text::{code, text},
};
use crate::node::View;

/// From this version on an error of the group has a place of its own in the answer.
const GROUP_ERROR: i16 = 2;
/// From this version on a request names several groups (KIP-709).
const BATCHED: i16 = 8;

/// Answers one request.
pub async fn handle(call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if call.head.api_version < BATCHED {
        return one_group(call, request.group_id, request.topics, stable).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let topics = group.topics.map(|topics| {
            topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect::<Vec<_>>()
        });
        let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
        groups.push(match fetch(call, &group.group_id, topics.as_deref(), stable).await {
            Ok(topics) => answer.with_topics(topics.into_iter().map(topic_of_group).collect()),
            Err(error) => answer.with_error_code(error.code()),
        });
    }
    OffsetFetchResponse::default().with_groups(groups)
}

async fn one_group(
    call: &Call,
    group_id: GroupId,
    topics: Option<Vec<OffsetFetchRequestTopic>>,
    stable: bool,
) -> OffsetFetchResponse {
    let topics = topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect::<Vec<_>>()
    });
    match fetch(call, &group_id, topics.as_deref(), stable).await {
        Ok(topics) => OffsetFetchResponse::default().with_topics(topics.into_iter().map(topic).collect()),
        Err(error) if call.head.api_version < GROUP_ERROR => {
            let failed = failed(topics.unwrap_or_default(), error);
            OffsetFetchResponse::default().with_topics(failed.into_iter().map(topic).collect())
        }
        Err(error) => OffsetFetchResponse::default().with_error_code(error.code()),
    }
}

type Asked = (TopicName, Vec<i32>);

async fn fetch(
    call: &Call,
    group_id: &GroupId,
    topics: Option<&[Asked]>,
    stable: bool,
) -> Result<Vec<FetchedTopic>, Error> {
    let view = call.broker.view();
    let topics = topics.map(|topics| topics.iter().map(|asked| with_id(&view, asked)).collect::<Vec<_>>());
    call.broker
        .groups
        .with(&call.broker, group_id, |coordinator, _, _| match &topics {
            Some(topics) => coordinator.fetch(group_id, topics, stable),
            None => coordinator.fetch_all(group_id, stable),
        })
        .await
}

fn with_id(view: &View, (name, partitions): &Asked) -> FetchTopic {
    let topic_id = view.image.topic(name).map(|topic| topic.id);
    FetchTopic { name: name.to_string(), topic_id, partitions: partitions.clone() }
}

/// Before version 2 an error of the group is told for each partition.
fn failed(topics: Vec<Asked>, error: Error) -> Vec<FetchedTopic> {
    let partition = |partition| FetchedOffset {
        partition,
        offset: -1,
        leader_epoch: -1,
        metadata: String::new(),
        error: Some(error),
    };
    let topic = |(name, partitions): Asked| FetchedTopic {
        name: name.to_string(),
        partitions: partitions.into_iter().map(partition).collect(),
    };
    topics.into_iter().map(topic).collect()
}

fn topic(topic: FetchedTopic) -> OffsetFetchResponseTopic {
    let partition = |offset: FetchedOffset| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(offset.partition)
            .with_committed_offset(offset.offset)
            .with_committed_leader_epoch(offset.leader_epoch)
            .with_metadata(Some(text(offset.metadata)))
            .with_error_code(code(offset.error))
    };
    OffsetFetchResponseTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.name)))
        .with_partitions(topic.partitions.into_iter().map(partition).collect())
}

fn topic_of_group(topic: FetchedTopic) -> OffsetFetchResponseTopics {
    let partition = |offset: FetchedOffset| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(offset.partition)
            .with_committed_offset(offset.offset)
            .with_committed_leader_epoch(offset.leader_epoch)
            .with_metadata(Some(text(offset.metadata)))
            .with_error_code(code(offset.error))
    };
    OffsetFetchResponseTopics::default()
        .with_name(TopicName(StrBytes::from_string(topic.name)))
        .with_partitions(topic.partitions.into_iter().map(partition).collect())
}
