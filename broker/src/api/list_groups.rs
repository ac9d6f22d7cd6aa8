//! ListGroups: the groups that this broker coordinates.

use kafka_protocol::{
    messages::{GroupId, ListGroupsRequest, ListGroupsResponse, list_groups_response::ListedGroup},
    protocol::StrBytes,
};
use milena_groups::GroupListing;

use super::{Call, group_text::text};

/// What classic groups are called among the types of groups (KIP-848).
const CLASSIC: &str = "classic";

/// Answers one request.
pub async fn handle(call: &Call, request: ListGroupsRequest) -> ListGroupsResponse {
    if !allows(&request.types_filter, CLASSIC) {
        return ListGroupsResponse::default();
    }
    let mut groups = Vec::new();
    let listed = call.broker.groups.each(|coordinator| {
        groups
            .extend(coordinator.list().filter(|group| allows(&request.states_filter, group.state)).map(list));
    });
    match listed {
        Ok(()) => ListGroupsResponse::default().with_groups(groups),
        Err(error) => ListGroupsResponse::default().with_error_code(error.code()),
    }
}

/// Filters do not mind case; an empty one allows everything.
fn allows(filter: &[StrBytes], name: &str) -> bool {
    filter.is_empty() || filter.iter().any(|allowed| allowed.trim().eq_ignore_ascii_case(name))
}

fn list(group: GroupListing) -> ListedGroup {
    ListedGroup::default()
        .with_group_id(GroupId(text(group.group_id)))
        .with_protocol_type(text(group.protocol_type))
        .with_group_state(text(group.state))
        .with_group_type(text(CLASSIC))
}
