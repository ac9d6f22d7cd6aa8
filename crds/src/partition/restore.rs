//! Which of two states is the newer one, and the putting back of the newest after etcd was restored (rule 13).

use super::{NotPossible, PartitionState};

/// What a broker remembers of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recollection {
    /// The newest state that it has acted on or been about to; none where it knows of none.
    pub state: Option<PartitionState>,
    /// It refuses every leader epoch up to this one from now on.
    pub refuses: i32,
}

impl PartitionState {
    /// Leader epoch and partition epoch.
    #[must_use]
    pub fn epochs(&self) -> (i32, i32) {
        (self.leader_epoch, self.partition_epoch)
    }

    /// Whether this may be the state that a partition in the state of `known` is in later, or still: every change raises
    /// the partition epoch, and none lowers the leader epoch. If not, somebody has put an older state in its place.
    #[must_use]
    pub fn is_successor_of(&self, known: &Self) -> bool {
        self == known
            || (self.leader_epoch >= known.leader_epoch && self.partition_epoch > known.partition_epoch)
    }

    /// This state without a leader, in epochs above its own and all of `seen`, (leader epoch, partition epoch): whoever
    /// remembers any of those takes it for newer.
    ///
    /// # Errors
    /// [`NotPossible::EpochsUsedUp`].
    pub fn put_back(&self, seen: impl IntoIterator<Item = (i32, i32)>) -> Result<Self, NotPossible> {
        let highest = |(leader, partition): (i32, i32), (other_leader, other_partition): (i32, i32)| {
            (leader.max(other_leader), partition.max(other_partition))
        };
        let (leader_epoch, partition_epoch) = seen.into_iter().fold(self.epochs(), highest);
        let above = |epoch: i32| epoch.checked_add(1).ok_or(NotPossible::EpochsUsedUp);
        Ok(Self {
            leader: None,
            leader_epoch: above(leader_epoch)?,
            partition_epoch: above(partition_epoch)?,
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(leader_epoch: i32, partition_epoch: i32, isr: &str) -> PartitionState {
        let text = format!(
            "replicas=0,1 leader=0 leaderEpoch={leader_epoch} partitionEpoch={partition_epoch} isr={isr} elr="
        );
        text.parse().unwrap()
    }

    #[test]
    fn a_change_raises_the_partition_epoch_and_never_lowers_the_leader_epoch() {
        let known = state(3, 5, "0.0000000a-0");
        assert!(known.is_successor_of(&known));
        for (leader, partition, newer) in
            [(3, 6, true), (4, 6, true), (9, 90, true), (2, 9, false), (4, 5, false), (4, 4, false)]
        {
            assert_eq!(state(leader, partition, "0.0000000a-0").is_successor_of(&known), newer);
        }
        // The same epochs after another change: somebody went on from an older state.
        assert!(!state(3, 5, "0.0000000a-0,1.0000000b-0").is_successor_of(&known));
    }

    #[test]
    fn what_is_put_back_is_newer_than_all_that_was_seen() {
        let newest = state(7, 12, "0.0000000a-0");
        let back = newest.put_back([(3, 20), (9, 1)]).unwrap();
        assert_eq!(
            back.to_string(),
            "replicas=0,1 leader=none leaderEpoch=10 partitionEpoch=21 isr=0.0000000a-0 elr="
        );
        assert!(back.is_successor_of(&newest) && back.is_successor_of(&state(9, 20, "0.0000000a-1")));
        assert_eq!(newest.put_back([(i32::MAX, 0)]), Err(NotPossible::EpochsUsedUp));
    }
}
