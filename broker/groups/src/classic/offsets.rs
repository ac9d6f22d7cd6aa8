//! What a group has to say about its offsets.

use super::{Group, State};
use crate::Error;
use crate::offsets::ExpiryBase;

impl<R> Group<R> {
    /// Whether this client may commit offsets now.
    ///
    /// # Errors
    /// It is no member of the current generation, nor is the group empty; or it has to rejoin first.
    pub(crate) fn validate_commit(
        &self,
        member_id: &str,
        group_instance_id: Option<&str>,
        generation_id: i32,
    ) -> Result<(), Error> {
        if self.state == State::Dead {
            return Err(Error::CoordinatorNotAvailable);
        }
        if generation_id < 0 && self.is_empty() {
            // An administrator, or a consumer that picks its partitions itself.
            return Ok(());
        }
        // Who names neither a generation nor itself is no member, and this group has some.
        self.validate_member(member_id, group_instance_id)?;
        if generation_id != self.generation_id {
            return Err(Error::IllegalGeneration);
        }
        if self.state == State::CompletingRebalance {
            // It has joined, so it knows this generation, but it does not own anything in it yet.
            return Err(Error::RebalanceInProgress);
        }
        Ok(())
    }

    /// A commit is a sign of life, except between generations.
    pub(crate) fn committed(&mut self, member_id: &str, now_ms: i64) {
        if matches!(self.state, State::Stable | State::PreparingRebalance) {
            self.touch(member_id, now_ms);
        }
    }

    /// Whether offsets of the group may be deleted.
    ///
    /// # Errors
    /// The group is gone, or has members that are no consumers, of which nobody knows what they need.
    pub(crate) fn validate_delete_offsets(&self) -> Result<(), Error> {
        match self.state {
            State::Dead => Err(Error::GroupIdNotFound),
            State::Empty => Ok(()),
            _ if self.uses_consumer_protocol() => Ok(()),
            _ => Err(Error::NonEmptyGroup),
        }
    }

    /// Whether the group may be deleted.
    ///
    /// # Errors
    /// The group has members, or is gone.
    pub(crate) fn validate_delete(&self) -> Result<(), Error> {
        match self.state {
            State::Dead => Err(Error::GroupIdNotFound),
            State::Empty => Ok(()),
            _ => Err(Error::NonEmptyGroup),
        }
    }

    /// From when on the group's offsets age; nothing while they must not.
    pub(crate) fn expiry_base(&self) -> Option<ExpiryBase> {
        match self.state {
            // Nobody ever joined: a client that only keeps offsets here.
            State::Empty if self.protocol_type.is_none() => Some(ExpiryBase::Commit),
            State::Empty => Some(self.state_timestamp_ms.map_or(ExpiryBase::Commit, ExpiryBase::Since)),
            State::Stable if self.uses_consumer_protocol() && self.subscribed_topics.is_some() => {
                Some(ExpiryBase::Commit)
            }
            _ => None,
        }
    }
}
