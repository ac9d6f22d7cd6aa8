//! What people see of a topic.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use milena_crds::KafkaTopic;
use milena_crds::partition::{PartitionKey, PartitionState};
use milena_crds::topic::KafkaTopicStatus;
use uuid::Uuid;

use crate::broker::Brokers;
use crate::chunks::Found;
use crate::election::explain;
use crate::plan::Note;

/// Type of the condition that every object has.
const READY: &str = "Ready";

/// How a topic stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    ready: bool,
    reason: &'static str,
    message: String,
}

impl Standing {
    pub(crate) fn not_ready(reason: &'static str, message: String) -> Self {
        Self { ready: false, reason, message }
    }
}

/// How a topic stands that has all its partitions.
pub(crate) fn of_partitions(topic_id: Uuid, found: &[Found], brokers: &Brokers) -> Standing {
    let offline = |found: &&Found| found.state.as_ref().is_none_or(|state| state.leader.is_none());
    let count = found.iter().filter(offline).count();
    let Some(first) = found.iter().find(offline) else {
        let message = match found.len() {
            1 => "1 partition has a leader".to_owned(),
            all => format!("{all} partitions have a leader each"),
        };
        return Standing { ready: true, reason: "Ready", message };
    };
    let key = PartitionKey { topic_id, partition: first.partition };
    let why = first.state.as_ref().map(|state| explain(key, state, brokers)).unwrap_or_default();
    let message =
        format!("{count} of {} partitions have no leader; partition {}: {why}", found.len(), first.partition);
    Standing::not_ready("PartitionsOffline", message)
}

/// The whole status. The time of the condition is that of its last change of status.
pub(crate) fn of_topic(
    object: &KafkaTopic,
    found: &[Found],
    standing: &Standing,
    there: Option<&KafkaTopicStatus>,
    now: Timestamp,
) -> KafkaTopicStatus {
    let truth = if standing.ready { "True" } else { "False" };
    let before = there.and_then(ready_condition).filter(|condition| condition.status == truth);
    let condition = Condition {
        type_: READY.to_owned(),
        status: truth.to_owned(),
        reason: standing.reason.to_owned(),
        message: standing.message.clone(),
        observed_generation: object.metadata.generation,
        last_transition_time: before.map_or(Time(now), |condition| condition.last_transition_time.clone()),
    };
    let states = || found.iter().filter_map(|found| found.state.as_ref());
    let count = |wanted: fn(&PartitionState) -> bool| size(states().filter(|state| wanted(state)).count());
    // Partitions whose state was lost stay in the status, so that nobody begins them anew.
    let lost = standing.reason == "StateLost";
    let known = there.filter(|_| lost).map_or(0, |status| status.partitions);
    KafkaTopicStatus {
        conditions: vec![condition],
        observed_generation: object.metadata.generation,
        topic_id: object.topic_id().map(|id| id.as_hyphenated().to_string()),
        topic_name: Some(object.topic_name().to_owned()),
        partitions: size(found.len()).max(known),
        replicas: size(states().map(|state| state.target().len()).min().unwrap_or_default()),
        offline_partitions: count(|state| state.leader.is_none()),
        under_replicated_partitions: count(PartitionState::is_under_replicated),
        reassigning_partitions: count(PartitionState::is_reassigning),
    }
}

/// An Event where a topic stops being ready for a reason of its own. That partitions went offline is told once for
/// all of them.
pub(crate) fn note(name: &str, standing: &Standing, there: Option<&KafkaTopicStatus>) -> Option<Note> {
    let same = there.and_then(ready_condition).is_some_and(|condition| condition.reason == standing.reason);
    let quiet = ["PartitionsOffline", "ClusterNotFound", "WaitingForBrokers"];
    if standing.ready || same || quiet.contains(&standing.reason) {
        return None;
    }
    let message = standing.message.clone();
    Some(Note { topic: Some(name.to_owned()), warning: true, reason: standing.reason, message })
}

fn ready_condition(status: &KafkaTopicStatus) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == READY)
}

fn size(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
