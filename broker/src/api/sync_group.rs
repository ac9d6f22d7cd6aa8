//! SyncGroup: the leader gives its assignment, and everyone gets its part.

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};
use milena_groups::{Error, Response, classic::SyncRequest};

use super::{
    Call,
    group_text::{code, nullable, owned},
};

/// From this version on the protocol is told (KIP-559).
const TELLS_PROTOCOL: i16 = 5;

/// Answers one request.
pub async fn handle(call: &Call, request: SyncGroupRequest) -> SyncGroupResponse {
    let version = call.head.api_version;
    let assignments = request.assignments.into_iter();
    let request = SyncRequest {
        group_id: request.group_id.to_string(),
        generation_id: request.generation_id,
        member_id: request.member_id.to_string(),
        group_instance_id: owned(request.group_instance_id),
        protocol_type: owned(request.protocol_type),
        protocol_name: owned(request.protocol_name),
        assignments: assignments.map(|one| (one.member_id.to_string(), one.assignment)).collect(),
    };
    let group_id = request.group_id.clone();
    let assigned = call
        .broker
        .groups
        .ask(&call.broker, &group_id, |coordinator, token, now_ms, effects| {
            coordinator.sync(request, token, now_ms, effects);
        })
        .await;
    let failed = |error: Error| SyncGroupResponse::default().with_error_code(error.code());
    match assigned {
        Ok(Response::Sync(response)) => SyncGroupResponse::default()
            .with_error_code(code(response.error))
            .with_protocol_type(nullable(response.protocol_type).filter(|_| version >= TELLS_PROTOCOL))
            .with_protocol_name(nullable(response.protocol_name).filter(|_| version >= TELLS_PROTOCOL))
            .with_assignment(response.assignment),
        Ok(_) => failed(Error::UnknownServerError),
        Err(error) => failed(error),
    }
}
