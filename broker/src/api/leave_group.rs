//! LeaveGroup: members go without waiting for their sessions to end.

use kafka_protocol::{
    messages::{LeaveGroupRequest, LeaveGroupResponse, leave_group_response::MemberResponse},
    protocol::StrBytes,
};
use milena_groups::{
    Error,
    classic::{LeavingMember, LeftMember},
};

use super::{
    Call,
    group_text::{code, nullable, owned, text},
};

/// From this version on a request names several members (KIP-345).
const BATCHED: i16 = 3;

/// Answers one request.
pub async fn handle(call: &Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let batched = call.head.api_version >= BATCHED;
    let member = |member_id: StrBytes, instance_id: Option<StrBytes>| LeavingMember {
        member_id: member_id.to_string(),
        group_instance_id: owned(instance_id),
    };
    let members = if batched {
        request
            .members
            .into_iter()
            .map(|leaving| member(leaving.member_id, leaving.group_instance_id))
            .collect()
    } else {
        vec![member(request.member_id, None)]
    };
    let group_id = request.group_id.to_string();
    let left = call
        .broker
        .groups
        .with(&call.broker, &group_id, |coordinator, now_ms, effects| {
            coordinator.leave(&group_id, members, now_ms, effects)
        })
        .await;
    answer(batched, left.and_then(|left| left))
}

fn answer(batched: bool, left: Result<Vec<LeftMember>, Error>) -> LeaveGroupResponse {
    match left {
        Err(error) => LeaveGroupResponse::default().with_error_code(error.code()),
        Ok(left) if batched => {
            let members = left.into_iter().map(|left| {
                MemberResponse::default()
                    .with_member_id(text(left.member.member_id))
                    .with_group_instance_id(nullable(left.member.group_instance_id))
                    .with_error_code(code(left.error))
            });
            LeaveGroupResponse::default().with_members(members.collect())
        }
        Ok(left) => {
            let error = left.into_iter().find_map(|left| left.error);
            LeaveGroupResponse::default().with_error_code(code(error))
        }
    }
}
