//! Partitions that move: somebody asks for other replicas, operators begin, leaders end it, and who has left drops its
//! log.

use milena_controller::Answer;
use milena_crds::moves::Moves;
use milena_crds::partition::{Member, PartitionState};

use super::log::Log;
use super::node::Part;
use super::rules::Broken;
use super::world::World;
use crate::{Change, Replica};

/// What is asked of the topic: by annotation and in its spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub moves: Moves,
    pub replicas: usize,
}

impl World {
    /// A person, or a tool, wants a partition elsewhere, or more or fewer replicas of all.
    pub fn ask_for_a_move(&mut self, _: usize) {
        let brokers = self.nodes.len();
        if self.rng.percent(20) {
            self.asked.replicas = 1 + self.rng.below(brokers);
            self.say(|| format!("{} replicas are asked for", self.asked.replicas));
            return;
        }
        let mut ids: Vec<i32> = (0..i32::try_from(brokers).unwrap()).collect();
        for at in 0..brokers {
            ids.swap(at, at + self.rng.below(brokers - at));
        }
        ids.truncate(self.asked.replicas);
        let partition = i32::try_from(self.rng.below(self.partitions)).unwrap();
        self.say(|| format!("partition {partition} is to move to {ids:?}"));
        self.asked.moves.0.insert(partition, ids);
    }

    /// An operator has carried out what was asked; what was asked since stays.
    pub fn take_out(&mut self, answer: &Answer) {
        if self.asked.moves.to_string() == answer.value {
            self.asked.moves.0.clear();
        }
    }

    /// A broker acts on a state that has no replica on it: its log goes.
    pub fn drop_what_moved(&mut self, broker: usize, partition: usize) {
        let node = &mut self.nodes[broker];
        let process = node.process.as_mut().unwrap();
        let (me, part) = (process.me, &mut process.parts[partition]);
        let elsewhere = |state: &PartitionState| !state.replicas.contains(&me.broker);
        if node.disk.logs[partition] == Log::default() || !part.replica.state().is_some_and(elsewhere) {
            return;
        }
        *part = Part::new(Replica::new(me, -1, false));
        node.disk.logs[partition] = Log::default();
        node.disk.high_watermarks[partition] = 0;
        self.say(|| format!("broker {broker} drops the log of {partition}, which has moved"));
    }

    /// Breaks a rule of moves, if that is what this run is about: whoever is to stay is taken for in sync, and the others
    /// leave.
    pub fn leave_early(&self, broker: usize, partition: usize) -> Option<Change> {
        let leader = self.nodes[broker].leader(partition)?;
        let old = leader.state().clone();
        let target = old.target();
        let me = i32::try_from(broker).unwrap();
        if self.broken != Some(Broken::LeavesInSync) || !old.is_reassigning() || !target.contains(&me) {
            return None;
        }
        let mut new = ended(&old);
        let generation = |id: i32| self.nodes[usize::try_from(id).unwrap()].generation();
        new.isr = target.iter().map(|id| Member { broker: *id, generation: generation(*id) }).collect();
        Some(Change { old, new })
    }
}

/// The end of a move, whoever is in sync.
pub fn ended(old: &PartitionState) -> PartitionState {
    let mut new = old.clone();
    new.replicas = old.target();
    new.isr.retain(|member| new.replicas.contains(&member.broker));
    new.elr.clear();
    (new.adding, new.removing) = (Vec::new(), Vec::new());
    new.leader_epoch += 1;
    new.partition_epoch += 1;
    new
}
