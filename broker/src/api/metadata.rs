//! Metadata: which brokers and topics there are, and who leads what.

use std::sync::Arc;

use futures::future::join_all;
use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, MetadataRequest, MetadataResponse, TopicName,
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
    protocol::StrBytes,
};
use milena_crds::partition::PartitionState;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Call, endpoint};
use crate::{
    cluster::{ClusterImage, Topic},
    replication::others_lead,
    topics,
};

/// Operations that a client may do are only told where authorization exists; this is "not told".
const NOT_TOLD: i32 = i32::MIN;

/// Answers one request.
pub async fn handle(call: &Call, request: MetadataRequest) -> MetadataResponse {
    let names = asked_names(call, &request);
    let wants_missing = request.allow_auto_topic_creation && call.broker.config().auto_create_topics;
    let mut refused = Vec::new();
    if let (Asked::Topics(topics), true) = (&names, wants_missing) {
        refused = create_missing(call, topics).await;
    }
    others_lead(&call.broker, |image, broker| is_led(image, &names, broker)).await;
    let image = &call.broker.shown_image();
    let topics = match names {
        Asked::All => image.topics.values().map(|topic| described(call, image, topic)).collect(),
        Asked::Topics(asked) => asked
            .into_iter()
            .map(|(name, id)| {
                let failed = refused.iter().find(|(topic, _)| *topic == name).map(|(_, code)| *code);
                answer_one(call, image, name, id, failed)
            })
            .collect(),
    };
    MetadataResponse::default()
        .with_brokers(brokers(call, image))
        .with_cluster_id(Some(StrBytes::from_string(image.cluster_id.to_string())))
        .with_controller_id(controller(image))
        .with_topics(topics)
}

enum Asked {
    All,
    Topics(Vec<(Option<TopicName>, Uuid)>),
}

/// Version 0 says "all" by an empty list, later ones by null.
fn asked_names(call: &Call, request: &MetadataRequest) -> Asked {
    match &request.topics {
        None => Asked::All,
        Some(topics) if topics.is_empty() && call.head.api_version == 0 => Asked::All,
        Some(topics) => {
            Asked::Topics(topics.iter().map(|topic| (topic.name.clone(), topic.topic_id)).collect())
        }
    }
}

/// Whether a broker leads anything of what is asked for.
fn is_led(image: &ClusterImage, asked: &Asked, broker: i32) -> bool {
    let leads = |topic: &Arc<Topic>| topic.is_led_by(broker);
    match asked {
        Asked::All => image.topics.values().any(leads),
        Asked::Topics(topics) => {
            topics.iter().any(|(name, id)| find(image, name.as_ref(), *id).is_some_and(leads))
        }
    }
}

fn find<'a>(image: &'a ClusterImage, name: Option<&TopicName>, id: Uuid) -> Option<&'a Arc<Topic>> {
    name.map_or_else(|| image.topic_by_id(id), |name| image.topic(name))
}

/// Makes the topics that are asked for and missing; answers those that could not be made, and why.
async fn create_missing(
    call: &Call,
    asked: &[(Option<TopicName>, Uuid)],
) -> Vec<(Option<TopicName>, ResponseError)> {
    let view = call.broker.view();
    let missing = asked.iter().filter_map(|(name, _)| name.as_ref());
    let missing = missing.filter(|name| view.image.topic(name).is_none());
    let jobs = missing.map(|name| async move {
        let refusal = topics::ensure(&call.broker, name).await.err()?;
        // A topic on its way is worth asking for again; the client does so by itself.
        let code = match refusal.code {
            ResponseError::RequestTimedOut => ResponseError::LeaderNotAvailable,
            code => code,
        };
        Some((Some(name.clone()), code))
    });
    join_all(jobs).await.into_iter().flatten().collect()
}

fn answer_one(
    call: &Call,
    image: &ClusterImage,
    name: Option<TopicName>,
    id: Uuid,
    failed: Option<ResponseError>,
) -> MetadataResponseTopic {
    let Some(topic) = find(image, name.as_ref(), id) else {
        let code = match &name {
            Some(name) if milena_crds::names::check_topic_name(name).is_err() => {
                ResponseError::InvalidTopicException
            }
            Some(_) => failed.unwrap_or(ResponseError::UnknownTopicOrPartition),
            None => failed.unwrap_or(ResponseError::UnknownTopicId),
        };
        // A null name is only legal where the request could carry a topic id.
        let name = name.or((call.head.api_version < 12).then(TopicName::default));
        return MetadataResponseTopic::default()
            .with_error_code(code.code())
            .with_name(name)
            .with_topic_id(id)
            .with_topic_authorized_operations(NOT_TOLD);
    };
    described(call, image, topic)
}

fn described(call: &Call, image: &ClusterImage, topic: &Arc<Topic>) -> MetadataResponseTopic {
    let partitions = (0..)
        .zip(&topic.partitions)
        .map(|(index, state)| partition(call.head.api_version, image, index, state.as_ref()))
        .collect();
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(topic.id)
        .with_is_internal(topic.is_internal())
        .with_partitions(partitions)
        .with_topic_authorized_operations(NOT_TOLD)
}

fn partition(
    version: i16,
    image: &ClusterImage,
    index: i32,
    state: Option<&PartitionState>,
) -> MetadataResponsePartition {
    let Some(state) = state else {
        return MetadataResponsePartition::default()
            .with_error_code(ResponseError::LeaderNotAvailable.code())
            .with_partition_index(index)
            .with_leader_id(BrokerId(-1));
    };
    let leader = state.leader.filter(|leader| image.live_broker(*leader).is_some());
    let offline: Vec<BrokerId> = offline_replicas(image, state);
    let code = match leader {
        None => ResponseError::LeaderNotAvailable.code(),
        Some(_) if version == 0 && !offline.is_empty() => ResponseError::ReplicaNotAvailable.code(),
        Some(_) => 0,
    };
    MetadataResponsePartition::default()
        .with_error_code(code)
        .with_partition_index(index)
        .with_leader_id(BrokerId(leader.unwrap_or(-1)))
        .with_leader_epoch(state.leader_epoch)
        .with_replica_nodes(state.replicas.iter().copied().map(BrokerId).collect())
        .with_isr_nodes(state.isr.iter().map(|member| BrokerId(member.broker)).collect())
        .with_offline_replicas(offline)
}

/// Replicas on brokers that are not up.
pub fn offline_replicas(image: &ClusterImage, state: &PartitionState) -> Vec<BrokerId> {
    let down = |replica: &i32| image.live_broker(*replica).is_none();
    state.replicas.iter().copied().filter(down).map(BrokerId).collect()
}

fn brokers(call: &Call, image: &ClusterImage) -> Vec<MetadataResponseBroker> {
    let (absences, now) = (&call.broker.replication.absences, Instant::now());
    image
        .brokers
        .iter()
        .filter(|(id, broker)| broker.alive || absences.is_listed(**id, now))
        .map(|(id, broker)| {
            let endpoint = endpoint::of(call, *id, broker);
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(*id))
                .with_host(endpoint.host)
                .with_port(endpoint.port)
                .with_rack(endpoint.rack)
        })
        .collect()
}

/// Any broker takes the requests that Kafka sends to its controller, so the first one that is up is named:
/// the same for every client, and always among the brokers listed.
pub fn controller(image: &ClusterImage) -> BrokerId {
    let first = image.brokers.iter().find(|(_, broker)| broker.alive);
    BrokerId(first.map_or(-1, |(id, _)| *id))
}

/// A topic's name as the protocol has it.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
