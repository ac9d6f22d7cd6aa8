//! Partitions moved between brokers on behalf of clients: checked here, decided by the control plane, and answered once
//! this broker sees that it has begun.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use kafka_protocol::ResponseError;
use milena_crds::{
    moves::Moves,
    partition::{MAX_REPLICAS, PartitionState},
};

use crate::{
    cluster::{ClusterImage, Topic},
    coordination::Refusal,
    node::{Broker, View},
};

/// Has partitions of a topic moved: to the replicas that are named, or, where none are, back to where they were before
/// they began to move. `may_change`: the number of replicas may change. Answers the partitions that do not move, and
/// why.
///
/// # Errors
/// Why none moves: the control plane's refusal, or REQUEST_TIMED_OUT.
pub async fn reassign(
    broker: &Broker,
    name: &str,
    asked: BTreeMap<i32, Option<Vec<i32>>>,
    may_change: bool,
    wait: Duration,
) -> Result<BTreeMap<i32, Refusal>, Refusal> {
    let view = broker.view();
    let Some(topic) = view.image.topic(name) else {
        let message = format!("There is no topic '{name}'.");
        return Err(Refusal::new(ResponseError::UnknownTopicOrPartition, message));
    };
    let mut refused = BTreeMap::new();
    let mut moves = BTreeMap::new();
    for (index, replicas) in asked {
        match check(&view.image, topic, index, replicas, may_change) {
            Ok(target) => {
                moves.insert(index, target);
            }
            Err(refusal) => {
                refused.insert(index, refusal);
            }
        }
    }
    let replicas = new_count(topic, &mut moves, &mut refused);
    moves.retain(|index, target| {
        topic.partition(*index).is_some_and(|state| state.target() != *target || replicas.is_some())
    });
    if moves.is_empty() {
        return Ok(refused);
    }
    broker.coordination.reassign(name, Moves(moves.clone()), replicas).await?;
    let id = topic.id;
    let begun = |view: &View| {
        let topic = view.image.topic_by_id(id)?;
        let has = |(index, target): (&i32, &Vec<i32>)| {
            topic.partition(*index).is_some_and(|state| state.target() == *target)
        };
        moves.iter().all(has).then_some(())
    };
    broker.wait_for(wait, begun).await.ok_or_else(|| {
        let message = format!(
            "The move of partitions of '{name}' is asked for and has not begun after {wait:?}: look at the events of \
             its KafkaTopic and at the operator's log."
        );
        Refusal::new(ResponseError::RequestTimedOut, message)
    })?;
    Ok(refused)
}

/// The replicas that a partition is to have.
fn check(
    image: &ClusterImage,
    topic: &Topic,
    index: i32,
    replicas: Option<Vec<i32>>,
    may_change: bool,
) -> Result<Vec<i32>, Refusal> {
    let state = topic.partition(index).ok_or_else(|| {
        let message = format!("Topic '{}' has no partition {index}.", topic.name);
        Refusal::new(ResponseError::UnknownTopicOrPartition, message)
    })?;
    let Some(replicas) = replicas else {
        if state.is_reassigning() {
            return Ok(state.original());
        }
        let message = format!("Partition {index} of '{}' does not move.", topic.name);
        return Err(Refusal::new(ResponseError::NoReassignmentInProgress, message));
    };
    check_replicas(image, state, &replicas)
        .map_err(|message| Refusal::new(ResponseError::InvalidReplicaAssignment, message))?;
    let before = state.original().len();
    if !may_change && replicas.len() != before {
        let message = format!(
            "The replication factor of partition {index} is changed from {before} to {}.",
            replicas.len()
        );
        return Err(Refusal::new(ResponseError::InvalidReplicationFactor, message));
    }
    Ok(replicas)
}

fn check_replicas(image: &ClusterImage, state: &PartitionState, replicas: &[i32]) -> Result<(), String> {
    if replicas.is_empty() {
        return Err("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let distinct: BTreeSet<&i32> = replicas.iter().collect();
    if distinct.len() != replicas.len() {
        return Err(format!("The manual partition assignment {replicas:?} names a broker more than once."));
    }
    if state.original().len() + replicas.len() > MAX_REPLICAS {
        return Err(format!("A partition has at most {MAX_REPLICAS} replicas while it moves."));
    }
    match replicas.iter().find(|id| !image.brokers.contains_key(*id)) {
        Some(id) => Err(format!(
            "The manual partition assignment includes broker {id}, but no such broker is registered."
        )),
        None => Ok(()),
    }
}

/// A topic has one number of replicas for all its partitions. The new one, if it changes; moves after which partitions
/// would differ are refused.
fn new_count(
    topic: &Topic,
    moves: &mut BTreeMap<i32, Vec<i32>>,
    refused: &mut BTreeMap<i32, Refusal>,
) -> Option<i32> {
    let count = |index: i32| match moves.get(&index) {
        Some(target) => target.len(),
        None => topic.partition(index).map_or(0, |state| state.target().len()),
    };
    let counts: BTreeSet<usize> = (0..topic.partition_count()).map(count).collect();
    let asked = usize::try_from(topic.replicas).unwrap_or_default();
    if let (1, Some(one)) = (counts.len(), counts.first()) {
        return (*one != asked).then(|| i32::try_from(*one).unwrap_or(i32::MAX));
    }
    moves.retain(|index, target| {
        let fits = target.len() == asked;
        if !fits {
            let message = format!(
                "Partition {index} would have {} replicas, and topic '{}' has {asked} of each partition: name all of \
                 its partitions, with one number of replicas.",
                target.len(),
                topic.name
            );
            refused.insert(*index, Refusal::new(ResponseError::InvalidReplicationFactor, message));
        }
        fits
    });
    None
}
