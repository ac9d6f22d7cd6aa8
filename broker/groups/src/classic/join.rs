//! JoinGroup.

use std::collections::HashSet;

use super::member::Member;
use super::requests::{JoinRequest, JoinResponse};
use super::{Context, Group, State};
use crate::Error;
use crate::config::{MAX_PENDING_MEMBERS, NEW_MEMBER_JOIN_TIMEOUT_MS};
use crate::effects::Response;

impl<R> Group<R> {
    /// Takes a JoinGroup. The answer comes at once, or with the next generation.
    pub(crate) fn join(&mut self, mut request: JoinRequest, token: R, cx: &mut Context<'_, R>) {
        // A name given twice would be counted twice among the offers.
        let mut seen = HashSet::new();
        request.protocols.retain(|protocol| seen.insert(protocol.name.clone()));

        let member_id = request.member_id.clone();
        if !self.has_room_for(&member_id, cx.config) {
            self.remove(&member_id, Error::GroupMaxSizeReached, cx);
            refuse(Error::GroupMaxSizeReached, String::new(), token, cx);
            self.maybe_complete_join(cx);
        } else if self.state == State::Dead {
            refuse(Error::CoordinatorNotAvailable, member_id, token, cx);
        } else if !self.supports(&request.protocol_type, &request.protocols) {
            refuse(Error::InconsistentGroupProtocol, member_id, token, cx);
        } else if member_id.is_empty() {
            self.join_new(request, token, cx);
        } else {
            self.join_existing(request, token, cx);
        }
    }

    fn join_new(&mut self, request: JoinRequest, token: R, cx: &mut Context<'_, R>) {
        let prefix = request.group_instance_id.as_ref().unwrap_or(&request.client_id);
        let new_member_id = format!("{prefix}-{}", request.member_id_suffix);
        let replaced = request.group_instance_id.as_ref().and_then(|id| self.static_members.get(id)).cloned();
        if let Some(old_member_id) = replaced {
            self.replace_static_member(&old_member_id, new_member_id, request, token, cx);
        } else if request.group_instance_id.is_none() && request.requires_known_member_id {
            self.hand_out_member_id(new_member_id, &request, token, cx);
        } else {
            self.add_and_rebalance(new_member_id, request, token, cx);
        }
    }

    /// Sends a member back with an id, so that a client that gives up and asks anew is not two members.
    fn hand_out_member_id(
        &mut self,
        member_id: String,
        request: &JoinRequest,
        token: R,
        cx: &mut Context<'_, R>,
    ) {
        if self.pending_members.len() >= MAX_PENDING_MEMBERS {
            return refuse(Error::GroupMaxSizeReached, String::new(), token, cx);
        }
        let deadline_ms = cx.now_ms.saturating_add(i64::from(request.session_timeout_ms));
        self.pending_members.insert(member_id.clone(), deadline_ms);
        self.arm(deadline_ms);
        refuse(Error::MemberIdRequired, member_id, token, cx);
    }

    fn join_existing(&mut self, request: JoinRequest, token: R, cx: &mut Context<'_, R>) {
        let member_id = request.member_id.clone();
        // Ids are handed out to dynamic members alone, so that an instance id with one is not this member's.
        if request.group_instance_id.is_none() && self.pending_members.contains_key(&member_id) {
            return self.add_and_rebalance(member_id, request, token, cx);
        }
        if let Err(error) = self.validate_member(&member_id, request.group_instance_id.as_deref()) {
            return refuse(error, member_id, token, cx);
        }
        let unchanged =
            self.members.get(&member_id).is_some_and(|member| member.protocols == request.protocols);
        let reason = match self.state {
            State::PreparingRebalance => "a member joins",
            // The member has missed the answer, so it is given once more.
            State::CompletingRebalance if unchanged => return self.repeat_join(&member_id, token, cx),
            // A leader that joins again asks for a new assignment: it has seen what the group cannot see,
            // such as more partitions.
            State::Stable if self.is_leader(&member_id) => "the leader joins again",
            State::Stable if unchanged => return self.repeat_join(&member_id, token, cx),
            State::CompletingRebalance | State::Stable => "a member's metadata changes",
            State::Empty | State::Dead => return refuse(Error::UnknownMemberId, member_id, token, cx),
        };
        self.update_member(&member_id, request, token, cx);
        self.rebalance_or_complete_join(reason, &member_id, cx);
    }

    fn repeat_join(&mut self, member_id: &str, token: R, cx: &mut Context<'_, R>) {
        let response = self.joined_response(member_id, false);
        cx.out.reply(token, Response::Join(response));
    }

    /// Takes over what a member says about itself, and lets its JoinGroup wait.
    pub(super) fn update_member(
        &mut self,
        member_id: &str,
        request: JoinRequest,
        token: R,
        cx: &mut Context<'_, R>,
    ) {
        self.set_protocols(member_id, request.protocols);
        if let Some(member) = self.members.get_mut(member_id) {
            member.set_timeouts(request.session_timeout_ms, request.rebalance_timeout_ms);
        }
        self.await_join(member_id, token, cx);
    }

    fn add_and_rebalance(
        &mut self,
        member_id: String,
        mut request: JoinRequest,
        token: R,
        cx: &mut Context<'_, R>,
    ) {
        let protocol_type = std::mem::take(&mut request.protocol_type);
        let mut member = Member::new(member_id.clone(), request);
        member.join = Some(token);
        member.session_deadline_ms = cx.now_ms.saturating_add(NEW_MEMBER_JOIN_TIMEOUT_MS);
        if self.is_initial_rebalance() {
            self.new_member_added = true;
        }
        self.add(member, protocol_type);
        self.rebalance_or_complete_join("a new member joins", &member_id, cx);
    }
}

fn refuse<R>(error: Error, member_id: String, token: R, cx: &mut Context<'_, R>) {
    cx.out.reply(token, Response::Join(JoinResponse::failed(error, member_id)));
}
