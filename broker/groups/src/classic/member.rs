use bytes::Bytes;

use super::requests::{DescribedMember, JoinRequest, JoinedMember, Protocol};
use crate::log::MemberValue;

/// A deadline that never comes.
pub(super) const NEVER: i64 = i64::MAX;

/// A member of a classic group.
#[derive(Debug)]
pub(super) struct Member<R> {
    pub(super) member_id: String,
    pub(super) group_instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout_ms: i32,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// Whether the member has never been answered: it cannot send heartbeats without an id.
    pub(super) is_new: bool,
    /// The JoinGroup that waits for the next generation. Set through the group, which counts those that wait.
    pub(super) join: Option<R>,
    /// The SyncGroup that waits for the assignment.
    pub(super) sync: Option<R>,
    pub(super) session_deadline_ms: i64,
}

impl<R> Member<R> {
    /// A member that joins for the first time.
    pub(super) fn new(member_id: String, request: JoinRequest) -> Self {
        let mut member = Self {
            member_id,
            group_instance_id: request.group_instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout_ms: 0,
            rebalance_timeout_ms: 0,
            protocols: request.protocols,
            assignment: Bytes::new(),
            is_new: true,
            join: None,
            sync: None,
            session_deadline_ms: NEVER,
        };
        member.set_timeouts(request.session_timeout_ms, request.rebalance_timeout_ms);
        member
    }

    /// A member of a generation in the log.
    pub(super) fn load(value: MemberValue, protocol: Option<&str>) -> Self {
        let name = protocol.unwrap_or_default().to_owned();
        let mut member = Self {
            member_id: value.member_id,
            group_instance_id: value.group_instance_id,
            client_id: value.client_id,
            client_host: value.client_host,
            session_timeout_ms: 0,
            rebalance_timeout_ms: 0,
            protocols: vec![Protocol { name, metadata: value.subscription }],
            assignment: value.assignment,
            is_new: false,
            join: None,
            sync: None,
            session_deadline_ms: NEVER,
        };
        member.set_timeouts(value.session_timeout_ms, value.rebalance_timeout_ms);
        member
    }

    /// JoinGroup 0 has no rebalance timeout, nor have the first records of the log: the session timeout counts.
    pub(super) fn set_timeouts(&mut self, session_timeout_ms: i32, rebalance_timeout_ms: i32) {
        self.session_timeout_ms = session_timeout_ms;
        self.rebalance_timeout_ms =
            if rebalance_timeout_ms < 0 { session_timeout_ms } else { rebalance_timeout_ms };
    }

    pub(super) fn is_static(&self) -> bool {
        self.group_instance_id.is_some()
    }

    /// Whether silence is no sign of death: its request waits for this very coordinator.
    pub(super) fn is_excused(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }

    /// What the member says about itself under a protocol; nothing if it does not offer it.
    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        self.protocols
            .iter()
            .find(|offer| Some(offer.name.as_str()) == protocol)
            .map(|offer| offer.metadata.clone())
            .unwrap_or_default()
    }

    pub(super) fn joined(&self, protocol: Option<&str>) -> JoinedMember {
        JoinedMember {
            member_id: self.member_id.clone(),
            group_instance_id: self.group_instance_id.clone(),
            metadata: self.metadata(protocol),
        }
    }

    pub(super) fn described(&self, protocol: Option<&str>) -> DescribedMember {
        DescribedMember {
            member_id: self.member_id.clone(),
            group_instance_id: self.group_instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }

    pub(super) fn record(&self, protocol: Option<&str>, assignment: Bytes) -> MemberValue {
        MemberValue {
            member_id: self.member_id.clone(),
            group_instance_id: self.group_instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
        }
    }
}
