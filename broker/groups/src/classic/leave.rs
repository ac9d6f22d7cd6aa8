//! LeaveGroup.

use super::requests::{LeavingMember, LeftMember};
use super::{Context, Group, State};
use crate::Error;

impl<R> Group<R> {
    /// Takes a LeaveGroup: each member named goes, or is told why not.
    ///
    /// # Errors
    /// The group is being deleted.
    pub(crate) fn leave(
        &mut self,
        members: Vec<LeavingMember>,
        cx: &mut Context<'_, R>,
    ) -> Result<Vec<LeftMember>, Error> {
        if self.state == State::Dead {
            return Err(Error::CoordinatorNotAvailable);
        }
        let mut last_gone = None;
        let mut left = Vec::with_capacity(members.len());
        for member in members {
            let result = self.leaving_member_id(&member);
            if let Ok(member_id) = &result {
                self.remove(member_id, Error::UnknownMemberId, cx);
                cx.out.events.push(self.removed_event(member_id, "it left"));
                last_gone = Some(member_id.clone());
            }
            left.push(LeftMember { member, error: result.err() });
        }
        if let Some(member_id) = last_gone {
            match self.state {
                State::CompletingRebalance | State::Stable => {
                    self.prepare_rebalance("a member left", &member_id, cx);
                }
                State::Empty | State::PreparingRebalance | State::Dead => self.maybe_complete_join(cx),
            }
        }
        Ok(left)
    }

    fn leaving_member_id(&self, member: &LeavingMember) -> Result<String, Error> {
        let instance_id = member.group_instance_id.as_deref();
        if member.member_id.is_empty() {
            // An administrator removes a static member, whose id only the group knows.
            let member_id = instance_id.and_then(|instance_id| self.static_members.get(instance_id));
            return member_id.cloned().ok_or(Error::UnknownMemberId);
        }
        if !self.pending_members.contains_key(&member.member_id) {
            self.validate_member(&member.member_id, instance_id)?;
        }
        Ok(member.member_id.clone())
    }
}
