//! ListPartitionReassignments (KIP-455): partitions that move.

use kafka_protocol::messages::{
    BrokerId, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    list_partition_reassignments_response::{OngoingPartitionReassignment, OngoingTopicReassignment},
};
use milena_crds::partition::PartitionState;

use super::{Call, metadata::topic_name};
use crate::cluster::Topic;

/// Answers one request. Topics and partitions that do not move, or are not there, are left out.
pub async fn handle(
    call: &Call,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let view = call.broker.view();
    let topics = match &request.topics {
        None => {
            let all = view.image.topics.values();
            all.filter_map(|topic| moving(topic, 0..topic.partition_count())).collect()
        }
        Some(asked) => asked
            .iter()
            .filter_map(|asked| {
                moving(view.image.topic(&asked.name)?, asked.partition_indexes.iter().copied())
            })
            .collect(),
    };
    ListPartitionReassignmentsResponse::default().with_topics(topics)
}

/// Those of the partitions that move, if there are any.
fn moving(topic: &Topic, partitions: impl Iterator<Item = i32>) -> Option<OngoingTopicReassignment> {
    let one = |index: i32| {
        let state = topic.partition(index).filter(|state| state.is_reassigning())?;
        Some(describe(index, state))
    };
    let partitions: Vec<OngoingPartitionReassignment> = partitions.filter_map(one).collect();
    (!partitions.is_empty()).then(|| {
        OngoingTopicReassignment::default().with_name(topic_name(&topic.name)).with_partitions(partitions)
    })
}

fn describe(index: i32, state: &PartitionState) -> OngoingPartitionReassignment {
    let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
    OngoingPartitionReassignment::default()
        .with_partition_index(index)
        .with_replicas(ids(&state.replicas))
        .with_adding_replicas(ids(&state.adding))
        .with_removing_replicas(ids(&state.removing))
}
