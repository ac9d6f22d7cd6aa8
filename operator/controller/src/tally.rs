//! What the elections of one plan came to, and what people are told of it.

use std::collections::{BTreeMap, BTreeSet};

use milena_crds::partition::{PartitionKey, PartitionState};
use uuid::Uuid;

use crate::controller::Controller;
use crate::election::Why;
use crate::plan::Note;

/// Partitions that a note names; of the others it says how many there are.
const NAMED: usize = 10;

/// Elections of one plan.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: BTreeMap<&'static str, usize>,
    /// By topic and reason: partitions that may have lost records, with who leads them.
    losses: BTreeMap<(Uuid, &'static str), Vec<(i32, i32)>>,
    /// Partitions that are held because a restore of etcd is declared, or because a broker remembers a newer state.
    pub(crate) declared: usize,
    pub(crate) found_older: usize,
    /// Every partition that changed.
    pub(crate) changed: BTreeSet<PartitionKey>,
}

impl Tally {
    /// A change of one partition.
    pub(crate) fn count(&mut self, key: PartitionKey, next: &PartitionState, why: Why) {
        self.changed.insert(key);
        let mut lossy = |reason| {
            let leader = next.leader.unwrap_or_default();
            self.losses.entry((key.topic_id, reason)).or_default().push((key.partition, leader));
        };
        let reason = match why {
            Why::Elected => "LeadersElected",
            Why::Preferred => "PreferredLeadersElected",
            Why::Restarted => "LeadersRestarted",
            Why::Offline => "PartitionsOffline",
            Why::Restored => "StatesRestored",
            Why::RestoredWithout => return lossy("RestoredWithout"),
            Why::Recovered => return lossy("PossibleLoss"),
            Why::Unclean => return lossy("UncleanElection"),
        };
        *self.counts.entry(reason).or_default() += 1;
    }

    /// How many unclean elections there were.
    pub(crate) fn unclean(&self) -> u64 {
        let unclean = self.losses.iter().filter(|((_, reason), _)| *reason == "UncleanElection");
        unclean.map(|(_, partitions)| u64::try_from(partitions.len()).unwrap_or(u64::MAX)).sum()
    }

    /// Partitions whose leader changed, by reason.
    pub(crate) fn elections(&self) -> BTreeMap<&'static str, usize> {
        let mut elections = self.counts.clone();
        for ((_, reason), partitions) in &self.losses {
            *elections.entry(*reason).or_default() += partitions.len();
        }
        elections
    }

    /// What people are told: one note for all partitions that come to the same.
    pub(crate) fn notes(&self, controller: &Controller) -> Vec<Note> {
        let count = |(reason, count): (&&'static str, &usize)| {
            let (warning, message) = match *reason {
                "PartitionsOffline" => {
                    (true, format!("{count} partitions have no leader: no replica can lead"))
                }
                "LeadersRestarted" => {
                    (false, format!("{count} partitions are led again by their restarted broker"))
                }
                "StatesRestored" => {
                    let what = "the newest state that a replica remembers is put back";
                    (false, format!("{what} for {count} partitions, after etcd was restored"))
                }
                "PreferredLeadersElected" => {
                    (false, format!("{count} partitions are led by their first replica again"))
                }
                _ => (false, format!("{count} partitions have a new leader")),
            };
            Note { topic: None, warning, reason, message }
        };
        let loss = |((topic, reason), partitions): (&(Uuid, &'static str), &Vec<(i32, i32)>)| {
            let how = match *reason {
                "UncleanElection" => {
                    "led by a replica that was not in sync, for no other was left: acknowledged records that it did not \
                     have are lost"
                }
                "RestoredWithout" => {
                    "put back, after etcd was restored, without what the brokers know that were given up: records that \
                     they alone have are lost"
                }
                _ => {
                    "led with what a disk kept when its machine stopped: records that were not on disk yet are lost"
                }
            };
            let owner = controller.ids.get(topic).and_then(BTreeSet::first).cloned();
            Note { topic: owner, warning: true, reason, message: format!("{}: {how}", named(partitions)) }
        };
        let held = |reason, count: usize, why: &str| {
            let message = format!(
                "{why}: nobody leads {count} partitions until every replica has said which state it remembers as the \
                 newest"
            );
            (count > 0).then_some(Note { topic: None, warning: true, reason, message })
        };
        let declared = held("RestoreDeclared", self.declared, "etcd was restored from a backup");
        let older =
            "brokers remember newer states than the API server shows. Was etcd restored from a backup?";
        let older = held("OlderStates", self.found_older, older);
        let held = declared.into_iter().chain(older);
        self.counts.iter().map(count).chain(self.losses.iter().map(loss)).chain(held).collect()
    }
}

/// `partition 3 (broker 1)`, and how many more there are.
fn named(partitions: &[(i32, i32)]) -> String {
    let name = |(partition, broker): &(i32, i32)| format!("{partition} (broker {broker})");
    let names: Vec<String> = partitions.iter().take(NAMED).map(name).collect();
    let word = if partitions.len() == 1 { "partition" } else { "partitions" };
    let more = match partitions.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{word} {}{more}", names.join(", "))
}
