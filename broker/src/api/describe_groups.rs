//! DescribeGroups: state and members of classic groups.

use kafka_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    describe_groups_response::{DescribedGroup, DescribedGroupMember},
};
use milena_groups::{
    Error,
    classic::{DescribedMember, Description, State},
};

use super::{
    Call,
    group_text::{nullable, text},
};

/// From this version on a group that does not exist is an error (KIP-1043).
const TELLS_NOT_FOUND: i16 = 6;
/// Authorized operations were not asked for.
const NOT_ASKED: i32 = i32::MIN;
/// READ, DELETE and DESCRIBE, by the numbers of Kafka's ACL operations: without ACLs everyone may.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;

/// Answers one request.
pub async fn handle(call: &Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let operations = if request.include_authorized_operations { ALL_OPERATIONS } else { NOT_ASKED };
    let mut groups = Vec::with_capacity(request.groups.len());
    for group_id in request.groups {
        groups.push(describe(call, group_id).await.with_authorized_operations(operations));
    }
    DescribeGroupsResponse::default().with_groups(groups)
}

async fn describe(call: &Call, group_id: GroupId) -> DescribedGroup {
    let found = call
        .broker
        .groups
        .with(&call.broker, &group_id, |coordinator, _, _| coordinator.describe(&group_id))
        .await;
    match found {
        Ok(Some(group)) => described(group),
        Ok(None) if call.head.api_version >= TELLS_NOT_FOUND => DescribedGroup::default()
            .with_error_code(Error::GroupIdNotFound.code())
            .with_error_message(Some(text(format!("Group {} not found.", group_id.as_str()))))
            .with_group_state(text(State::Dead.name())),
        Ok(None) => DescribedGroup::default().with_group_state(text(State::Dead.name())),
        Err(error) => DescribedGroup::default().with_error_code(error.code()),
    }
    .with_group_id(group_id)
}

fn described(group: Description) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_state(text(group.state))
        .with_protocol_type(text(group.protocol_type))
        .with_protocol_data(text(group.protocol))
        .with_members(group.members.into_iter().map(member).collect())
}

fn member(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(text(member.member_id))
        .with_group_instance_id(nullable(member.group_instance_id))
        .with_client_id(text(member.client_id))
        .with_client_host(text(member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}
