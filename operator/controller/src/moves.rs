//! Partitions that move between brokers: what a topic asks for, by name of the brokers or by number of replicas.
//!
//! Here a move begins or gets another target. The leader ends it, and hands over before that where it leaves itself
//! (see [`crate::election`]).

use std::collections::BTreeSet;

use milena_crds::KafkaTopic;
use milena_crds::moves::Moves;
use milena_crds::names;
use milena_crds::partition::{PartitionKey, PartitionState};
use uuid::Uuid;

use crate::chunks::Found;
use crate::controller::Controller;
use crate::placement::{TooFew, add_replicas, drop_replicas};
use crate::plan::{Answer, Note, Plan};
use crate::status::Standing;
use crate::writes::Writes;

impl Controller {
    /// Moves what the topic's annotation names, then what has another number of replicas than the topic asks for. Answers
    /// why the latter cannot be, if so.
    pub(crate) fn move_partitions(
        &self,
        name: &str,
        id: Uuid,
        object: &KafkaTopic,
        found: &[Found],
        writes: &mut Writes<'_>,
        plan: &mut Plan,
    ) -> Option<Standing> {
        let annotations = object.metadata.annotations.as_ref();
        if annotations.and_then(|all| all.get(names::PAUSED)).is_some_and(|paused| paused == "true") {
            return None;
        }
        let mut asked = BTreeSet::new();
        if let Some(text) = annotations.and_then(|all| all.get(names::REASSIGN)) {
            asked = self.move_as_asked(name, id, object, text, found, writes, plan);
        }
        self.change_replicas(id, object, found, &asked, writes).err().map(|error| {
            let message = format!(
                "replicas: {}, and {error}: use fewer replicas, or give the cluster more brokers",
                object.spec.replicas
            );
            Standing::not_ready("TooFewBrokers", message)
        })
    }

    /// Begins the moves of an annotation, and says so once all of them have begun: then the annotation may go.
    #[allow(clippy::too_many_arguments)]
    fn move_as_asked(
        &self,
        name: &str,
        id: Uuid,
        object: &KafkaTopic,
        text: &str,
        found: &[Found],
        writes: &mut Writes<'_>,
        plan: &mut Plan,
    ) -> BTreeSet<i32> {
        let mut asked = BTreeSet::new();
        let mut done = true;
        let mut complain = |message: String| {
            let topic = Some(name.to_owned());
            plan.notes.push(Note { topic, warning: true, reason: "ReassignmentRefused", message });
        };
        match text.parse::<Moves>() {
            Err(error) => complain(format!("the annotation {} says {error}", names::REASSIGN)),
            Ok(moves) => {
                for (partition, target) in &moves.0 {
                    match self.begin_move(id, *partition, target, found, writes) {
                        Ok(true) => done = false,
                        Ok(false) => {}
                        Err(why) => {
                            complain(format!("partition {partition} cannot move to {target:?}: {why}"))
                        }
                    }
                    asked.insert(*partition);
                }
            }
        }
        if done {
            plan.answers.push(Answer {
                topic: name.to_owned(),
                uid: object.metadata.uid.clone(),
                annotation: names::REASSIGN,
                value: text.to_owned(),
            });
        }
        asked
    }

    /// Begins one move; `false` if it has begun already, or has come to its end.
    fn begin_move(
        &self,
        topic_id: Uuid,
        partition: i32,
        target: &[i32],
        found: &[Found],
        writes: &mut Writes<'_>,
    ) -> Result<bool, String> {
        let there = found.iter().find(|found| found.partition == partition);
        let there = there.ok_or_else(|| "there is no such partition".to_owned())?;
        let state = there.state.as_ref().ok_or_else(|| "its state cannot be read".to_owned())?;
        if state.target() == target {
            return Ok(false);
        }
        let known = state.replicas.as_slice();
        if let Some(other) = target.iter().find(|id| !known.contains(id) && !self.brokers.contains_key(id)) {
            return Err(format!("there is no broker {other}"));
        }
        reassign(there, PartitionKey { topic_id, partition }, state, target, writes)
    }

    /// Gives every partition as many replicas as the topic asks for.
    fn change_replicas(
        &self,
        topic_id: Uuid,
        object: &KafkaTopic,
        found: &[Found],
        asked: &BTreeSet<i32>,
        writes: &mut Writes<'_>,
    ) -> Result<(), TooFew> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let wanted = usize::try_from(object.spec.replicas).unwrap_or_default();
        let brokers = self.willing();
        for there in found.iter().filter(|found| !asked.contains(&found.partition)) {
            let Some(state) = &there.state else { continue };
            let target = state.target();
            if target.len() == wanted {
                continue;
            }
            let next = if target.len() < wanted {
                add_replicas(&target, wanted, &brokers, cluster.ids(), writes.load())?
            } else {
                drop_replicas(state, wanted, &brokers, writes.load())
            };
            let key = PartitionKey { topic_id, partition: there.partition };
            // What cannot be now is tried again when the partition's state has changed.
            let _ = reassign(there, key, state, &next, writes);
        }
        Ok(())
    }
}

/// Puts the state of a partition that begins to move in the place of the one before. One that this plan has changed
/// already has its turn in the next.
pub(crate) fn reassign(
    there: &Found,
    key: PartitionKey,
    state: &PartitionState,
    target: &[i32],
    writes: &mut Writes<'_>,
) -> Result<bool, String> {
    let next = state.reassign(target).map_err(|error| error.to_string())?;
    if writes.has_changed(there.chunk, key) || writes.is_held(there.chunk, key) {
        return Ok(true);
    }
    writes.load().remove(&state.target());
    writes.load().add(target);
    writes.put(there.chunk, key, &next);
    Ok(true)
}
