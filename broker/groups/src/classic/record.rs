//! The group in the log.

use std::sync::Arc;

use bytes::Bytes;

use super::member::Member;
use super::{Context, Group, State};
use crate::log::{GroupValue, Record};

impl<R> Group<R> {
    /// The record of the current generation.
    pub(super) fn record(&mut self, assignment: impl Fn(&Member<R>) -> Bytes) -> Record {
        self.persisted = true;
        let protocol = self.protocol_name.as_deref();
        let members = self.members.values().map(|member| member.record(protocol, assignment(member)));
        let value = GroupValue {
            protocol_type: self.protocol_type().to_owned(),
            generation: self.generation_id,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            current_state_timestamp_ms: self.state_timestamp_ms.unwrap_or(-1),
            members: members.collect(),
        };
        Record::Group { group_id: self.group_id.clone(), value: Some(value) }
    }

    /// The group as its latest record tells. One with members is stable.
    pub(crate) fn load(group_id: Arc<str>, value: GroupValue) -> Self {
        let mut group = Self::new(group_id, 0);
        group.persisted = true;
        group.generation_id = value.generation;
        for member in value.members {
            if group.members.contains_key(&member.member_id) {
                continue;
            }
            let member = Member::load(member, value.protocol.as_deref());
            group.add(member, value.protocol_type.clone());
        }
        group.state = if group.members.is_empty() { State::Empty } else { State::Stable };
        group.protocol_type = Some(value.protocol_type).filter(|protocol_type| !protocol_type.is_empty());
        group.protocol_name = value.protocol;
        let leader = value.leader.filter(|leader| group.members.contains_key(leader));
        group.leader = leader.or_else(|| group.members.keys().next().cloned());
        group.subscribed_topics = group.find_subscribed_topics();
        group.state_timestamp_ms = Some(value.current_state_timestamp_ms).filter(|at| *at >= 0);
        group
    }

    /// The log has been read: members have a whole session to find this coordinator.
    pub(crate) fn loaded(&mut self, cx: &mut Context<'_, R>) {
        self.touch_all(cx.now_ms);
        if self.members.len() > cx.config.max_size {
            self.prepare_rebalance("the group is larger than group.max.size", "", cx);
        }
    }
}
