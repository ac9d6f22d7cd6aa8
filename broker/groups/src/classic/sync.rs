//! SyncGroup: the leader's assignment goes to the log, then to everyone.

use std::collections::HashMap;

use bytes::Bytes;

use super::requests::{SyncRequest, SyncResponse};
use super::{Context, Group, State};
use crate::Error;
use crate::effects::{Completion, Event, Response};

/// An assignment that is being written.
#[derive(Debug)]
pub(crate) struct AssignmentWrite {
    generation_id: i32,
    assignments: HashMap<String, Bytes>,
}

impl<R> Group<R> {
    /// Takes a SyncGroup. The answer comes at once, or when the leader's assignment is committed.
    pub(crate) fn sync(&mut self, request: SyncRequest, token: R, cx: &mut Context<'_, R>) {
        if let Err(error) = self.validate_sync(&request) {
            // It is a member and alive, though it comes too late.
            if error == Error::RebalanceInProgress {
                self.touch(&request.member_id, cx.now_ms);
            }
            return cx.out.reply(token, Response::Sync(SyncResponse::failed(error)));
        }
        self.sync_received(&request.member_id);
        if self.state == State::CompletingRebalance {
            return self.await_assignment(request, token, cx);
        }
        self.touch(&request.member_id, cx.now_ms);
        let response = self.assigned_response(&request.member_id);
        cx.out.reply(token, Response::Sync(response));
    }

    fn validate_sync(&self, request: &SyncRequest) -> Result<(), Error> {
        match self.state {
            State::Dead => return Err(Error::CoordinatorNotAvailable),
            State::Empty => return Err(Error::UnknownMemberId),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {}
        }
        self.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation_id {
            return Err(Error::IllegalGeneration);
        }
        if differs(request.protocol_type.as_ref(), self.protocol_type.as_ref())
            || differs(request.protocol_name.as_ref(), self.protocol_name.as_ref())
        {
            return Err(Error::InconsistentGroupProtocol);
        }
        if self.state == State::PreparingRebalance {
            return Err(Error::RebalanceInProgress);
        }
        Ok(())
    }

    fn sync_received(&mut self, member_id: &str) {
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            self.sync_deadline_ms = None;
        }
    }

    fn await_assignment(&mut self, request: SyncRequest, token: R, cx: &mut Context<'_, R>) {
        if let Some(member) = self.members.get_mut(&request.member_id)
            && let Some(old) = member.sync.replace(token)
        {
            // From a connection given up.
            let response = SyncResponse::failed(Error::RebalanceInProgress);
            cx.out.reply(old, Response::Sync(response));
        }
        if !self.is_leader(&request.member_id) {
            return;
        }
        let assignments: HashMap<String, Bytes> = request.assignments.into_iter().collect();
        let record = self.record(|member| assignments.get(&member.member_id).cloned().unwrap_or_default());
        let write = AssignmentWrite { generation_id: self.generation_id, assignments };
        cx.out.write(self.group_id.clone(), vec![record], Completion::Assignment(write));
    }

    /// The assignment is in the log, or is not. A rebalance that began meanwhile makes it void.
    pub(crate) fn assignment_written(
        &mut self,
        mut write: AssignmentWrite,
        result: Result<(), Error>,
        cx: &mut Context<'_, R>,
    ) {
        if self.state != State::CompletingRebalance || self.generation_id != write.generation_id {
            return;
        }
        if let Err(error) = result {
            self.cancel_assignment(error, cx);
            return self.prepare_rebalance("the assignment could not be written", "", cx);
        }
        self.transition_to(State::Stable, cx.now_ms);
        cx.out
            .events
            .push(Event::Stable { group_id: self.group_id.to_string(), generation_id: self.generation_id });
        for member in self.members.values_mut() {
            member.assignment = write.assignments.remove(&member.member_id).unwrap_or_default();
        }
        let member_ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in member_ids {
            let response = self.assigned_response(&member_id);
            if self.answer_sync(&member_id, response, cx) {
                self.touch(&member_id, cx.now_ms);
            }
        }
    }

    fn assigned_response(&self, member_id: &str) -> SyncResponse {
        SyncResponse {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self.members.get(member_id).map(|m| m.assignment.clone()).unwrap_or_default(),
        }
    }
}

/// Old clients do not say what they take the protocol to be.
fn differs(claimed: Option<&String>, actual: Option<&String>) -> bool {
    matches!((claimed, actual), (Some(claimed), Some(actual)) if claimed != actual)
}
