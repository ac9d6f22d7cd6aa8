//! Who is still there: heartbeats, sessions and the other deadlines of a group.

use super::member::NEVER;
use super::requests::HeartbeatRequest;
use super::{Context, Group, State};
use crate::Error;

/// Something that has a deadline.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    PendingMember(String),
    Session(String),
    Join,
    Sync,
}

impl<R> Group<R> {
    /// Takes a Heartbeat.
    ///
    /// # Errors
    /// The member is not of this group or generation, or has to join again.
    pub(crate) fn heartbeat(&mut self, request: &HeartbeatRequest, now_ms: i64) -> Result<(), Error> {
        if self.state == State::Dead {
            return Err(Error::CoordinatorNotAvailable);
        }
        self.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation_id {
            return Err(Error::IllegalGeneration);
        }
        match self.state {
            State::Empty | State::Dead => Err(Error::UnknownMemberId),
            State::PreparingRebalance => {
                self.touch(&request.member_id, now_ms);
                Err(Error::RebalanceInProgress)
            }
            State::CompletingRebalance | State::Stable => {
                self.touch(&request.member_id, now_ms);
                Ok(())
            }
        }
    }

    /// A member has been heard of: its session begins anew.
    pub(super) fn touch(&mut self, member_id: &str, now_ms: i64) {
        if let Some(member) = self.members.get_mut(member_id) {
            let deadline_ms = now_ms.saturating_add(i64::from(member.session_timeout_ms));
            member.session_deadline_ms = deadline_ms;
            self.arm(deadline_ms);
        }
    }

    /// All sessions begin anew: the group has a new coordinator.
    pub(super) fn touch_all(&mut self, now_ms: i64) {
        for member in self.members.values_mut() {
            let deadline_ms = now_ms.saturating_add(i64::from(member.session_timeout_ms));
            member.session_deadline_ms = deadline_ms;
            self.wake_at_ms = self.wake_at_ms.min(deadline_ms);
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_, R>) {
        let now_ms = cx.now_ms;
        let mut due: Vec<(i64, Timer)> =
            self.deadlines().filter(|(deadline_ms, _)| *deadline_ms <= now_ms).map(owned).collect();
        due.sort_unstable();
        for (_, timer) in due {
            self.expire(timer, cx);
        }
        self.wake_at_ms = self.deadlines().map(|(deadline_ms, _)| deadline_ms).min().unwrap_or(NEVER);
    }

    fn deadlines(&self) -> impl Iterator<Item = (i64, TimerRef<'_>)> {
        let pending = self.pending_members.iter().map(|(id, at)| (*at, TimerRef::PendingMember(id)));
        let sessions =
            self.members.values().map(|m| (m.session_deadline_ms, TimerRef::Session(&m.member_id)));
        let join = self.join_timer.iter().map(|timer| (timer.deadline_ms, TimerRef::Join));
        let sync = self.sync_deadline_ms.iter().map(|at| (*at, TimerRef::Sync));
        pending.chain(sessions).chain(join).chain(sync)
    }

    /// One expiry may take away the cause of the next, so each looks again.
    fn expire(&mut self, timer: Timer, cx: &mut Context<'_, R>) {
        let now_ms = cx.now_ms;
        match timer {
            Timer::PendingMember(member_id) => {
                if self.pending_members.remove(&member_id).is_some() {
                    self.member_gone(cx);
                }
            }
            Timer::Session(member_id) => self.expire_session(&member_id, cx),
            Timer::Join => {
                if self.join_timer.is_some_and(|timer| timer.deadline_ms <= now_ms) {
                    self.join_timer_expired(cx);
                }
            }
            Timer::Sync => {
                if self.sync_deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms) {
                    self.expire_pending_sync(cx);
                }
            }
        }
    }

    fn expire_session(&mut self, member_id: &str, cx: &mut Context<'_, R>) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        if member.session_deadline_ms > cx.now_ms {
            return;
        }
        if member.is_excused() {
            // Its session begins again when its request is answered.
            member.session_deadline_ms = NEVER;
            return;
        }
        self.remove(member_id, Error::UnknownMemberId, cx);
        cx.out.events.push(self.removed_event(member_id, "its session has ended"));
        match self.state {
            State::CompletingRebalance | State::Stable => {
                self.prepare_rebalance("a member's session has ended", member_id, cx);
            }
            State::Empty | State::PreparingRebalance | State::Dead => self.member_gone(cx),
        }
    }

    /// The join phase may have waited for the one that is gone.
    fn member_gone(&mut self, cx: &mut Context<'_, R>) {
        if self.state == State::PreparingRebalance && self.all_joined() {
            self.complete_join(cx);
        }
    }

    /// Members that joined but did not sync within the rebalance timeout are gone (KAFKA-9752).
    fn expire_pending_sync(&mut self, cx: &mut Context<'_, R>) {
        self.sync_deadline_ms = None;
        if !matches!(self.state, State::CompletingRebalance | State::Stable) {
            return;
        }
        let silent = std::mem::take(&mut self.pending_sync);
        let Some(first) = silent.first().cloned() else { return };
        for member_id in silent {
            self.remove(&member_id, Error::UnknownMemberId, cx);
            cx.out.events.push(self.removed_event(&member_id, "it did not ask for its assignment in time"));
        }
        self.prepare_rebalance("a member did not ask for its assignment", &first, cx);
    }
}

/// A [`Timer`] that borrows its name: deadlines are looked through far more often than they are due.
enum TimerRef<'a> {
    PendingMember(&'a str),
    Session(&'a str),
    Join,
    Sync,
}

fn owned((deadline_ms, timer): (i64, TimerRef<'_>)) -> (i64, Timer) {
    let timer = match timer {
        TimerRef::PendingMember(member_id) => Timer::PendingMember(member_id.to_owned()),
        TimerRef::Session(member_id) => Timer::Session(member_id.to_owned()),
        TimerRef::Join => Timer::Join,
        TimerRef::Sync => Timer::Sync,
    };
    (deadline_ms, timer)
}
