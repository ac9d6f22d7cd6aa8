//! FindCoordinator: the leader of the partition of `__consumer_offsets` that a group belongs to.

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, find_coordinator_response::Coordinator,
    },
    protocol::StrBytes,
};
use milena_groups::partition_for;

use super::{Call, endpoint};
use crate::{
    cluster::ClusterImage, coordination::Refusal, groups::OFFSETS_TOPIC, replication::others_lead, topics,
};

/// From this version on a request names several groups (KIP-699).
const BATCHED: i16 = 4;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Answers one request.
pub async fn handle(call: &Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let batched = call.head.api_version >= BATCHED;
    let keys = if batched { request.coordinator_keys } else { vec![request.key] };
    let mut coordinators = Vec::with_capacity(keys.len());
    for key in keys {
        let found = find(call, request.key_type, &key).await;
        coordinators.push(found.unwrap_or_else(|refusal| refused(key, refusal)));
    }
    if batched {
        return FindCoordinatorResponse::default().with_coordinators(coordinators);
    }
    let one = coordinators.pop().unwrap_or_default();
    FindCoordinatorResponse::default()
        .with_error_code(one.error_code)
        .with_error_message(one.error_message)
        .with_node_id(one.node_id)
        .with_host(one.host)
        .with_port(one.port)
}

async fn find(call: &Call, key_type: i8, key: &StrBytes) -> Result<Coordinator, Refusal> {
    match key_type {
        GROUP => {}
        // As InitProducerId answers: a client that asks for transactions learns at once that there are none.
        TRANSACTION => {
            let message = "transactions are not offered by this version";
            return Err(Refusal::new(ResponseError::TransactionalIdAuthorizationFailed, message));
        }
        _ => {
            let message = format!("coordinators of type {key_type} are not offered");
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
    }
    let unavailable = |message: String| Refusal::new(ResponseError::CoordinatorNotAvailable, message);
    let topic = topics::ensure(&call.broker, OFFSETS_TOPIC)
        .await
        .map_err(|refusal| unavailable(format!("{OFFSETS_TOPIC} cannot be made: {}", refusal.message)))?;
    let index = partition_for(key, topic.partition_count());
    let leads = |image: &ClusterImage, broker: i32| {
        let state = image.topic(OFFSETS_TOPIC).and_then(|topic| topic.partition(index));
        state.and_then(|state| state.leader) == Some(broker)
    };
    others_lead(&call.broker, leads).await;
    let image = call.broker.shown_image();
    let topic = image.topic(OFFSETS_TOPIC).cloned().unwrap_or(topic);
    let leader = topic
        .partition(index)
        .and_then(|state| state.leader)
        .and_then(|leader| Some((leader, image.live_broker(leader)?)));
    let Some((leader, broker)) = leader else {
        return Err(unavailable(format!("{OFFSETS_TOPIC}-{index} has no leader")));
    };
    let endpoint = endpoint::of(call, leader, broker);
    Ok(Coordinator::default()
        .with_key(key.clone())
        .with_node_id(BrokerId(leader))
        .with_host(endpoint.host)
        .with_port(endpoint.port))
}

fn refused(key: StrBytes, refusal: Refusal) -> Coordinator {
    Coordinator::default()
        .with_key(key)
        .with_node_id(BrokerId(-1))
        .with_port(-1)
        .with_error_code(refusal.code.code())
        .with_error_message(Some(StrBytes::from_string(refusal.message)))
}
