//! Heartbeat: a member is alive, and hears whether it has to join again.

use kafka_protocol::messages;
use milena_groups::{Error, classic::HeartbeatRequest};

use super::{
    Call,
    group_text::{code, owned},
};

/// Answers one request.
pub async fn handle(call: &Call, request: messages::HeartbeatRequest) -> messages::HeartbeatResponse {
    let request = HeartbeatRequest {
        group_id: request.group_id.to_string(),
        generation_id: request.generation_id,
        member_id: request.member_id.to_string(),
        group_instance_id: owned(request.group_instance_id),
    };
    let beat = call
        .broker
        .groups
        .with(&call.broker, &request.group_id, |coordinator, now_ms, _| {
            coordinator.heartbeat(&request, now_ms)
        })
        .await;
    let error = match beat {
        Ok(result) => result.err(),
        // Nobody's session runs before the group is loaded.
        Err(Error::CoordinatorLoadInProgress) => None,
        Err(error) => Some(error),
    };
    messages::HeartbeatResponse::default().with_error_code(code(error))
}
