//! What this broker believes of the others, for the partitions that it leads. Hints, all of it: what follows from them is
//! compare-and-swap (rules 1 and 9).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use milena_crds::partition::{Offline, PartitionKey};
use milena_replication::Belief;
use parking_lot::Mutex;

use crate::{node::View, partitions::Partition};

/// How long nothing was heard of each broker, in rounds that this broker itself was awake for: one that slept has not
/// listened.
#[derive(Debug, Default)]
pub struct Hearing {
    rounds: Mutex<HashMap<i32, u32>>,
}

impl Hearing {
    /// Something came from a follower.
    pub fn heard(&self, broker: i32) {
        self.rounds.lock().insert(broker, 0);
    }

    /// Another round has gone by.
    fn count(&self, brokers: impl Iterator<Item = i32>) {
        let mut rounds = self.rounds.lock();
        for broker in brokers {
            let count = rounds.entry(broker).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Of whom nothing was heard for so many rounds.
    fn silent(&self, rounds: u32) -> BTreeSet<i32> {
        self.rounds.lock().iter().filter(|(_, count)| **count >= rounds).map(|(broker, _)| *broker).collect()
    }
}

/// All beliefs at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Who is believed to be up, with what it cannot serve.
    alive: BTreeMap<i32, Arc<Offline>>,
    /// Without a process, as far as this broker can tell.
    pub suspects: BTreeSet<i32>,
    /// Nothing is heard of them.
    silent: BTreeSet<i32>,
    /// How long they may be behind.
    patience_ms: i64,
}

impl Outlook {
    /// Takes in the newest picture; answers whether it says anything new of brokers, and who is back.
    pub fn look(&mut self, view: &View) -> (bool, Vec<i32>) {
        let alive = view.image.brokers.iter().filter(|(_, broker)| broker.alive);
        let alive: BTreeMap<i32, Arc<Offline>> =
            alive.map(|(id, broker)| (*id, broker.offline.clone())).collect();
        let before = std::mem::replace(&mut self.alive, alive);
        let back = self.alive.keys().filter(|id| !before.contains_key(id)).copied().collect();
        (before != self.alive, back)
    }

    /// A round of that length has gone by; who is silent for `silence` is taken note of.
    pub fn listen(&mut self, hearing: &Hearing, round: Duration, silence: Duration) {
        hearing.count(self.alive.keys().copied());
        let rounds = silence.as_millis().div_ceil(round.as_millis().max(1));
        self.silent = hearing.silent(u32::try_from(rounds).unwrap_or(u32::MAX).max(1));
        self.patience_ms = i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
    }

    /// What is believed of a broker, for a partition.
    pub fn belief(&self, broker: i32, key: &PartitionKey) -> Belief {
        match self.alive.get(&broker) {
            Some(offline) if !self.suspects.contains(&broker) && !offline.contains(key) => {
                match self.silent.contains(&broker) {
                    true => Belief::Silent { patience_ms: self.patience_ms },
                    false => Belief::Well,
                }
            }
            _ => Belief::Dead,
        }
    }

    /// Whether anybody is believed dead, or unable to serve something.
    pub fn is_clouded(&self, view: &View) -> bool {
        !self.suspects.is_empty()
            || view.image.brokers.len() != self.alive.len()
            || self.alive.values().any(|offline| !offline.is_empty())
    }

    /// Whether somebody is in sync who is believed dead.
    pub fn has_dead(&self, partition: &Partition) -> bool {
        let (state, key) = (partition.state(), partition.key());
        state.isr.iter().any(|member| self.belief(member.broker, &key) == Belief::Dead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(500);
    const SILENCE: Duration = Duration::from_secs(2);

    fn outlook() -> Outlook {
        let alive = [(1, Arc::default()), (2, Arc::default())].into();
        Outlook { alive, ..Outlook::default() }
    }

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: uuid::Uuid::from_u128(7), partition }
    }

    #[test]
    fn who_is_not_heard_for_its_time_is_silent_until_it_is_heard() {
        let (mut outlook, hearing) = (outlook(), Hearing::default());
        for _ in 0..3 {
            outlook.listen(&hearing, ROUND, SILENCE);
            hearing.heard(1);
        }
        assert_eq!(outlook.belief(2, &key(0)), Belief::Well);
        outlook.listen(&hearing, ROUND, SILENCE);
        assert_eq!(outlook.belief(2, &key(0)), Belief::Silent { patience_ms: 2_000 });
        assert_eq!(outlook.belief(1, &key(0)), Belief::Well);
        hearing.heard(2);
        outlook.listen(&hearing, ROUND, SILENCE);
        assert_eq!(outlook.belief(2, &key(0)), Belief::Well);
    }

    #[test]
    fn who_cannot_serve_a_partition_is_dead_there() {
        let mut outlook = outlook();
        outlook.alive.insert(2, Arc::new(Offline::named([key(3)].into())));
        assert_eq!(outlook.belief(2, &key(3)), Belief::Dead);
        assert_eq!(outlook.belief(2, &key(4)), Belief::Well);
        assert_eq!(outlook.belief(3, &key(4)), Belief::Dead, "who is not there");
        outlook.suspects.insert(1);
        assert_eq!(outlook.belief(1, &key(4)), Belief::Dead);
    }
}
