//! Rule 8: after a power cut of all. Once every member of ISR and ELR is known to have changed its generation, each is
//! asked how far its log goes; when all have answered, the one that goes furthest leads with what its disk kept.

use std::collections::BTreeMap;

use milena_crds::partition::{Member, PartitionKey, PartitionState, Report};

use crate::broker::Liveness;
use crate::controller::Controller;
use crate::election::{Ballot, Why};

/// What was heard for one partition.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    /// Leader epoch and partition epoch of the state that the answers are for.
    epochs: (i32, i32),
    /// Who is asked.
    members: Vec<Member>,
    reports: BTreeMap<i32, Report>,
}

/// Recovery elections that wait for answers, by KafkaPartitions object.
pub(crate) type Recoveries = BTreeMap<u32, BTreeMap<PartitionKey, Recovery>>;

impl Recovery {
    /// For a partition in that state.
    pub(crate) fn new(state: &PartitionState) -> Self {
        let members = state.isr.iter().chain(&state.elr).copied().collect();
        Self { epochs: epochs(state), members, reports: BTreeMap::new() }
    }

    /// Whether the answers are for that state.
    pub(crate) fn is_for(&self, state: &PartitionState) -> bool {
        self.epochs == epochs(state)
    }
}

fn epochs(state: &PartitionState) -> (i32, i32) {
    (state.leader_epoch, state.partition_epoch)
}

impl Ballot<'_> {
    /// Whether nobody leads, and every member of ISR and ELR is known to have changed its generation: only what their
    /// disks kept is left.
    pub(crate) fn is_for_recovery(&self) -> bool {
        let mut members = self.state.isr.iter().chain(&self.state.elr).peekable();
        let changed = |member: &Member| {
            self.brokers.get(&member.broker).is_some_and(|broker| broker.generation != member.generation)
        };
        self.state.leader.is_none() && members.peek().is_some() && members.all(changed)
    }

    /// Whether everybody who has to answer can, and somebody still has its disk: it is a matter of moments.
    pub(crate) fn recovers_soon(&self) -> bool {
        let broker = |member: &Member| self.brokers.get(&member.broker);
        let serves = |member: &Member| broker(member).is_some_and(|broker| self.serves(broker));
        let has_disk = |member: &Member| {
            broker(member).is_some_and(|broker| broker.generation.disk == member.generation.disk)
        };
        let members = || self.state.isr.iter().chain(&self.state.elr);
        self.is_for_recovery() && members().all(serves) && members().any(has_disk)
    }

    /// The recovery election, if everybody has answered.
    pub(crate) fn recover(&self, recovery: &Recovery) -> Option<(PartitionState, Why)> {
        let mut refused = self.state.leader_epoch;
        let mut candidates: Vec<(i32, Report)> = Vec::new();
        for member in &recovery.members {
            let (id, known) = (member.broker, self.brokers.get(&member.broker)?);
            let report = recovery.reports.get(&id)?;
            // Who answers in the generation of its entry can be elected in the ordinary way, once its Lease says so.
            if report.generation == member.generation || report.generation != known.generation {
                return None;
            }
            refused = refused.max(report.refuses);
            if report.generation.disk == member.generation.disk {
                candidates.push((id, *report));
            }
        }
        let (elected, report) = furthest(&candidates)?;
        self.brokers.get(&elected).filter(|broker| self.serves(broker))?;
        Some((self.state.recover(elected, report.generation, refused).ok()?, Why::Recovered))
    }
}

/// The first of those that go furthest. Retention drops nothing that was not committed: who ends before another's log
/// begins goes less far, also where nothing is left behind that beginning whose epoch could be told.
fn furthest(candidates: &[(i32, Report)]) -> Option<(i32, Report)> {
    let floor = candidates.iter().map(|(_, report)| report.log_start).max()?;
    let reach = candidates.iter().filter(|(_, report)| report.log_end >= floor);
    reach.copied().rev().max_by_key(|(_, report)| report.end())
}

impl Controller {
    /// Whom to ask how far its log goes: by broker the partitions, each with the leader epoch up to which it is to refuse
    /// everything from then on. To be asked again until nothing is wanted any more.
    #[must_use]
    pub fn wanted_reports(&self) -> BTreeMap<i32, Vec<(PartitionKey, i32)>> {
        let mut wanted: BTreeMap<i32, Vec<(PartitionKey, i32)>> = BTreeMap::new();
        for (key, recovery) in self.recoveries.values().flatten() {
            for member in &recovery.members {
                let broker = self.brokers.get(&member.broker);
                let broker = broker.filter(|broker| broker.liveness == Liveness::Alive);
                let answered = |generation| {
                    recovery.reports.get(&member.broker).is_some_and(|report| report.generation == generation)
                };
                if broker.is_some_and(|broker| !answered(broker.generation)) {
                    wanted.entry(member.broker).or_default().push((*key, recovery.epochs.0));
                }
            }
        }
        wanted
    }

    /// What a broker answered for a partition. One that was asked for another state counts nothing.
    pub fn heard(&mut self, broker: i32, key: PartitionKey, report: Report) {
        for (chunk, recoveries) in &mut self.recoveries {
            let Some(recovery) = recoveries.get_mut(&key) else { continue };
            if report.refuses >= recovery.epochs.0 {
                recovery.reports.insert(broker, report);
                self.dirty_chunks.insert(*chunk);
            }
        }
    }

    /// The recovery election of a partition without a leader, if everybody has answered; else what was heard is kept
    /// in `waiting`.
    pub(crate) fn try_recovery(
        ballot: &Ballot<'_>,
        before: &mut BTreeMap<PartitionKey, Recovery>,
        waiting: &mut BTreeMap<PartitionKey, Recovery>,
    ) -> Option<(PartitionState, Why)> {
        if !ballot.is_for_recovery() {
            return None;
        }
        let known = before.remove(&ballot.key).filter(|recovery| recovery.is_for(ballot.state));
        let recovery = known.unwrap_or_else(|| Recovery::new(ballot.state));
        let elected = ballot.recover(&recovery);
        waiting.insert(ballot.key, recovery);
        elected
    }
}
