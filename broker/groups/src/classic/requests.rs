use bytes::Bytes;
use uuid::Uuid;

use crate::Error;

/// A way of sharing out the work that a member offers, and what it says about itself under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// Such as `range` or `cooperative-sticky`.
    pub name: String,
    /// Opaque to the group; for consumers, the subscription.
    pub metadata: Bytes,
}

/// JoinGroup, versions 0 to 9.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// The group.
    pub group_id: String,
    /// Empty for a member that has no id yet.
    pub member_id: String,
    /// The instance id of a static member (KIP-345).
    pub group_instance_id: Option<String>,
    /// The client id in the request's header.
    pub client_id: String,
    /// The client's address, as it is shown to people.
    pub client_host: String,
    /// In milliseconds.
    pub session_timeout_ms: i32,
    /// In milliseconds; negative in version 0, which has none: the session timeout is taken.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect` or another.
    pub protocol_type: String,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    /// Whether a member without an id is sent back to join with one: version 4 and above (KIP-394).
    pub requires_known_member_id: bool,
    /// Whether the client understands `skip_assignment`: version 9 and above (KIP-814).
    pub supports_skip_assignment: bool,
    /// Random bits for a new member id.
    pub member_id_suffix: Uuid,
}

/// The answer to JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinResponse {
    /// Why the member has not joined; nothing if it has.
    pub error: Option<Error>,
    /// The generation, -1 with an error.
    pub generation_id: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The protocol that all members share.
    pub protocol_name: Option<String>,
    /// The leader's member id.
    pub leader: String,
    /// Whether the leader keeps the assignment as it is (KIP-814).
    pub skip_assignment: bool,
    /// The member's id.
    pub member_id: String,
    /// All members, for the leader alone.
    pub members: Vec<JoinedMember>,
}

impl JoinResponse {
    pub(crate) fn failed(error: Error, member_id: String) -> Self {
        Self {
            error: Some(error),
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        }
    }
}

/// A member as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// The member's id.
    pub member_id: String,
    /// The instance id of a static member.
    pub group_instance_id: Option<String>,
    /// What it said about itself under the chosen protocol.
    pub metadata: Bytes,
}

/// SyncGroup, versions 0 to 5.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// The group.
    pub group_id: String,
    /// The generation that the member has joined.
    pub generation_id: i32,
    /// The member's id.
    pub member_id: String,
    /// The instance id of a static member.
    pub group_instance_id: Option<String>,
    /// What the member takes the protocol type to be, from version 5 on.
    pub protocol_type: Option<String>,
    /// What the member takes the protocol to be, from version 5 on.
    pub protocol_name: Option<String>,
    /// Member ids and what each is assigned, from the leader alone.
    pub assignments: Vec<(String, Bytes)>,
}

/// The answer to SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncResponse {
    /// Why there is no assignment; nothing if there is one.
    pub error: Option<Error>,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The protocol that all members share.
    pub protocol_name: Option<String>,
    /// What the leader assigned to this member.
    pub assignment: Bytes,
}

impl SyncResponse {
    pub(crate) fn failed(error: Error) -> Self {
        Self { error: Some(error), protocol_type: None, protocol_name: None, assignment: Bytes::new() }
    }
}

/// Heartbeat, versions 0 to 4.
#[derive(Debug, Clone)]
pub struct HeartbeatRequest {
    /// The group.
    pub group_id: String,
    /// The member's generation.
    pub generation_id: i32,
    /// The member's id.
    pub member_id: String,
    /// The instance id of a static member.
    pub group_instance_id: Option<String>,
}

/// A member named in LeaveGroup: by its id, or by its instance id alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavingMember {
    /// Empty if the member is named by its instance id alone.
    pub member_id: String,
    /// The instance id of a static member.
    pub group_instance_id: Option<String>,
}

/// Whether a member named in LeaveGroup has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftMember {
    /// As it was named in the request.
    pub member: LeavingMember,
    /// Why it has not left; nothing if it has.
    pub error: Option<Error>,
}

/// A classic group as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The state, by Kafka's name.
    pub state: &'static str,
    /// Empty for a group that nobody has joined.
    pub protocol_type: String,
    /// The protocol of a stable group, else empty.
    pub protocol: String,
    /// The members.
    pub members: Vec<DescribedMember>,
}

/// A member as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// The member's id.
    pub member_id: String,
    /// The instance id of a static member.
    pub group_instance_id: Option<String>,
    /// The client's id.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// What it said about itself; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it is assigned.
    pub assignment: Bytes,
}
