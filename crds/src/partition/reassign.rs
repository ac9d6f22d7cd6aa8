//! Partitions that move between brokers: replicas are added, follow, join the ISR, and only then do others leave
//! (KIP-455).
//!
//! While it moves, a partition has the replicas of both sides. An operator begins a move and gives it another target;
//! the leader ends it, because only a leader removes members (rule 7). Whoever is taken out of the replicas sees it in
//! a leader epoch above all in which it was one, so that nothing that it said before counts if it comes back (rule 14).

use super::{Member, NotPossible, PartitionState};

impl PartitionState {
    /// Whether the partition moves.
    #[must_use]
    pub fn is_reassigning(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The replicas that it has once it has moved.
    #[must_use]
    pub fn target(&self) -> Vec<i32> {
        without(&self.replicas, &self.removing)
    }

    /// The replicas that it had before it began to move.
    #[must_use]
    pub fn original(&self) -> Vec<i32> {
        without(&self.replicas, &self.adding)
    }

    /// How many in-sync replicas a topic asks for with that `min.insync.replicas`: at most as many as there are, and
    /// those that are on their way do not count, so that a move never stops writes.
    #[must_use]
    pub fn needed_in_sync(&self, min_insync_replicas: usize) -> usize {
        min_insync_replicas.min(self.replicas.len().saturating_sub(self.adding.len()))
    }

    /// Whether every replica that stays is in the ISR: the others may leave.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        self.is_reassigning() && self.target().iter().all(|id| self.in_isr(*id).is_some())
    }

    /// Begins to move to the replicas of `target`, in order of preference as leader, or changes where it moves. Who was
    /// to be added before, is not any more and has nothing that counts leaves at once, which raises the leader epoch;
    /// who joined the ISR meanwhile leaves at the end. The same replicas in another order are there at once.
    ///
    /// # Errors
    /// [`NotPossible::Invalid`] if `target` is no list of replicas, [`NotPossible::Nothing`] if it moves there already.
    pub fn reassign(&self, target: &[i32]) -> Result<Self, NotPossible> {
        if target.is_empty() {
            return Err(NotPossible::Invalid("a partition needs a replica"));
        }
        if target == self.target() {
            return Err(NotPossible::Nothing);
        }
        let original = self.original();
        let counts = |id: &i32| self.in_isr(*id).or(self.in_elr(*id)).is_some();
        let stays = |id: &&i32| !target.contains(id) && (original.contains(id) || counts(id));
        let removing: Vec<i32> = self.replicas.iter().filter(stays).copied().collect();
        let mut next = self.bump()?;
        next.adding = without(target, &original);
        next.replicas = target.iter().chain(&removing).copied().collect();
        next.removing = removing;
        if self.replicas.iter().any(|id| !next.replicas.contains(id)) {
            next.raise_leader_epoch()?;
        }
        next.sort_members();
        next.checked()
    }

    /// Ends the move: every replica that stays is in sync, and the others leave replicas and ISR. The leader's change,
    /// in its own epoch; it goes on in the next one if somebody leaves.
    ///
    /// # Errors
    /// [`NotPossible::Nothing`] if it does not move or has not arrived, [`NotPossible::Invalid`] if the leader is among
    /// those that leave, [`NotPossible::LeaderEpoch`] if the leader has changed.
    pub fn complete(&self, leader_epoch: i32) -> Result<Self, NotPossible> {
        let leader = self.leader.ok_or(NotPossible::Offline)?;
        if leader_epoch != self.leader_epoch {
            return Err(NotPossible::LeaderEpoch { current: self.leader_epoch, claimed: leader_epoch });
        }
        if !self.has_arrived() {
            return Err(NotPossible::Nothing);
        }
        if self.removing.contains(&leader) {
            return Err(NotPossible::Invalid("a leader removed itself"));
        }
        let stays = |member: &&Member| !self.removing.contains(&member.broker);
        let mut next = self.bump()?;
        next.replicas = self.target();
        next.isr = self.isr.iter().filter(stays).copied().collect();
        next.elr.clear();
        next.adding.clear();
        if !std::mem::take(&mut next.removing).is_empty() {
            next.raise_leader_epoch()?;
        }
        next.checked()
    }

    fn raise_leader_epoch(&mut self) -> Result<(), NotPossible> {
        self.leader_epoch = self.leader_epoch.checked_add(1).ok_or(NotPossible::EpochsUsedUp)?;
        Ok(())
    }

    /// ISR and ELR in replica order.
    fn sort_members(&mut self) {
        let replicas = &self.replicas;
        let place = |member: &Member| replicas.iter().position(|id| *id == member.broker);
        self.isr.sort_by_key(place);
        self.elr.sort_by_key(place);
    }
}

/// Whether `new` is a step of a move that `old` may take: begun, changed or ended.
pub(super) fn judge(old: &PartitionState, new: &PartitionState) -> Result<(), &'static str> {
    let begun = old.reassign(&new.target());
    let ended = old.complete(old.leader_epoch);
    if begun.as_ref() == Ok(new) || ended.as_ref() == Ok(new) {
        return Ok(());
    }
    Err("replicas change by a move alone: added first, removed by the leader once all that stay are in sync")
}

fn without(all: &[i32], some: &[i32]) -> Vec<i32> {
    all.iter().filter(|id| !some.contains(id)).copied().collect()
}
