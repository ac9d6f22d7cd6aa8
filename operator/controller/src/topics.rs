//! What one KafkaTopic needs: partitions, or a message why it has none.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use milena_crds::KafkaTopic;
use milena_crds::names::{self, check_topic_name};
use milena_crds::partition::{MAX_REPLICAS, Member, PartitionKey, PartitionState};
use milena_crds::settings::check_topic_config;
use milena_crds::topic::{KafkaTopicStatus, MAX_PARTITIONS};
use uuid::Uuid;

use crate::broker::Liveness;
use crate::chunks::{Chunks, Found};
use crate::controller::{Controller, Entry};
use crate::gathering::{PATIENCE, alive};
use crate::placement::place;
use crate::plan::{Plan, StatusWrite};
use crate::status::{self, Standing};
use crate::writes::Writes;

impl Controller {
    /// Brings one topic closer to what its object says: new partitions if it lacks some, else its status.
    pub(crate) fn reconcile_topic(
        &mut self,
        name: &str,
        chunks: &Chunks,
        writes: &mut Writes<'_>,
        plan: &mut Plan,
        now: Timestamp,
    ) {
        let Some(entry) = self.topics.get(name) else { return };
        let object = std::sync::Arc::clone(&entry.object);
        let id = object.topic_id();
        let found = id.map(|id| chunks.partitions(id)).unwrap_or_default();
        let refused = self.refuse(name, &object, id, &found, chunks);
        self.waiting.remove(name);
        let stuck = match (&refused, id) {
            (None, Some(id)) => self.move_partitions(name, id, &object, &found, writes, plan),
            _ => None,
        };
        let standing = match (refused, id) {
            (Some(standing), _) => standing,
            (None, None) => return,
            (None, Some(id)) => match self.create(id, &object, &found, writes) {
                Created::Some => return,
                Created::Nothing => match stuck {
                    Some(stuck) => {
                        self.waiting.insert(name.to_owned());
                        stuck
                    }
                    None => self
                        .held_back(id, &found, chunks)
                        .unwrap_or_else(|| status::of_partitions(id, &found, &self.brokers)),
                },
                Created::Wait(standing) => {
                    self.waiting.insert(name.to_owned());
                    standing
                }
            },
        };
        let Some(entry) = self.topics.get_mut(name) else { return };
        tell(name, entry, &found, standing, plan, now);
    }

    /// Why a topic gets no partitions, or no more of them.
    fn refuse(
        &self,
        name: &str,
        object: &KafkaTopic,
        id: Option<Uuid>,
        found: &[Found],
        chunks: &Chunks,
    ) -> Option<Standing> {
        if self.cluster.is_none() {
            let message =
                format!("there is no KafkaCluster {} in this namespace: create it", object.spec.cluster);
            return no("ClusterNotFound", message);
        }
        let Some(id) = id else {
            return no(
                "InvalidTopicId",
                format!("the annotation {} is no UUID: take it out", names::TOPIC_ID),
            );
        };
        self.refuse_claim(name, object, id, chunks).or_else(|| refuse_spec(object, id, found))
    }

    /// Why the name or the data that a topic claims is not its own.
    fn refuse_claim(&self, name: &str, object: &KafkaTopic, id: Uuid, chunks: &Chunks) -> Option<Standing> {
        let topic = object.topic_name();
        if let Err(error) = check_topic_name(topic) {
            return no("InvalidName", error.to_string());
        }
        if let Some(holder) = self.first(self.claims.get(topic), chunks).filter(|first| *first != name) {
            let message =
                format!("the topic {topic} belongs to the older KafkaTopic {holder}: delete one of the two");
            return no("NameTaken", message);
        }
        if let Some(holder) = self.first(self.ids.get(&id), chunks).filter(|first| *first != name) {
            return no(
                "TopicIdTaken",
                format!("the data of topic id {id} belongs to the KafkaTopic {holder}"),
            );
        }
        let adopts =
            object.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(names::TOPIC_ID));
        let id_text = id.as_hyphenated().to_string();
        if adopts && chunks.objects().values().any(|spec| spec.deleted.contains_key(&id_text)) {
            return no(
                "TopicDeleted",
                format!("the data of topic id {id} was dropped: take the annotation out"),
            );
        }
        None
    }

    /// Whose claim goes first: who has data, then the oldest.
    fn first<'a>(
        &'a self,
        claims: Option<&'a std::collections::BTreeSet<String>>,
        chunks: &Chunks,
    ) -> Option<&'a str> {
        let claims = claims?;
        if claims.len() == 1 {
            return claims.first().map(String::as_str);
        }
        let rank = |name: &&String| {
            let metadata = self.topics.get(*name).map(|entry| &entry.object.metadata);
            let id = self.topics.get(*name).and_then(|entry| entry.object.topic_id());
            let has_data = id.is_some_and(|id| chunks.chunks_of(id).next().is_some());
            let created = metadata.and_then(|m| m.creation_timestamp.as_ref()).map(|Time(time)| *time);
            // An object without a time is so new that nobody stamped it yet.
            (
                !has_data,
                created.unwrap_or(Timestamp::MAX),
                metadata.and_then(|m| m.uid.clone()),
                (*name).clone(),
            )
        };
        claims.iter().min_by_key(rank).map(String::as_str)
    }

    /// Places the partitions that a topic lacks.
    fn create(&self, id: Uuid, object: &KafkaTopic, found: &[Found], writes: &mut Writes<'_>) -> Created {
        let Some(cluster) = &self.cluster else { return Created::Nothing };
        let paused = object.metadata.annotations.as_ref().and_then(|all| all.get(names::PAUSED));
        let from = i32::try_from(found.len()).unwrap_or(i32::MAX);
        let new = from..object.spec.partitions;
        if new.is_empty() || paused.is_some_and(|paused| paused == "true") {
            return Created::Nothing;
        }
        if cluster.restored.is_some() {
            let message = "partitions are made once the newest state of those that there were is put back";
            return Created::Wait(Standing::not_ready("Restoring", message.to_owned()));
        }
        if object.spec.replicas > cluster.brokers {
            let (replicas, brokers) = (object.spec.replicas, cluster.brokers);
            let message = format!(
                "replicas: {replicas}, and the cluster has {brokers} broker(s): use at most {brokers} replicas, or give \
                 it more brokers"
            );
            return Created::Wait(Standing::not_ready("TooFewBrokers", message));
        }
        if self.gathering.deadline().is_some() {
            let (alive, wanted) = (alive(&self.brokers, cluster.ids()), cluster.brokers);
            let message = format!(
                "{alive} of {wanted} brokers are up; the first topics of a cluster wait up to {} s for all of them",
                PATIENCE.as_secs()
            );
            return Created::Wait(Standing::not_ready("WaitingForBrokers", message));
        }
        let count = usize::try_from(new.end.saturating_sub(new.start)).unwrap_or_default();
        let replicas = usize::try_from(object.spec.replicas).unwrap_or_default();
        let placed = match place(count, replicas, &self.willing(), cluster.ids().end, writes.load()) {
            Ok(placed) => placed,
            Err(error) => {
                let message = format!("partitions {from} and above wait for brokers: {error}");
                return Created::Wait(Standing::not_ready("WaitingForBrokers", message));
            }
        };
        let last = found.last().map(|last| {
            let together = found.iter().rev().take_while(|other| other.chunk == last.chunk).count();
            (last.chunk, together)
        });
        let runs = writes.room().assign(new, last);
        // Who adopts data may adopt more than the objects know of: what brokers remember counts (rule 13).
        let adopts =
            object.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(names::TOPIC_ID));
        let mut placed = placed.into_iter();
        for (chunk, run) in runs {
            for partition in run {
                let Some(replicas) = placed.next() else { break };
                let key = PartitionKey { topic_id: id, partition };
                self.begin(key, replicas, chunk, writes);
                if adopts {
                    writes.object(chunk).held.insert(key.to_string(), "adopted".to_owned());
                }
            }
        }
        Created::Some
    }

    /// A new partition, in sync on every broker that was found alive for it.
    fn begin(&self, key: PartitionKey, replicas: Vec<i32>, chunk: u32, writes: &mut Writes<'_>) {
        let alive = |id: &i32| self.brokers.get(id).filter(|broker| broker.liveness == Liveness::Alive);
        let member = |id: &i32| Some(Member { broker: *id, generation: alive(id)?.generation });
        let isr = replicas.iter().filter_map(member).collect();
        let Ok(state) = PartitionState::create(replicas, isr) else { return };
        if let Some((leader, broker)) = state.leader.and_then(|id| Some((id, alive(&id)?))) {
            writes.object(chunk).broker_epochs.insert(leader.to_string(), broker.epoch);
        }
        writes.put(chunk, key, &state);
    }
}

fn no(reason: &'static str, message: String) -> Option<Standing> {
    Some(Standing::not_ready(reason, message))
}

/// Why a topic cannot be what its object says.
fn refuse_spec(object: &KafkaTopic, id: Uuid, found: &[Found]) -> Option<Standing> {
    let spec = &object.spec;
    if let Some(lost) = lost_partition(object, id, found) {
        let message = format!(
            "the state of partition {lost} is not there any more: restore the KafkaPartitions from a backup, or delete \
             the topic"
        );
        return no("StateLost", message);
    }
    if let Some(refused) = refuse_replicas(spec.replicas) {
        return Some(refused);
    }
    if let Err(error) = check_topic_config(&spec.config) {
        return no("InvalidConfig", error.to_string());
    }
    if !(1..=MAX_PARTITIONS).contains(&spec.partitions) {
        return no("InvalidPartitions", format!("partitions: {}: 1 to {MAX_PARTITIONS}", spec.partitions));
    }
    let existing = i32::try_from(found.len()).unwrap_or(i32::MAX);
    if spec.partitions < existing {
        let message = format!(
            "the topic has {existing} partitions, and partitions never go: set partitions to {existing}"
        );
        return no("InvalidPartitions", message);
    }
    None
}

/// Why a topic cannot have that many replicas of each partition.
fn refuse_replicas(replicas: i32) -> Option<Standing> {
    let wanted = usize::try_from(replicas).unwrap_or_default();
    if !(1..=MAX_REPLICAS).contains(&wanted) {
        return no("InvalidReplicas", format!("replicas: {replicas}: 1 to {MAX_REPLICAS}"));
    }
    None
}

/// What came of a topic's lack of partitions.
enum Created {
    /// There is none.
    Nothing,
    /// They are about to be written.
    Some,
    /// There is nobody to hold them.
    Wait(Standing),
}

/// The first partition that the topic's status knows and that has no state, or one that cannot be read. Beginning it
/// anew would begin its epochs anew.
fn lost_partition(object: &KafkaTopic, id: Uuid, found: &[Found]) -> Option<i32> {
    let status = object.status.as_ref();
    let same =
        status.and_then(|status| status.topic_id.as_deref()) == Some(id.as_hyphenated().to_string().as_str());
    let known = status.filter(|_| same).map_or(0, |status| status.partitions);
    let last = found.last().map_or(0, |found| found.partition.saturating_add(1));
    let readable = |partition: &i32| {
        let at = found.binary_search_by_key(partition, |found| found.partition).ok();
        at.and_then(|at| found.get(at)).is_some_and(|found| found.state.is_some())
    };
    (0..known.max(last)).find(|partition| !readable(partition))
}

/// Puts the topic's status into the plan if it differs from what stands there, or is on its way there.
fn tell(name: &str, entry: &mut Entry, found: &[Found], standing: Standing, plan: &mut Plan, now: Timestamp) {
    let object = &entry.object;
    let there = entry.sent.as_ref().or(object.status.as_ref());
    let status = status::of_topic(object, found, &standing, there, now);
    if there == Some(&status) {
        return;
    }
    plan.notes.extend(status::note(name, &standing, there));
    let under_replicated_partitions = status.under_replicated_partitions;
    let minor = there
        .is_some_and(|there| KafkaTopicStatus { under_replicated_partitions, ..there.clone() } == status);
    plan.topics.push(StatusWrite {
        name: name.to_owned(),
        uid: object.metadata.uid.clone(),
        status: status.clone(),
        minor,
    });
    entry.sent = Some(status);
}
