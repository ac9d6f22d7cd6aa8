//! JoinGroup: a member joins the next generation of its group, and is answered when that begins.

use kafka_protocol::messages::{
    JoinGroupRequest, JoinGroupResponse, join_group_response::JoinGroupResponseMember,
};
use milena_groups::{
    Error, Response,
    classic::{JoinRequest, JoinResponse, Protocol},
};
use uuid::Uuid;

use super::{
    Call,
    group_text::{code, nullable, owned, text},
};

/// From this version on a member without an id is sent back with one (KIP-394).
const REQUIRES_MEMBER_ID: i16 = 4;
/// From this version on the protocol's name may be null, and the protocol's type is told (KIP-559).
const NULLABLE_PROTOCOL: i16 = 7;
/// From this version on the leader may be told to keep the assignment (KIP-814).
const SKIPS_ASSIGNMENT: i16 = 9;

/// Answers one request.
pub async fn handle(call: &Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let version = call.head.api_version;
    let member_id = request.member_id.clone();
    let request = translate(call, request);
    let group_id = request.group_id.clone();
    let joined = call
        .broker
        .groups
        .ask(&call.broker, &group_id, |coordinator, token, now_ms, effects| {
            coordinator.join(request, token, now_ms, effects);
        })
        .await;
    match joined {
        Ok(Response::Join(response)) => answer(version, response),
        Ok(_) => failed(version, Error::UnknownServerError).with_member_id(member_id),
        Err(error) => failed(version, error).with_member_id(member_id),
    }
}

fn translate(call: &Call, request: JoinGroupRequest) -> JoinRequest {
    let version = call.head.api_version;
    let protocols = request.protocols.into_iter();
    JoinRequest {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        group_instance_id: owned(request.group_instance_id),
        client_id: call.head.client_id.as_deref().unwrap_or_default().to_owned(),
        // As Java prints an address without a host name.
        client_host: format!("/{}", call.peer.remote.ip().to_canonical()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols
            .map(|protocol| Protocol { name: protocol.name.to_string(), metadata: protocol.metadata })
            .collect(),
        requires_known_member_id: version >= REQUIRES_MEMBER_ID,
        supports_skip_assignment: version >= SKIPS_ASSIGNMENT,
        member_id_suffix: Uuid::new_v4(),
    }
}

fn answer(version: i16, response: JoinResponse) -> JoinGroupResponse {
    let members = response.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(nullable(member.group_instance_id))
            .with_metadata(member.metadata)
    });
    let protocol_name = match response.protocol_name {
        None if version < NULLABLE_PROTOCOL => Some(String::new()),
        name => name,
    };
    JoinGroupResponse::default()
        .with_error_code(code(response.error))
        .with_generation_id(response.generation_id)
        .with_protocol_type(nullable(response.protocol_type).filter(|_| version >= NULLABLE_PROTOCOL))
        .with_protocol_name(nullable(protocol_name))
        .with_leader(text(response.leader))
        .with_skip_assignment(response.skip_assignment)
        .with_member_id(text(response.member_id))
        .with_members(members.collect())
}

fn failed(version: i16, error: Error) -> JoinGroupResponse {
    let nothing = (version < NULLABLE_PROTOCOL).then(|| text(""));
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_generation_id(-1)
        .with_protocol_name(nothing)
}
