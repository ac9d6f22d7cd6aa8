//! Elections that may lose acknowledged records: of a replica that is in neither ISR nor ELR with its generation. Only
//! where a person, or a setting, asks for one.

use super::{Generation, Member, NotPossible, PartitionState};

impl PartitionState {
    /// Elects `broker` with whatever its log has: it is the only member, and nobody is eligible beside it. The others
    /// follow it, and cut their logs to fit.
    ///
    /// # Errors
    /// [`NotPossible::NotEligible`] if it is no replica.
    pub fn elect_unclean(&self, broker: i32, generation: Generation) -> Result<Self, NotPossible> {
        if !self.replicas.contains(&broker) {
            return Err(NotPossible::NotEligible(broker));
        }
        let above = |epoch: i32| epoch.checked_add(1).ok_or(NotPossible::EpochsUsedUp);
        Ok(Self {
            leader: Some(broker),
            leader_epoch: above(self.leader_epoch)?,
            partition_epoch: above(self.partition_epoch)?,
            isr: vec![Member { broker, generation }],
            elr: Vec::new(),
            ..self.clone()
        })
    }

    /// Whether `self` may follow `old` by an unclean election.
    #[must_use]
    pub fn is_unclean_successor_of(&self, old: &Self) -> bool {
        let leads = |leader| self.isr.first().filter(|member| member.broker == leader);
        let again = self.leader.and_then(leads).and_then(|m| old.elect_unclean(m.broker, m.generation).ok());
        again.as_ref() == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check_transition;
    use super::*;

    #[test]
    fn the_elected_one_is_the_only_member_and_no_clean_election_would_do_that() {
        let text =
            "replicas=0,1,2 leader=none leaderEpoch=3 partitionEpoch=5 isr=0.0000000a-0 elr=1.0000000b-0";
        let old: PartitionState = text.parse().unwrap();
        let generation = Generation { disk: 0xc, unclean_starts: 2 };
        let new = old.elect_unclean(2, generation).unwrap();
        let expected = "replicas=0,1,2 leader=2 leaderEpoch=4 partitionEpoch=6 isr=2.0000000c-2 elr=";
        assert_eq!(new.to_string(), expected);
        assert!(new.is_unclean_successor_of(&old) && check_transition(&old, &new, 1).is_err());
        assert!(!old.is_unclean_successor_of(&new));
        assert_eq!(old.elect_unclean(7, generation), Err(NotPossible::NotEligible(7)));
    }
}
