//! ListPartitionReassignments (KIP-455): partitions whose replicas are being moved.

use kafka_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use super::Call;

/// Answers one request. Partitions have one replica, and it does not move, so none is ever under way.
pub async fn handle(
    _call: &Call,
    _request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    ListPartitionReassignmentsResponse::default()
}
