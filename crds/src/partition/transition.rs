//! The changes of a partition's state that the coordination rules allow. Each returns the next state, with a
//! partition epoch one above, to be written by compare-and-swap on the text of the state it was made from.

use super::{Generation, Member, PartitionState, reassign};

/// A change that the coordination rules do not allow in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPossible {
    /// Replicas or in-sync replicas are missing, repeated or unknown.
    #[error("the resulting state is invalid: {0}")]
    Invalid(&'static str),
    /// Only members of ISR or ELR are elected.
    #[error("broker {0} is in neither ISR nor ELR")]
    NotEligible(i32),
    /// The partition has no leader already, or has one where it must not.
    #[error("the partition has no leader")]
    Offline,
    /// The change is made by a leader of another epoch.
    #[error("the leader epoch is {current}, not {claimed}")]
    LeaderEpoch {
        /// What the state says.
        current: i32,
        /// What the change was made in.
        claimed: i32,
    },
    /// The generation to recover on is that of another disk, or no new one.
    #[error("broker {0} has not the disk of its entry, or its entry needs no recovery")]
    OtherDisk(i32),
    /// An epoch cannot rise any more.
    #[error("an epoch is at its end")]
    EpochsUsedUp,
    /// The change changes nothing.
    #[error("nothing changes")]
    Nothing,
}

/// Two states of which the second is not a legal successor of the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}: {old} -> {new}")]
pub struct Illegal {
    why: &'static str,
    old: String,
    new: String,
}

impl PartitionState {
    /// A new partition, led by the first replica of `isr`: the live brokers among `replicas`, in replica order.
    ///
    /// # Errors
    /// [`NotPossible::Invalid`] if nobody is in sync or the lists break the invariants of a state.
    pub fn create(replicas: Vec<i32>, isr: Vec<Member>) -> Result<Self, NotPossible> {
        let leader = isr.first().map(|member| member.broker);
        let elr = Vec::new();
        let (adding, removing) = (Vec::new(), Vec::new());
        let state =
            Self { replicas, leader, leader_epoch: 0, partition_epoch: 0, isr, elr, adding, removing };
        if leader.is_none() {
            return Err(NotPossible::Invalid("nobody is in sync"));
        }
        state.checked()
    }

    /// Elects `broker` (rule 7), a new leader or the restarted old one (rule 2): leader epoch + 1. Out of the ISR it
    /// leaves the ISR as it is; out of the ELR it makes `broker` the only member. Nobody leaves both: that is for the
    /// leader to say, whatever an operator knows of `min.insync.replicas`.
    ///
    /// # Errors
    /// [`NotPossible::NotEligible`] if it is in neither.
    pub fn elect(&self, broker: i32) -> Result<Self, NotPossible> {
        let mut next = self.bump()?;
        next.leader_epoch = self.leader_epoch.checked_add(1).ok_or(NotPossible::EpochsUsedUp)?;
        next.leader = Some(broker);
        if self.in_isr(broker).is_none() {
            let generation = self.in_elr(broker).ok_or(NotPossible::NotEligible(broker))?;
            next.set_isr(self, vec![Member { broker, generation }]);
        }
        next.checked()
    }

    /// Takes the leader away: nobody eligible lives. The leader epoch rises, so that a leader that is only slow
    /// steps down.
    ///
    /// # Errors
    /// [`NotPossible::Offline`] if there is no leader.
    pub fn offline(&self) -> Result<Self, NotPossible> {
        if self.leader.is_none() {
            return Err(NotPossible::Offline);
        }
        let mut next = self.bump()?;
        next.leader_epoch = self.leader_epoch.checked_add(1).ok_or(NotPossible::EpochsUsedUp)?;
        next.leader = None;
        next.checked()
    }

    /// The leader's change of the ISR, in either direction (rules 5 and 7): who leaves while the ISR is then below
    /// `min_insync_replicas` joins the ELR with its generation, the change that brings it back there empties the ELR. So
    /// does the same ISR again, where `min_insync_replicas` has come down to it.
    ///
    /// # Errors
    /// [`NotPossible::LeaderEpoch`] if the leader has changed, [`NotPossible::Invalid`] if `isr` is not a set of
    /// replicas that keeps the leader, [`NotPossible::Nothing`] if it is the ISR already, and the ELR stays.
    pub fn change_isr(
        &self,
        leader_epoch: i32,
        isr: Vec<Member>,
        min_insync_replicas: usize,
    ) -> Result<Self, NotPossible> {
        let leader = self.leader.ok_or(NotPossible::Offline)?;
        if leader_epoch != self.leader_epoch {
            return Err(NotPossible::LeaderEpoch { current: self.leader_epoch, claimed: leader_epoch });
        }
        let mut next = self.bump()?;
        next.set_isr(self, isr);
        if next.isr.len() >= min_insync_replicas {
            next.elr.clear();
        }
        if (&next.isr, &next.elr) == (&self.isr, &self.elr) {
            return Err(NotPossible::Nothing);
        }
        if next.in_isr(leader) != self.in_isr(leader) {
            return Err(NotPossible::Invalid("a leader renewed or removed itself"));
        }
        next.checked()
    }

    /// Recovery election (rule 8): every member of ISR and ELR has changed its generation, all were asked, and
    /// `broker`, whose log reaches furthest, still has its disk. It leads, its entry takes the new generation, the
    /// other entries stay. `refused` is the highest leader epoch that an answer refuses from then on.
    ///
    /// # Errors
    /// [`NotPossible::NotEligible`], or [`NotPossible::OtherDisk`] if `generation` is not a later one of the same disk.
    pub fn recover(&self, broker: i32, generation: Generation, refused: i32) -> Result<Self, NotPossible> {
        let known = self.in_isr(broker).or_else(|| self.in_elr(broker));
        let known = known.ok_or(NotPossible::NotEligible(broker))?;
        if known.disk != generation.disk || generation.unclean_starts <= known.unclean_starts {
            return Err(NotPossible::OtherDisk(broker));
        }
        let mut next = self.bump()?;
        let above = self.leader_epoch.max(refused);
        next.leader_epoch = above.checked_add(1).ok_or(NotPossible::EpochsUsedUp)?;
        next.leader = Some(broker);
        let renewed = Member { broker, generation };
        let isr = match self.in_isr(broker) {
            Some(_) => self.isr.iter().map(|m| if m.broker == broker { renewed } else { *m }).collect(),
            None => vec![renewed],
        };
        next.set_isr(self, isr);
        next.checked()
    }

    pub(super) fn bump(&self) -> Result<Self, NotPossible> {
        let partition_epoch = self.partition_epoch.checked_add(1).ok_or(NotPossible::EpochsUsedUp)?;
        Ok(Self { partition_epoch, ..self.clone() })
    }

    /// Puts `isr` in the place of the ISR of `old`; who is no longer in it joins the ELR (rule 7).
    fn set_isr(&mut self, old: &Self, mut isr: Vec<Member>) {
        isr.sort_by_key(|member| self.replicas.iter().position(|id| *id == member.broker));
        self.isr = isr;
        let left = |broker: &i32| {
            let generation = old.in_isr(*broker).or_else(|| old.in_elr(*broker))?;
            self.in_isr(*broker).is_none().then_some(Member { broker: *broker, generation })
        };
        self.elr = self.replicas.iter().filter_map(left).collect();
    }

    pub(super) fn checked(self) -> Result<Self, NotPossible> {
        self.validate().map_err(NotPossible::Invalid)?;
        Ok(self)
    }
}

/// Whether `new` may follow `old` at all, whoever made the change. For tests and for who doubts what they read.
///
/// # Errors
/// Says which rule the step breaks.
pub fn check_transition(
    old: &PartitionState,
    new: &PartitionState,
    min_insync_replicas: usize,
) -> Result<(), Illegal> {
    judge(old, new, min_insync_replicas).map_err(|why| Illegal {
        why,
        old: old.to_string(),
        new: new.to_string(),
    })
}

fn judge(old: &PartitionState, new: &PartitionState, min_insync_replicas: usize) -> Result<(), &'static str> {
    old.validate()?;
    new.validate()?;
    if old.partition_epoch.checked_add(1) != Some(new.partition_epoch) {
        return Err("a change adds one to the partition epoch");
    }
    let placed = |state: &PartitionState| [&state.replicas, &state.adding, &state.removing].map(Clone::clone);
    if placed(old) != placed(new) {
        return reassign::judge(old, new);
    }
    let mut by_rule = old.clone();
    by_rule.set_isr(old, new.isr.clone());
    let emptied = new.elr.is_empty() && new.isr.len() >= min_insync_replicas;
    if by_rule.elr != new.elr && !(emptied && new.leader_epoch == old.leader_epoch) {
        return Err(
            "who leaves the ISR joins the ELR, which only a leader empties, once the ISR is large enough",
        );
    }
    if new.leader_epoch == old.leader_epoch {
        return same_leader(old, new);
    }
    if new.leader_epoch < old.leader_epoch {
        return Err("the leader epoch never falls");
    }
    let Some(leader) = new.leader else {
        let taken_away = old.leader.is_some() && new.isr == old.isr;
        return if taken_away { Ok(()) } else { Err("going offline takes the leader alone") };
    };
    elected(old, new, leader)
}

/// Within a leader epoch the leader changes the ISR, and nothing else happens.
fn same_leader(old: &PartitionState, new: &PartitionState) -> Result<(), &'static str> {
    let Some(leader) = old.leader else {
        return Err("a partition without a leader changes by election alone");
    };
    if new.leader != old.leader {
        return Err("a change of leader raises the leader epoch");
    }
    if new.isr == old.isr && new.elr == old.elr {
        return Err("nothing changed");
    }
    if new.in_isr(leader) != old.in_isr(leader) {
        return Err("a leader neither renews nor removes itself");
    }
    Ok(())
}

/// An election out of the ISR leaves it as it is, one out of the ELR makes the leader the only member; the leader's
/// own entry may have been renewed on the same disk (recovery).
fn elected(old: &PartitionState, new: &PartitionState, leader: i32) -> Result<(), &'static str> {
    let Some(now) = new.in_isr(leader) else { return Err("the leader is not in the ISR") };
    let others =
        |state: &PartitionState| state.isr.iter().filter(|m| m.broker != leader).copied().collect::<Vec<_>>();
    let before = match (old.in_isr(leader), old.in_elr(leader)) {
        (Some(before), _) if others(old) == others(new) => before,
        (None, Some(before)) if others(new).is_empty() => before,
        (None, None) => return Err("only members of ISR or ELR are elected"),
        _ => return Err("an election leaves the ISR as it is"),
    };
    let recovered = now.disk == before.disk && now.unclean_starts > before.unclean_starts;
    if now == before || recovered { Ok(()) } else { Err("the leader's generation is not that of its entry") }
}
