//! Elections that somebody asks for: by the annotation of a KafkaTopic, or directly, where brokers and controller are in
//! one process. Each is held if it can be, once.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use milena_crds::elections::{ElectionType, Wish, parse};
use milena_crds::names;
use milena_crds::partition::{PartitionKey, PartitionState};
use uuid::Uuid;

use crate::chunks::Chunks;
use crate::controller::{Controller, Entry};
use crate::election::{Ballot, Why};
use crate::plan::{Note, Plan};
use crate::rebalance::MAX_ELECTIONS;

/// An annotation that was acted on, to be taken away; [`Controller::wishes_done`] says that it was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WishesDone {
    /// Name of the KafkaTopic.
    pub name: String,
    /// Its uid.
    pub uid: Option<String>,
    /// The annotation as it was read: another one stays.
    pub text: String,
}

/// What is asked for in one plan.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    wishes: HashMap<PartitionKey, Wish>,
    /// KafkaTopics that ask, with what cannot be read of it.
    topics: Vec<(String, Uuid, Option<String>)>,
    /// How many more partitions go back to their first replica, if it is time for that.
    going_back: Cell<usize>,
}

impl Asked {
    /// The election that is wanted of a partition, if it is possible.
    pub(crate) fn hold(&self, ballot: &Ballot<'_>) -> Option<(PartitionState, Why)> {
        let wish = self.wishes.get(&ballot.key);
        let wish =
            wish.filter(|wish| wish.leader_epoch.is_none_or(|epoch| epoch == ballot.state.leader_epoch));
        if let Some(held) = wish.and_then(|wish| ballot.hold(wish.kind)) {
            return Some(held);
        }
        let left = self.going_back.get().checked_sub(1)?;
        let held = ballot.hold(ElectionType::Preferred)?;
        self.going_back.set(left);
        Some(held)
    }

    /// Which election is asked for by name, if one is.
    pub(crate) fn kind(&self, key: PartitionKey) -> Option<ElectionType> {
        self.wishes.get(&key).map(|wish| wish.kind)
    }

    /// Whether more partitions may have to go back than one round takes.
    pub(crate) fn has_gone_back_enough(&self) -> bool {
        self.going_back.get() == 0
    }

    /// It is time for partitions to go back to their first replicas.
    pub(crate) fn go_back(&mut self) {
        self.going_back.set(MAX_ELECTIONS);
    }
}

impl Controller {
    /// Asks for elections in one topic; the next plan holds those that are possible.
    pub fn ask_elections(&mut self, topic: Uuid, wishes: impl IntoIterator<Item = Wish>) {
        self.asked.extend(
            wishes
                .into_iter()
                .map(|wish| (PartitionKey { topic_id: topic, partition: wish.partition }, wish)),
        );
        self.dirty_chunks.extend(self.chunks.chunks_of(topic));
    }

    /// The taking away of an annotation has ended, well or not. If it ended well, hand in the answer by
    /// [`Controller::apply_topic`] before.
    pub fn wishes_done(&mut self, name: &str) {
        if let Some(entry) = self.topics.get_mut(name) {
            entry.wishes_sent = None;
            self.dirty.insert(name.to_owned());
        }
    }

    /// All that is asked for now.
    pub(crate) fn gather_wishes(&mut self) -> Asked {
        let wishes = std::mem::take(&mut self.asked).into_iter().collect();
        let mut asked = Asked { wishes, ..Asked::default() };
        if self.cluster.is_none() {
            return asked;
        }
        for name in &self.wishing {
            let Some(entry) = self.topics.get(name) else { continue };
            let (Some(text), Some(id)) = (wishes_of(entry), entry.object.topic_id()) else { continue };
            if entry.wishes_sent.as_deref() == Some(text) {
                continue;
            }
            match parse(text) {
                Ok(wishes) => {
                    let key = |wish: &Wish| PartitionKey { topic_id: id, partition: wish.partition };
                    asked.wishes.extend(wishes.into_iter().map(|wish| (key(&wish), wish)));
                    asked.topics.push((name.clone(), id, None));
                    self.dirty_chunks.extend(self.chunks.chunks_of(id));
                }
                Err(error) => asked.topics.push((name.clone(), id, Some(error.to_string()))),
            }
        }
        asked
    }

    /// Annotations that led to nothing in this plan have had what they can get: they go.
    pub(crate) fn finish_wishes(
        &mut self,
        asked: &Asked,
        changed: &BTreeSet<PartitionKey>,
        chunks: &Chunks,
        plan: &mut Plan,
    ) {
        for (name, id, unread) in &asked.topics {
            let wishes = || asked.wishes.iter().filter(|(key, _)| key.topic_id == *id);
            if wishes().any(|(key, _)| changed.contains(key)) {
                continue;
            }
            let failed = match unread {
                Some(error) => Some(format!("annotation {}: {error}", names::ELECT_LEADERS)),
                None => refused(wishes(), chunks, *id),
            };
            if let Some(message) = failed {
                plan.notes.push(Note {
                    topic: Some(name.clone()),
                    warning: true,
                    reason: "ElectionNotHeld",
                    message,
                });
            }
            let Some(entry) = self.topics.get_mut(name) else { continue };
            let Some(text) = wishes_of(entry).map(str::to_owned) else { continue };
            entry.wishes_sent = Some(text.clone());
            plan.wishes.push(WishesDone { name: name.clone(), uid: entry.object.metadata.uid.clone(), text });
        }
    }
}

/// The annotation of a KafkaTopic that asks for elections.
pub(crate) fn wishes_of(entry: &Entry) -> Option<&str> {
    let annotations = entry.object.metadata.annotations.as_ref()?;
    annotations.get(names::ELECT_LEADERS).map(String::as_str)
}

/// Which elections could not be held, for people.
fn refused<'a>(
    wishes: impl Iterator<Item = (&'a PartitionKey, &'a Wish)>,
    chunks: &Chunks,
    id: Uuid,
) -> Option<String> {
    let states: HashMap<i32, PartitionState> =
        chunks.partitions(id).into_iter().filter_map(|found| Some((found.partition, found.state?))).collect();
    let mut partitions: Vec<i32> = wishes
        .filter(|(key, wish)| match (states.get(&key.partition), wish.kind) {
            (None, _) => true,
            // Somebody else's change came first.
            (Some(state), _) if wish.leader_epoch.is_some_and(|epoch| epoch != state.leader_epoch) => false,
            (Some(state), ElectionType::Preferred) => state.leader != state.replicas.first().copied(),
            (Some(state), ElectionType::Unclean) => state.leader.is_none(),
        })
        .map(|(key, _)| key.partition)
        .collect();
    partitions.sort_unstable();
    let first = partitions.first()?;
    let (count, one) = (partitions.len(), states.get(first));
    Some(format!(
        "{count} of the elections that were asked for could not be held; partition {first}: {}",
        match one {
            None => "there is no such partition".to_owned(),
            Some(state) if state.leader.is_some() =>
                format!("its first replica is not in sync, or is down ({state})"),
            Some(state) => format!("no broker that has a replica is up ({state})"),
        }
    ))
}
