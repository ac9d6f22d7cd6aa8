//! What to write, from what is known and what has changed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use milena_crds::KafkaPartitionsSpec;
use milena_crds::cluster::MissingTopic;
use milena_crds::partition::{PartitionKey, PartitionState};
use milena_crds::topic::KafkaTopicStatus;
use uuid::Uuid;

use crate::broker::Liveness;
use crate::chunks::Chunks;
use crate::controller::Controller;
use crate::election::{Ballot, Why};
use crate::restore::Look;
use crate::tally::Tally;
use crate::wishes::{Asked, WishesDone};
use crate::writes::Writes;

/// How long the data of a missing topic is kept.
pub(crate) const MISSING_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Most topics that a status names.
const MAX_STUCK: usize = 10;

/// What to write. Objects first; statuses may be written meanwhile, they do not depend on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// KafkaPartitions objects, each whole: to be created, or put with the resourceVersion that was last seen.
    pub chunks: Vec<ChunkWrite>,
    /// Statuses of KafkaTopics.
    pub topics: Vec<StatusWrite>,
    /// Annotations that asked for elections, to be taken away.
    pub wishes: Vec<WishesDone>,
    /// The annotation of the KafkaCluster that declares a restore, to be taken out if it still says that: the newest
    /// state of every partition is put back.
    pub restored: Option<String>,
    /// Unclean elections among what is to be written.
    pub unclean_elections: u64,
    /// Requests in annotations of KafkaTopics that are carried out.
    pub answers: Vec<Answer>,
    /// What happened, for Events.
    pub notes: Vec<Note>,
    /// Partitions whose leader the objects change, by reason: `LeadersElected`, `LeadersRestarted`, `PartitionsOffline`…
    pub elections: BTreeMap<&'static str, usize>,
}

/// A KafkaPartitions object to write. Its answer, or after a conflict what is there instead, goes into
/// [`Controller::apply_chunk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkWrite {
    /// Number of the object.
    pub chunk: u32,
    /// It is not there yet.
    pub create: bool,
    /// All of it.
    pub spec: KafkaPartitionsSpec,
}

/// The status of a KafkaTopic to write; [`Controller::status_done`] says that it was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    /// Name of the object.
    pub name: String,
    /// Its uid, so that no object of the same name gets the status of another.
    pub uid: Option<String>,
    /// The whole status.
    pub status: KafkaTopicStatus,
    /// Nothing but the count of partitions with a replica out of sync differs: that may wait, it passes by itself.
    pub minor: bool,
}

/// A request in an annotation of a KafkaTopic that is carried out: the annotation may go, if it still says that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Name of the object.
    pub topic: String,
    /// Its uid, so that no object of the same name loses another's request.
    pub uid: Option<String>,
    /// Name of the annotation.
    pub annotation: &'static str,
    /// What it said.
    pub value: String,
}

/// Something to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Name of the KafkaTopic; without one it is about the KafkaCluster.
    pub topic: Option<String>,
    /// Whether it is something to worry about.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// What happened, and what to do.
    pub message: String,
}

/// Numbers of the whole cluster, for its status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// KafkaTopics.
    pub topics: usize,
    /// Partitions.
    pub partitions: usize,
    /// Partitions without a leader.
    pub offline: usize,
    /// Partitions of which some replica is not in sync.
    pub under_replicated: usize,
    /// Topics that have data and no KafkaTopic.
    pub missing: Vec<MissingTopic>,
    /// One more than the highest id of a broker that holds a replica: below this the cluster cannot be scaled.
    pub brokers_in_use: i32,
    /// Partitions that move.
    pub moving: usize,
    /// Replicas that are still to leave a broker.
    pub to_move: usize,
    /// Topics that keep brokers from leaving: they have more replicas than there are brokers left.
    pub stuck: Vec<String>,
    /// Partitions on whose state nobody acts since etcd was restored.
    pub held: usize,
    /// Brokers that are waited for there.
    pub awaited: BTreeSet<i32>,
}

impl Controller {
    /// What to write now, `now` by the clock on the wall. What is in the plan counts as handed over: statuses come
    /// again only after [`Controller::status_done`], objects only after [`Controller::apply_chunk`] or
    /// [`Controller::chunk_failed`].
    pub fn plan(&mut self, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let mut asked = self.gather_wishes();
        let is_due;
        (is_due, self.rebalance) = self.rebalance.look(self.cluster.as_ref(), now);
        if is_due {
            asked.go_back();
            self.dirty_chunks.extend(self.chunks.objects().keys());
        }
        // The parts read what is known while they fill the writes.
        let chunks = std::mem::take(&mut self.chunks);
        let name = self.name.clone();
        let mut writes = Writes::new(&chunks, &name, now);
        if self.cluster.is_some() {
            let tally = self.hold_elections(&mut writes, &asked);
            self.finish_wishes(&asked, &tally.changed, &chunks, &mut plan);
            plan.unclean_elections = tally.unclean();
            if is_due && asked.has_gone_back_enough() {
                self.rebalance = self.rebalance.go_on(now);
            }
            plan.elections = tally.elections();
            plan.restored = self.restore_is_over(&chunks);
            plan.notes.extend(tally.notes(self));
        }
        self.look_after_missing(&mut writes, &mut plan.notes, now);
        self.gather(&chunks, now);
        for id in std::mem::take(&mut self.doomed) {
            writes.delete(id);
        }
        for topic in std::mem::take(&mut self.dirty) {
            self.reconcile_topic(&topic, &chunks, &mut writes, &mut plan, now);
        }
        self.balance(&chunks, &mut writes);
        plan.chunks = writes.finish(&self.absent);
        self.chunks = chunks;
        plan
    }

    /// The writing of an object failed, or nobody knows how it ended: what it was for is looked at again. Before, hand
    /// in what is there now by [`Controller::apply_chunk`] (rule 1: a proposal is repeated, never taken back).
    pub fn chunk_failed(&mut self, write: &ChunkWrite) {
        self.dirty_chunks.insert(write.chunk);
        let there: BTreeSet<Uuid> = write.spec.partitions.keys().filter_map(|key| topic_of(key)).collect();
        for id in there {
            self.dirty.extend(self.ids.get(&id).into_iter().flatten().cloned());
        }
        for id in write.spec.deleted.keys().filter_map(|id| Uuid::parse_str(id).ok()) {
            if self.chunks.chunks_of(id).any(|chunk| chunk == write.chunk) {
                self.doomed.insert(id);
            }
        }
    }

    /// Numbers of the whole cluster.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let totals = self.chunks.totals();
        let missing = self.orphans.iter().filter_map(|(id, since)| Some((id, since.as_ref()?)));
        Summary {
            topics: self.topics.len(),
            partitions: totals.partitions,
            offline: totals.offline,
            under_replicated: totals.under_replicated,
            moving: totals.moving,
            to_move: self.to_move(),
            stuck: self.stuck.iter().take(MAX_STUCK).cloned().collect(),
            missing: missing.map(|(id, since)| self.missing_topic(*id, since)).collect(),
            brokers_in_use: self.chunks.highest_in_use().map_or(0, |id| id.saturating_add(1)),
            held: self.chunks.objects().values().map(|object| object.held.len()).sum(),
            awaited: self.awaited(),
        }
    }

    /// When [`Controller::plan`] has to be called although nothing changed: when the time of a missing topic is up, the
    /// first topics have waited long enough for brokers, or leadership is to go back to the first replicas.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let missing = self.orphans.values().flatten();
        let kept = missing.filter_map(|since| since.0.checked_add(MISSING_KEPT).ok());
        let gathering = self.gathering.deadline().filter(|_| !self.waiting.is_empty());
        kept.chain(gathering).chain(self.rebalance.deadline()).min()
    }

    /// Looks whether the first topics wait for more brokers; those that have waited are looked at again.
    fn gather(&mut self, chunks: &Chunks, now: Timestamp) {
        let Some(cluster) = &self.cluster else { return };
        let before = self.gathering.deadline();
        self.gathering =
            self.gathering.look(&self.brokers, cluster.ids(), chunks.totals().partitions == 0, now);
        if before.is_some() && self.gathering.deadline().is_none() {
            self.dirty.extend(self.waiting.iter().cloned());
        }
    }

    fn missing_topic(&self, id: Uuid, since: &Time) -> MissingTopic {
        MissingTopic {
            topic_id: id.as_hyphenated().to_string(),
            partitions: i32::try_from(self.chunks.partitions(id).len()).unwrap_or(i32::MAX),
            since: since.clone(),
            keep_until: Time(since.0.checked_add(MISSING_KEPT).unwrap_or(Timestamp::MAX)),
        }
    }

    /// Rule 12: what is missing is reported, and dropped only when a person says so or its day is over.
    fn look_after_missing(&mut self, writes: &mut Writes<'_>, notes: &mut Vec<Note>, now: Timestamp) {
        let Some(cluster) = &self.cluster else { return };
        for (id, since) in &mut self.orphans {
            let reported = cluster.missing.get(id).cloned();
            let new = since.is_none() && reported.is_none();
            let since = since.get_or_insert(reported.unwrap_or(Time(now)));
            if new {
                notes.push(missing_note(*id));
            }
            if cluster.drop.contains(id) || now.duration_since(since.0) >= MISSING_KEPT {
                writes.delete(*id);
            }
        }
    }

    /// Elections in every object that changed, or that a broker's change concerns.
    fn hold_elections(&mut self, writes: &mut Writes<'_>, asked: &Asked) -> Tally {
        let mut tally = Tally::default();
        for chunk in std::mem::take(&mut self.dirty_chunks) {
            let Some(before) = writes.before(chunk) else { continue };
            self.elect_in(chunk, before, writes, asked, &mut tally);
        }
        tally
    }

    fn elect_in(
        &mut self,
        chunk: u32,
        before: &KafkaPartitionsSpec,
        writes: &mut Writes<'_>,
        asked: &Asked,
        tally: &mut Tally,
    ) {
        let mut leaders = BTreeSet::new();
        let Some(older) = self.look_at_reports(chunk, before) else { return };
        let mut holds = self.hold_what_is_restored(chunk, before, older, writes, tally);
        let mut heard = self.recoveries.remove(&chunk).unwrap_or_default();
        let mut waiting = BTreeMap::new();
        for (key, text) in &before.partitions {
            let (Ok(key), Ok(state)) = (key.parse::<PartitionKey>(), text.parse::<PartitionState>()) else {
                continue;
            };
            let elected_in = state.leader.and_then(|id| before.broker_epochs.get(&id.to_string())).copied();
            let ballot = Ballot { key, state: &state, brokers: &self.brokers, elected_in };
            match holds.look(&ballot, asked) {
                Look::Free => {}
                Look::Held => {
                    leaders.extend(state.leader);
                    continue;
                }
                Look::Older(broker) => {
                    leaders.extend(state.leader);
                    let held = &mut writes.object(chunk).held;
                    held.insert(key.to_string(), format!("broker {broker}"));
                    tally.found_older += 1;
                    continue;
                }
                Look::PutBack(next, why) => {
                    leaders.extend(next.leader);
                    tally.count(key, &next, why);
                    writes.put(chunk, key, &next);
                    writes.object(chunk).held.remove(&key.to_string());
                    continue;
                }
            }
            let mut found = ballot
                .decide()
                .or_else(|| Self::try_recovery(&ballot, &mut heard, &mut waiting))
                .or_else(|| asked.hold(&ballot));
            let nobody = match &found {
                Some((_, why)) => *why == Why::Offline,
                None => state.leader.is_none(),
            };
            if nobody && !ballot.recovers_soon() && self.allows_unclean(key.topic_id) {
                found = ballot.last_resort().or(found);
            }
            let Some((next, why)) = found else {
                leaders.extend(state.leader);
                if state.leader.is_none() {
                    // The status says why, and that may have changed.
                    self.dirty.extend(self.ids.get(&key.topic_id).into_iter().flatten().cloned());
                }
                continue;
            };
            leaders.extend(next.leader);
            tally.count(key, &next, why);
            writes.put(chunk, key, &next);
        }
        if !waiting.is_empty() {
            self.recoveries.insert(chunk, waiting);
        }
        self.keep(holds);
        let epochs = leaders.into_iter().filter_map(|id| {
            let known = before.broker_epochs.get(&id.to_string()).copied();
            let broker = self.brokers.get(&id).filter(|broker| broker.liveness == Liveness::Alive);
            Some((id.to_string(), broker.map(|broker| broker.epoch).or(known)?))
        });
        let epochs: BTreeMap<String, i64> = epochs.collect();
        if epochs != before.broker_epochs {
            writes.object(chunk).broker_epochs = epochs;
        }
    }
}

fn topic_of(key: &str) -> Option<Uuid> {
    key.parse::<PartitionKey>().ok().map(|key| key.topic_id)
}

fn missing_note(id: Uuid) -> Note {
    let message = format!(
        "the KafkaTopic of topic id {id} is missing, and nobody saw it deleted. Its data is kept for a day. To keep it, \
         create a KafkaTopic with the annotation {}: {id}; to drop it now, set the annotation {}: {id} on the \
         KafkaCluster",
        milena_crds::names::TOPIC_ID,
        milena_crds::names::DROP_TOPICS,
    );
    Note { topic: None, warning: true, reason: "TopicMissing", message }
}
