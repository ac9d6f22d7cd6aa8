//! From one generation to the next.

use super::requests::{JoinResponse, SyncResponse};
use super::{Context, Group, State};
use crate::Error;
use crate::effects::{Completion, Event};

/// When the join phase ends even if members are missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinTimer {
    pub(super) deadline_ms: i64,
    /// Set in the first rebalance of an empty group.
    initial: Option<InitialDelay>,
}

/// An empty group waits a moment for more members, and longer while more come (KIP-134).
#[derive(Debug, Clone, Copy)]
struct InitialDelay {
    delay_ms: i64,
    /// How much longer it may wait in all.
    remaining_ms: i64,
}

/// How soon a join phase that nobody joined is looked at again, should the members' timeouts be next to nothing.
const MIN_RETRY_MS: i64 = 1_000;

impl<R> Group<R> {
    pub(super) fn is_initial_rebalance(&self) -> bool {
        self.state == State::PreparingRebalance && self.previous_state == State::Empty
    }

    pub(super) fn rebalance_or_complete_join(
        &mut self,
        reason: &'static str,
        member_id: &str,
        cx: &mut Context<'_, R>,
    ) {
        match self.state {
            State::Empty | State::CompletingRebalance | State::Stable => {
                self.prepare_rebalance(reason, member_id, cx);
            }
            State::PreparingRebalance | State::Dead => self.maybe_complete_join(cx),
        }
    }

    pub(super) fn prepare_rebalance(
        &mut self,
        reason: &'static str,
        member_id: &str,
        cx: &mut Context<'_, R>,
    ) {
        if self.state == State::CompletingRebalance {
            self.cancel_assignment(Error::RebalanceInProgress, cx);
        }
        self.pending_sync.clear();
        self.sync_deadline_ms = None;
        cx.out.events.push(Event::Rebalancing {
            group_id: self.group_id.to_string(),
            generation_id: self.generation_id,
            reason,
            member_id: member_id.to_owned(),
        });
        let initial = self.is_empty();
        self.transition_to(State::PreparingRebalance, cx.now_ms);
        if initial {
            self.new_member_added = false;
            let delay_ms = i64::from(cx.config.initial_rebalance_delay_ms.max(0));
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            self.set_join_timer(delay_ms, Some(InitialDelay { delay_ms, remaining_ms }), cx);
        } else if self.all_joined() {
            self.complete_join(cx);
        } else {
            self.set_join_timer(self.rebalance_timeout_ms(), None, cx);
        }
    }

    /// Nobody gets what was not assigned yet: everyone that waits for it joins again.
    pub(super) fn cancel_assignment(&mut self, error: Error, cx: &mut Context<'_, R>) {
        let member_ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in member_ids {
            if let Some(member) = self.members.get_mut(&member_id) {
                member.assignment.clear();
            }
            if self.answer_sync(&member_id, SyncResponse::failed(error), cx) {
                self.touch(&member_id, cx.now_ms);
            }
        }
    }

    fn set_join_timer(&mut self, delay_ms: i64, initial: Option<InitialDelay>, cx: &Context<'_, R>) {
        let deadline_ms = cx.now_ms.saturating_add(delay_ms);
        self.join_timer = Some(JoinTimer { deadline_ms, initial });
        self.arm(deadline_ms);
    }

    pub(super) fn join_timer_expired(&mut self, cx: &mut Context<'_, R>) {
        let Some(timer) = self.join_timer.take() else { return };
        match timer.initial {
            Some(initial) if self.new_member_added && initial.remaining_ms > 0 => {
                self.new_member_added = false;
                let delay_ms =
                    i64::from(cx.config.initial_rebalance_delay_ms.max(0)).min(initial.remaining_ms);
                let remaining_ms = initial.remaining_ms.saturating_sub(initial.delay_ms).max(0);
                self.set_join_timer(delay_ms, Some(InitialDelay { delay_ms, remaining_ms }), cx);
            }
            _ => self.complete_join(cx),
        }
    }

    /// Ends the join phase early if nobody is missing. The first rebalance always waits for its timer.
    pub(super) fn maybe_complete_join(&mut self, cx: &mut Context<'_, R>) {
        if self.state == State::PreparingRebalance && !self.is_initial_rebalance() && self.all_joined() {
            self.complete_join(cx);
        }
    }

    /// Begins the next generation with those that have joined, and with static members, which may be away.
    pub(super) fn complete_join(&mut self, cx: &mut Context<'_, R>) {
        if self.state != State::PreparingRebalance {
            return;
        }
        self.join_timer = None;
        let missing: Vec<String> = self
            .members
            .values()
            .filter(|member| member.join.is_none() && !member.is_static())
            .map(|member| member.member_id.clone())
            .collect();
        for member_id in missing {
            self.remove(&member_id, Error::UnknownMemberId, cx);
            cx.out.events.push(self.removed_event(&member_id, "it did not join the rebalance in time"));
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Static members alone, and all away: wait for one of them, or for their sessions to end.
            let delay_ms = self.rebalance_timeout_ms().max(MIN_RETRY_MS);
            return self.set_join_timer(delay_ms, None, cx);
        }
        self.begin_generation(cx);
    }

    /// Only a member that has joined can assign; says whether there is one.
    fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |member_id: &String| self.members.get(member_id).is_some_and(|m| m.join.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.values().find(|member| member.join.is_some());
        let Some(member_id) = joined.map(|member| member.member_id.clone()) else { return false };
        self.leader = Some(member_id);
        true
    }

    fn begin_generation(&mut self, cx: &mut Context<'_, R>) {
        // After the last generation that 32 bits can count, the count starts again.
        self.generation_id = self.generation_id.checked_add(1).unwrap_or(1);
        self.pending_sync.clear();
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.find_subscribed_topics();
        cx.out.events.push(Event::Generation {
            group_id: self.group_id.to_string(),
            generation_id: self.generation_id,
            members: self.members.len(),
        });
        if self.members.is_empty() {
            self.transition_to(State::Empty, cx.now_ms);
            self.leader = None;
            let record = self.record(|_| bytes::Bytes::new());
            return cx.out.write(self.group_id.clone(), vec![record], Completion::None);
        }
        self.transition_to(State::CompletingRebalance, cx.now_ms);
        let member_ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in member_ids {
            let response: JoinResponse = self.joined_response(&member_id, false);
            self.answer_join(&member_id, response, cx);
            self.touch(&member_id, cx.now_ms);
            if let Some(member) = self.members.get_mut(&member_id) {
                member.is_new = false;
            }
            self.pending_sync.insert(member_id);
        }
        let deadline_ms = cx.now_ms.saturating_add(self.rebalance_timeout_ms());
        self.sync_deadline_ms = Some(deadline_ms);
        self.arm(deadline_ms);
    }
}
