//! All groups of one partition of `__consumer_offsets`.

mod cleanup;
mod load;
mod offsets;
mod writes;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub use cleanup::DeletedTopic;
pub use load::Replay;
use writes::Writes;

use crate::classic::{
    Context, Description, Group, HeartbeatRequest, JoinRequest, JoinResponse, LeavingMember, LeftMember,
    SyncRequest, SyncResponse,
};
use crate::config::{MAX_GROUPS, MAX_STRING_BYTES};
use crate::effects::{Completion, Outbox};
use crate::offsets::Offsets;
use crate::{Config, Effects, Error, Response};

/// A group and its offsets.
#[derive(Debug)]
struct Slot<R> {
    group: Group<R>,
    offsets: Offsets,
    /// Where the group stands in the coordinator's timers.
    scheduled_ms: Option<i64>,
    /// Writes of this group under way.
    writes: usize,
}

impl<R> Slot<R> {
    fn new(group: Group<R>, offsets: Offsets) -> Self {
        Self { group, offsets, scheduled_ms: None, writes: 0 }
    }
}

/// The groups of one partition of `__consumer_offsets`, while this broker leads it.
///
/// `R` stands for whoever waits for an answer. Every token given in comes back once, in
/// [`Effects::replies`] of this or a later call.
#[derive(Debug)]
pub struct Coordinator<R> {
    config: Arc<Config>,
    groups: HashMap<Arc<str>, Slot<R>>,
    /// Each group that has a deadline, once.
    timers: BTreeSet<(i64, Arc<str>)>,
    writes: Writes<R>,
    cleanup_at_ms: i64,
}

/// A group as ListGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// The group's id.
    pub group_id: String,
    /// Empty for a group that nobody has joined.
    pub protocol_type: String,
    /// Kafka's name of the state.
    pub state: &'static str,
}

impl<R> Coordinator<R> {
    fn new(config: Arc<Config>, now_ms: i64) -> Self {
        let cleanup_at_ms = now_ms.saturating_add(config.offsets_retention_check_interval_ms);
        Self {
            config,
            groups: HashMap::new(),
            timers: BTreeSet::new(),
            writes: Writes::default(),
            cleanup_at_ms,
        }
    }

    /// JoinGroup. The answer is a [`Response::Join`].
    pub fn join(&mut self, request: JoinRequest, token: R, now_ms: i64, effects: &mut Effects<R>) {
        if let Err(error) = self.admit(&request, now_ms) {
            let response = JoinResponse::failed(error, request.member_id);
            return effects.replies.push((token, Response::Join(response)));
        }
        let group_id = request.group_id.clone();
        self.run(&group_id, now_ms, effects, |slot, cx| slot.group.join(request, token, cx));
    }

    /// Makes sure that the group of a JoinGroup exists: someone who has a member id cannot be the first.
    fn admit(&mut self, request: &JoinRequest, now_ms: i64) -> Result<(), Error> {
        check_group_id(&request.group_id)?;
        let timeouts = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        if !timeouts.contains(&request.session_timeout_ms) {
            return Err(Error::InvalidSessionTimeout);
        }
        let too_long = |text: &str| text.len() > MAX_STRING_BYTES;
        // A member id is made of one of them, a dash and 36 characters.
        let prefix = request.group_instance_id.as_ref().unwrap_or(&request.client_id);
        if prefix.len() > MAX_STRING_BYTES - 37
            || too_long(&request.client_id)
            || too_long(&request.client_host)
            || too_long(&request.protocol_type)
            || request.protocols.iter().any(|protocol| too_long(&protocol.name))
        {
            return Err(Error::InvalidRequest);
        }
        if self.groups.contains_key(request.group_id.as_str()) {
            return Ok(());
        }
        if !request.member_id.is_empty() {
            return Err(Error::UnknownMemberId);
        }
        self.create_group(&request.group_id, now_ms)
    }

    fn create_group(&mut self, group_id: &str, now_ms: i64) -> Result<(), Error> {
        if self.groups.len() >= MAX_GROUPS {
            return Err(Error::CoordinatorNotAvailable);
        }
        let group_id: Arc<str> = group_id.into();
        let group = Group::new(group_id.clone(), now_ms);
        self.groups.insert(group_id, Slot::new(group, Offsets::default()));
        Ok(())
    }

    /// SyncGroup. The answer is a [`Response::Sync`].
    pub fn sync(&mut self, request: SyncRequest, token: R, now_ms: i64, effects: &mut Effects<R>) {
        let known = check_group_id(&request.group_id).and_then(|()| {
            let known = self.groups.contains_key(request.group_id.as_str());
            if known { Ok(()) } else { Err(Error::UnknownMemberId) }
        });
        if let Err(error) = known {
            return effects.replies.push((token, Response::Sync(SyncResponse::failed(error))));
        }
        let group_id = request.group_id.clone();
        self.run(&group_id, now_ms, effects, |slot, cx| slot.group.sync(request, token, cx));
    }

    /// Heartbeat. It has no effects but on the member's session.
    ///
    /// # Errors
    /// What the member is to be told.
    pub fn heartbeat(&mut self, request: &HeartbeatRequest, now_ms: i64) -> Result<(), Error> {
        check_group_id(&request.group_id)?;
        let slot = self.groups.get_mut(request.group_id.as_str()).ok_or(Error::UnknownMemberId)?;
        let result = slot.group.heartbeat(request, now_ms);
        // Hardly ever: a session that began anew ends later than it would have.
        if slot.scheduled_ms.is_none_or(|scheduled_ms| slot.group.wake_at_ms() < scheduled_ms) {
            self.reschedule(&request.group_id);
        }
        result
    }

    /// LeaveGroup. The answer names the members in the order of the request.
    ///
    /// # Errors
    /// What is wrong with the group, rather than with one member.
    pub fn leave(
        &mut self,
        group_id: &str,
        members: Vec<LeavingMember>,
        now_ms: i64,
        effects: &mut Effects<R>,
    ) -> Result<Vec<LeftMember>, Error> {
        check_group_id(group_id)?;
        if self.groups.contains_key(group_id) {
            let left = self.run(group_id, now_ms, effects, |slot, cx| slot.group.leave(members, cx));
            return left.unwrap_or(Err(Error::CoordinatorNotAvailable));
        }
        let unknown = |member| LeftMember { member, error: Some(Error::UnknownMemberId) };
        Ok(members.into_iter().map(unknown).collect())
    }

    /// DeleteGroups, one group. The answer is a [`Response::DeleteGroup`].
    pub fn delete_group(&mut self, group_id: &str, token: R, now_ms: i64, effects: &mut Effects<R>) {
        let Some(slot) = self.groups.get(group_id) else {
            return effects.replies.push((token, Response::DeleteGroup(Err(Error::GroupIdNotFound))));
        };
        if let Err(error) = slot.group.validate_delete() {
            return effects.replies.push((token, Response::DeleteGroup(Err(error))));
        }
        self.run(group_id, now_ms, effects, |slot, cx| slot.delete(Some(token), cx));
    }

    /// DescribeGroups, one group; nothing if it does not exist.
    #[must_use]
    pub fn describe(&self, group_id: &str) -> Option<Description> {
        self.groups.get(group_id).map(|slot| slot.group.describe())
    }

    /// ListGroups, in no order.
    pub fn list(&self) -> impl Iterator<Item = GroupListing> {
        self.groups.iter().map(|(group_id, slot)| GroupListing {
            group_id: group_id.to_string(),
            protocol_type: slot.group.protocol_type().to_owned(),
            state: slot.group.state().name(),
        })
    }

    /// One group, if it exists.
    #[must_use]
    pub fn group(&self, group_id: &str) -> Option<&Group<R>> {
        self.groups.get(group_id).map(|slot| &slot.group)
    }

    /// Puts other settings in force.
    pub fn set_config(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// Whether there are no groups.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// How many groups there are.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// When [`Self::tick`] is to be called next, in milliseconds since the epoch.
    #[must_use]
    pub fn next_deadline(&self) -> i64 {
        let group = self.timers.first().map_or(i64::MAX, |(deadline_ms, _)| *deadline_ms);
        group.min(self.cleanup_at_ms).min(self.writes.next_deadline())
    }

    /// Does what is due: sessions and rebalances that end, requests that have waited too long, expiry.
    pub fn tick(&mut self, now_ms: i64, effects: &mut Effects<R>) {
        self.writes.time_out(now_ms, effects);
        let mut due = Vec::new();
        while self.timers.first().is_some_and(|(deadline_ms, _)| *deadline_ms <= now_ms) {
            due.extend(self.timers.pop_first());
        }
        for (_, group_id) in due {
            self.run(&group_id, now_ms, effects, |slot, cx| {
                slot.scheduled_ms = None;
                slot.group.tick(cx);
            });
        }
        if now_ms >= self.cleanup_at_ms {
            self.cleanup_at_ms = now_ms.saturating_add(self.config.offsets_retention_check_interval_ms);
            self.clean_up(now_ms, effects);
        }
    }

    /// Lets a group do something, and then everything that follows from it. Nothing if there is no such group.
    fn run<T>(
        &mut self,
        group_id: &str,
        now_ms: i64,
        effects: &mut Effects<R>,
        action: impl FnOnce(&mut Slot<R>, &mut Context<'_, R>) -> T,
    ) -> Option<T> {
        let mut out = Outbox::default();
        let slot = self.groups.get_mut(group_id)?;
        let mut cx = Context { config: &self.config, now_ms, out: &mut out };
        let result = action(slot, &mut cx);
        // Without an initial delay, a rebalance is due the moment it begins.
        if slot.group.wake_at_ms() <= now_ms {
            slot.group.tick(&mut cx);
        }
        self.submit(out, now_ms, effects);
        self.reschedule(group_id);
        Some(result)
    }

    /// Keeps the group's place among the timers, and forgets a group that came to nothing.
    fn reschedule(&mut self, group_id: &str) {
        let Some((group_id, slot)) = self.groups.get_key_value(group_id) else { return };
        let group_id = group_id.clone();
        let unused = slot.group.is_unused() && slot.offsets.is_empty() && slot.writes == 0;
        let wake_at_ms = slot.group.wake_at_ms();
        let wanted_ms = (!unused && wake_at_ms < i64::MAX).then_some(wake_at_ms);
        if wanted_ms != slot.scheduled_ms {
            if let Some(scheduled_ms) = slot.scheduled_ms {
                self.timers.remove(&(scheduled_ms, group_id.clone()));
            }
            if let Some(wanted_ms) = wanted_ms {
                self.timers.insert((wanted_ms, group_id.clone()));
            }
        }
        if unused {
            self.groups.remove(&group_id);
        } else if let Some(slot) = self.groups.get_mut(&group_id) {
            slot.scheduled_ms = wanted_ms;
        }
    }

    /// Another broker coordinates these groups from now on: everyone that waits is told to look for it.
    #[must_use]
    pub fn unload(self) -> Vec<(R, Response)> {
        let mut replies = Vec::new();
        for slot in self.groups.into_values() {
            slot.group.unload(&mut replies);
        }
        self.writes.unload(&mut replies);
        replies
    }
}

impl<R> Slot<R> {
    /// Takes back everything that the log says about the group.
    fn delete(&mut self, token: Option<R>, cx: &mut Context<'_, R>) {
        let group_id = self.group.group_id().clone();
        let offsets = self.offsets.keys().into_iter().collect();
        let mut records = offsets::tombstones(&group_id, offsets);
        records.push(crate::log::Record::Group { group_id: group_id.clone(), value: None });
        self.group.mark_dead(cx.now_ms);
        cx.out.write(group_id, records, Completion::GroupDeleted(token));
    }
}

fn check_group_id(group_id: &str) -> Result<(), Error> {
    if group_id.is_empty() || group_id.len() > MAX_STRING_BYTES {
        return Err(Error::InvalidGroupId);
    }
    Ok(())
}
