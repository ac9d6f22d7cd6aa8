//! A static member that comes back under a new member id (KIP-345).

use super::member::Member;
use super::requests::{JoinRequest, JoinResponse, Protocol, SyncResponse};
use super::{Context, Group, State};
use crate::Error;
use crate::effects::Completion;

/// A static member whose new id is being written; what it had before, should that fail.
#[derive(Debug)]
pub(crate) struct StaticMemberWrite {
    generation_id: i32,
    new_member_id: String,
    old_member_id: String,
    old_protocols: Vec<Protocol>,
    old_session_timeout_ms: i32,
    old_rebalance_timeout_ms: i32,
    supports_skip_assignment: bool,
    /// Before KIP-814 a leader that came back was told its former id, lest it assigns anew.
    old_leader: Option<String>,
}

impl<R> Group<R> {
    pub(super) fn replace_static_member(
        &mut self,
        old_member_id: &str,
        new_member_id: String,
        request: JoinRequest,
        token: R,
        cx: &mut Context<'_, R>,
    ) {
        let old_leader = self.leader.clone();
        let Some(old) = self.rename_static_member(old_member_id, &new_member_id, cx) else { return };
        let write = StaticMemberWrite {
            generation_id: self.generation_id,
            new_member_id: new_member_id.clone(),
            old_member_id: old_member_id.to_owned(),
            old_protocols: old.protocols,
            old_session_timeout_ms: old.session_timeout_ms,
            old_rebalance_timeout_ms: old.rebalance_timeout_ms,
            supports_skip_assignment: request.supports_skip_assignment,
            old_leader,
        };
        self.update_member(&new_member_id, request, token, cx);
        self.touch(&new_member_id, cx.now_ms);
        match self.state {
            // The assignment stays good, so the member takes it over; the log learns its new id first.
            State::Stable if self.select_protocol() == self.protocol_name => {
                let record = self.record(|member| member.assignment.clone());
                cx.out.write(self.group_id.clone(), vec![record], Completion::StaticMember(write));
            }
            State::Stable => {
                self.prepare_rebalance("a static member changes the protocol", &new_member_id, cx);
            }
            // The leader may be assigning to the old id at this moment.
            State::CompletingRebalance => {
                self.prepare_rebalance("a static member comes back", &new_member_id, cx);
            }
            State::Empty | State::PreparingRebalance | State::Dead => self.maybe_complete_join(cx),
        }
    }

    /// Moves a static member to a new id and returns what it was. Who waits under the old id is fenced.
    fn rename_static_member(
        &mut self,
        old_member_id: &str,
        new_member_id: &str,
        cx: &mut Context<'_, R>,
    ) -> Option<OldMember> {
        let fenced = JoinResponse::failed(Error::FencedInstanceId, old_member_id.to_owned());
        self.answer_join(old_member_id, fenced, cx);
        self.answer_sync(old_member_id, SyncResponse::failed(Error::FencedInstanceId), cx);
        let mut member: Member<R> = self.members.remove(old_member_id)?;
        self.pending_sync.remove(old_member_id);
        let old = OldMember {
            protocols: member.protocols.clone(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
        };
        new_member_id.clone_into(&mut member.member_id);
        if self.is_leader(old_member_id) {
            self.leader = Some(new_member_id.to_owned());
        }
        if let Some(instance_id) = &member.group_instance_id {
            self.static_members.insert(instance_id.clone(), new_member_id.to_owned());
        }
        // Its session counts from now on, whatever was left of it.
        member.is_new = false;
        self.members.insert(new_member_id.to_owned(), member);
        Some(old)
    }

    /// The new id is in the log, or is not: answers the member, unless a rebalance has overtaken it, which
    /// will answer it itself.
    pub(crate) fn static_member_written(
        &mut self,
        write: StaticMemberWrite,
        result: Result<(), Error>,
        cx: &mut Context<'_, R>,
    ) {
        let waits = self.members.get(&write.new_member_id).is_some_and(|member| member.join.is_some());
        if self.state != State::Stable || self.generation_id != write.generation_id || !waits {
            return;
        }
        if let Err(error) = result {
            return self.restore_static_member(write, error, cx);
        }
        let is_leader = self.is_leader(&write.new_member_id);
        let response = if write.supports_skip_assignment {
            self.joined_response(&write.new_member_id, is_leader)
        } else {
            let leader = write.old_leader.unwrap_or_default();
            let joined = self.joined_response(&write.new_member_id, false);
            JoinResponse { leader, members: Vec::new(), ..joined }
        };
        self.answer_join(&write.new_member_id, response, cx);
        self.touch(&write.new_member_id, cx.now_ms);
    }

    fn restore_static_member(&mut self, write: StaticMemberWrite, error: Error, cx: &mut Context<'_, R>) {
        self.answer_join(&write.new_member_id, JoinResponse::failed(error, String::new()), cx);
        self.set_protocols(&write.new_member_id, write.old_protocols);
        if let Some(member) = self.members.get_mut(&write.new_member_id) {
            member.set_timeouts(write.old_session_timeout_ms, write.old_rebalance_timeout_ms);
        }
        self.rename_static_member(&write.new_member_id, &write.old_member_id, cx);
        self.touch(&write.old_member_id, cx.now_ms);
    }
}

struct OldMember {
    protocols: Vec<Protocol>,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
}
