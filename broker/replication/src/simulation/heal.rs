//! What happens when the trouble ends: everything is up, messages flow, hints are right.

use milena_crds::partition::Member;

use super::ghost::Violation;
use super::log::Log;
use super::world::World;
use crate::{Leader, LogView};

/// Rounds until all must be well.
const ROUNDS: usize = 100;

impl World {
    /// Ends all trouble, and looks whether all becomes well.
    pub fn heal(&mut self) {
        self.say(|| "then all trouble ends".to_owned());
        self.net.heal();
        self.most_records = 50;
        self.profile.odds = super::profile::Odds::default();
        self.profile.misjudged = 0;
        for broker in 0..self.nodes.len() {
            let node = &mut self.nodes[broker];
            (node.paused, node.full, node.skew) = (false, false, 0);
            if let Some(process) = &mut node.process {
                process.draining = false;
            }
            if self.nodes[broker].process.is_none() {
                self.start(broker);
            }
        }
        for operator in &mut self.operators {
            operator.paused = false;
        }
        for round in 0..ROUNDS {
            if self.ghost.found().is_some() || (round > 20 && self.is_well()) {
                return;
            }
            self.round(round < 20);
        }
        if let Some(what) = self.unwell() {
            self.ghost.find(Violation::NeverHeals, what);
        }
    }

    /// Everybody does everything once, and every message arrives.
    fn round(&mut self, writes: bool) {
        self.now += 100;
        for broker in 0..self.nodes.len() {
            if self.nodes[broker].process.is_some() {
                self.set_min(broker);
                self.tick_all(broker);
            }
            if writes && self.nodes[broker].process.is_some() {
                let partition = self.rng.below(self.partitions);
                self.produce(broker, partition, true);
            }
        }
        for at in 0..self.operators.len() {
            self.operate_all(at);
        }
        while !self.net.is_empty() {
            self.deliver();
            self.ghost.check(&self.store, &self.nodes);
        }
    }

    fn is_well(&self) -> bool {
        self.unwell().is_none()
    }

    /// What is not as it must be, if anything.
    fn unwell(&self) -> Option<String> {
        (0..self.partitions).find_map(|partition| {
            let why = self.unwell_in(partition)?;
            Some(format!("partition {partition}, {}: {why}", self.store.state(partition)))
        })
    }

    fn unwell_in(&self, partition: usize) -> Option<String> {
        let state = self.store.state(partition);
        let leader = state.leader.and_then(|id| usize::try_from(id).ok());
        let leads = |broker: &usize| {
            self.nodes[*broker].leader(partition).map(Leader::epoch) == Some(state.leader_epoch)
        };
        let Some(leader) = leader.filter(leads) else {
            let is_lost = self.waits_for_a_person(partition) && !self.ghost.owes(partition);
            return (!is_lost).then(|| "nobody leads".to_owned());
        };
        let log = &self.nodes[leader].disk.logs[partition];
        if state.is_reassigning() {
            return Some("it moves for ever".to_owned());
        }
        for (broker, node) in self.nodes.iter().enumerate() {
            if !state.replicas.contains(&i32::try_from(broker).unwrap()) {
                if node.disk.logs[partition] != Log::default() {
                    return Some(format!("broker {broker} has a log, which has moved"));
                }
                continue;
            }
            let member = Member { broker: i32::try_from(broker).unwrap(), generation: node.generation() };
            if !state.isr.contains(&member) {
                return Some(format!("broker {broker} is not in the ISR as {member}"));
            }
            let own = &node.disk.logs[partition];
            let from = own.log_start().max(log.log_start());
            let same = (from..log.log_end()).all(|offset| own.record(offset) == log.record(offset));
            // Two may have led in one epoch where somebody went on from a restored state.
            let same = same || self.ghost.is_void(partition);
            if own.log_end() != log.log_end() || !same {
                return Some(format!("the log of broker {broker} is not that of the leader"));
            }
        }
        let process = self.nodes[leader].process.as_ref()?;
        let behind = process.parts[partition].high_watermark < log.log_end();
        behind.then(|| "the high watermark has not reached the end".to_owned())
    }

    /// Nothing can happen any more until a person decides.
    pub fn is_over(&self) -> bool {
        let restored = self.store.truth.iter().any(Option::is_some);
        !restored && (0..self.partitions).all(|partition| self.waits_for_a_person(partition))
    }

    /// Every member of ISR and ELR has lost its generation, and nobody has its disk any more.
    fn waits_for_a_person(&self, partition: usize) -> bool {
        let state = self.store.state(partition);
        let members: Vec<&Member> = state.isr.iter().chain(&state.elr).collect();
        let disk_of = |member: &Member| self.nodes[usize::try_from(member.broker).unwrap()].generation().disk;
        members.iter().all(|member| disk_of(member) != member.generation.disk)
    }
}
