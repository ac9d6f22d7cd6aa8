//! What must never happen, judged by one who sees everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use milena_crds::partition::{Generation, PartitionState};

use super::log::{Log, Record};
use super::node::Node;
use super::store::Store;
use crate::{Leader, LogView};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    AcknowledgedLost,
    ReadableLost,
    TwoValues,
    WatermarkBack,
    TwoLeaders,
    EpochsDiffer,
    MemberLacks,
    WrongAcknowledged,
    Illegal,
    NeverHeals,
}

impl Violation {
    pub fn text(self) -> &'static str {
        match self {
            Violation::AcknowledgedLost => "an acknowledged record is missing from the current leader's log",
            Violation::ReadableLost => {
                "a record that consumers could read is missing from the current leader's log"
            }
            Violation::TwoValues => "two consumers can read different records at one offset",
            Violation::WatermarkBack => "the high watermark goes back for a consumer",
            Violation::TwoLeaders => "two leaders have records acknowledged in one epoch",
            Violation::EpochsDiffer => "two records of one epoch at one offset",
            Violation::MemberLacks => "a member of ISR or ELR that can be elected lacks a committed record",
            Violation::WrongAcknowledged => {
                "a record is acknowledged that is not the committed one at its offset"
            }
            Violation::Illegal => "a change of a partition's state that the rules do not allow",
            Violation::NeverHeals => {
                "after all trouble has ended there is no leader, or somebody never catches up, although a copy that \
                 the promise covers is there"
            }
        }
    }

    /// The letter in the tables.
    pub fn letter(self) -> char {
        match self {
            Violation::AcknowledgedLost | Violation::WrongAcknowledged => 'L',
            Violation::ReadableLost | Violation::TwoValues | Violation::MemberLacks => 'V',
            Violation::WatermarkBack => 'H',
            Violation::TwoLeaders | Violation::EpochsDiffer | Violation::Illegal => 'X',
            Violation::NeverHeals => 'O',
        }
    }
}

/// What an observer outside has seen of one partition.
#[derive(Debug, Default)]
struct Seen {
    /// By offset: the record that some leader's high watermark has passed; a consumer may have it.
    records: Vec<Option<Record>>,
    /// By offset: a producer was told so.
    acknowledged: Vec<bool>,
    /// By offset: beyond what is promised, for a fault took it from every member of ISR and ELR.
    excused: Vec<bool>,
    /// Records that were lost so before anybody saw them committed: a leader that does not know yet may still
    /// acknowledge them.
    doomed: BTreeSet<(i64, Record)>,
    /// By leader epoch: the highest latest offset that a leader of it has told.
    told: BTreeMap<i32, i64>,
    /// By leader epoch: who has had something acknowledged in it.
    acknowledgers: BTreeMap<i32, usize>,
    /// By leader epoch and offset: what was written.
    written: HashMap<(i32, i64), u32>,
    /// What is below was dropped by retention.
    kept_from: i64,
    /// By broker: how far its records were looked at in its present leadership.
    looked_at: Vec<i64>,
    /// Etcd was restored while brokers ran: the latest offset may have gone back.
    lenient: bool,
    /// Somebody went on from a restored state before anybody could tell that it was one: nothing is promised any more.
    void: bool,
}

#[derive(Debug)]
pub struct Ghost {
    seen: Vec<Seen>,
    /// Judge also what only shows later: may a member lack a committed record?
    strict: bool,
    found: Option<(Violation, String)>,
    pub acknowledgements: u64,
    pub cuts: u64,
}

/// A fault or a change is about to happen: who holds what.
pub struct Before(Vec<Held>);

/// What the members of ISR and ELR have in one partition.
struct Held {
    records: BTreeSet<(i64, Record)>,
    /// Where the longest of their logs ends: retention may have left no record in it.
    end: i64,
}

fn at(offset: i64) -> usize {
    usize::try_from(offset).unwrap()
}

impl Ghost {
    pub fn new(partitions: usize, brokers: usize, strict: bool) -> Ghost {
        let seen = || Seen { looked_at: vec![0; brokers], ..Seen::default() };
        let seen = (0..partitions).map(|_| seen()).collect();
        Ghost { seen, strict, found: None, acknowledgements: 0, cuts: 0 }
    }

    /// Of what is found in one step the gravest counts.
    pub fn find(&mut self, violation: Violation, what: String) {
        if self.found.as_ref().is_none_or(|(known, _)| violation < *known) {
            self.found = Some((violation, what));
        }
    }

    fn find_in(&mut self, partition: usize, violation: Violation, what: String) {
        let seen = &self.seen[partition];
        let excused = seen.void || (seen.lenient && violation == Violation::WatermarkBack);
        if !excused {
            self.find(violation, what);
        }
    }

    /// Etcd was restored while brokers ran.
    pub fn be_lenient(&mut self, partition: usize) {
        self.seen[partition].lenient = true;
    }

    /// Whether nothing is promised any more.
    pub fn is_void(&self, partition: usize) -> bool {
        self.seen[partition].void
    }

    /// Somebody went on from a restored state.
    pub fn promise_nothing(&mut self, partition: usize) {
        self.seen[partition].void = true;
    }

    pub fn found(&self) -> Option<&(Violation, String)> {
        self.found.as_ref()
    }

    pub fn wrote(&mut self, partition: usize, offset: i64, record: Record) {
        let other = self.seen[partition].written.insert((record.epoch, offset), record.value);
        if other.is_some() {
            let what = format!("partition {partition}, offset {offset}, {record:?}");
            self.find_in(partition, Violation::EpochsDiffer, what);
        }
    }

    pub fn copied(&mut self, partition: usize, offset: i64, record: Record) {
        if self.seen[partition].written.get(&(record.epoch, offset)) != Some(&record.value) {
            let what = format!("partition {partition}, offset {offset}, {record:?}");
            self.find_in(partition, Violation::EpochsDiffer, what);
        }
    }

    pub fn dropped(&mut self, partition: usize, log_start: i64) {
        let seen = &mut self.seen[partition];
        seen.kept_from = seen.kept_from.max(log_start);
    }

    pub fn begins_to_lead(&mut self, broker: usize, partition: usize) {
        self.seen[partition].looked_at[broker] = 0;
    }

    /// A follower knows that high watermark, and may serve consumers below it.
    pub fn follows(&mut self, partition: usize, high_watermark: i64, log: &Log) {
        let seen = &self.seen[partition];
        let differs = (log.log_start().max(seen.kept_from)..high_watermark).find(|offset| {
            let known = seen.records.get(at(*offset)).copied().flatten();
            known.is_some_and(|known| Some(known) != log.record(*offset) && !seen.excused[at(*offset)])
        });
        if let Some(offset) = differs {
            let what = format!("partition {partition}, offset {offset}, from a follower");
            self.find_in(partition, Violation::TwoValues, what);
        }
    }

    /// A leader has looked at its high watermark.
    pub fn serves(&mut self, broker: usize, partition: usize, store: &Store, nodes: &[Node]) {
        let Some(leader) = nodes[broker].leader(partition) else { return };
        let log = &nodes[broker].disk.logs[partition];
        let high_watermark = leader.high_watermark();
        let seen = &mut self.seen[partition];
        let from = seen.looked_at[broker].max(log.log_start());
        seen.looked_at[broker] = high_watermark;
        if at(high_watermark) > seen.records.len() {
            seen.records.resize(at(high_watermark), None);
            seen.acknowledged.resize(at(high_watermark), false);
            seen.excused.resize(at(high_watermark), false);
        }
        let mut differs = None;
        for offset in from..high_watermark {
            let Some(record) = log.record(offset) else { continue };
            let index = at(offset);
            let known = seen.records[index];
            if known.is_none() || (known != Some(record) && seen.excused[index]) {
                seen.records[index] = Some(record);
                seen.acknowledged[index] = false;
                seen.excused[index] = known.is_none()
                    && seen.doomed.contains(&(offset, record))
                    && !holds(store.true_state(partition), nodes, partition, offset, record);
            } else if known != Some(record) {
                differs.get_or_insert(format!(
                    "partition {partition}, offset {offset}: broker {broker} has {record:?}, known is {known:?}"
                ));
            }
        }
        if let Some(what) = differs {
            self.find_in(partition, Violation::TwoValues, what);
        }
        if leader.tells_latest() {
            self.tells(partition, leader.epoch(), high_watermark);
        }
    }

    fn tells(&mut self, partition: usize, epoch: i32, latest: i64) {
        let seen = &mut self.seen[partition];
        let back = seen.told.range(..=epoch).find(|(_, told)| **told > latest);
        let back = back
            .map(|(e, told)| format!("partition {partition}: {told} told in epoch {e}, {latest} in {epoch}"));
        let sure =
            seen.excused.iter().position(|excused| *excused).map_or(latest, |at| i64::try_from(at).unwrap());
        let told = seen.told.entry(epoch).or_default();
        *told = (*told).max(latest.min(sure));
        if let Some(what) = back {
            self.find_in(partition, Violation::WatermarkBack, what);
        }
    }

    /// A producer is told that its record is safe.
    pub fn acknowledges(&mut self, broker: usize, partition: usize, offset: i64, record: Record) {
        self.acknowledgements += 1;
        let seen = &mut self.seen[partition];
        let index = at(offset);
        let known = seen.records.get(index).copied().flatten();
        let who = *seen.acknowledgers.entry(record.epoch).or_insert(broker);
        if seen.excused.get(index) == Some(&true) {
            return;
        }
        if known == Some(record) {
            seen.acknowledged[index] = true;
        } else if offset >= seen.kept_from {
            let what = format!("partition {partition}, offset {offset}: {record:?}, known is {known:?}");
            self.find_in(partition, Violation::WrongAcknowledged, what);
        }
        if who != broker {
            let what = format!("partition {partition}, epoch {}: {who} and {broker}", record.epoch);
            self.find_in(partition, Violation::TwoLeaders, what);
        }
    }

    /// Whether something was seen that no fault has taken from every member of ISR and ELR.
    pub fn owes(&self, partition: usize) -> bool {
        let seen = &self.seen[partition];
        let kept = at(seen.kept_from.max(0));
        seen.records
            .iter()
            .zip(&seen.excused)
            .skip(kept)
            .any(|(record, excused)| record.is_some() && !excused)
    }

    /// Who holds what, before something happens.
    pub fn before(&self, store: &Store, nodes: &[Node]) -> Before {
        let held = |partition: usize| {
            let logs = || members_logs(store.true_state(partition), nodes, partition);
            let records = logs().flat_map(|log| {
                (log.log_start()..log.log_end()).map(|offset| (offset, log.record(offset).unwrap()))
            });
            Held { records: records.collect(), end: logs_end(logs()) }
        };
        Before((0..self.seen.len()).map(held).collect())
    }

    /// What faults took from every member of ISR and ELR is beyond the promise.
    pub fn excuse(&mut self, before: &Before, store: &Store, nodes: &[Node]) {
        for (partition, (seen, before)) in self.seen.iter_mut().zip(&before.0).enumerate() {
            let state = store.true_state(partition);
            let end = logs_end(members_logs(state, nodes, partition));
            if end < before.end {
                seen.told.values_mut().for_each(|told| *told = (*told).min(end));
                // What retention had removed there is known, and in no log: other records may come in its place.
                let lost = at(end)..at(before.end).min(seen.records.len());
                for index in lost.filter(|index| seen.records[*index].is_some()) {
                    seen.excused[index] = true;
                }
            }
            for (offset, record) in &before.records {
                if *offset < seen.kept_from || holds(state, nodes, partition, *offset, *record) {
                    continue;
                }
                if seen.records.get(at(*offset)).copied().flatten() == Some(*record) {
                    seen.excused[at(*offset)] = true;
                    seen.told.values_mut().for_each(|told| *told = (*told).min(*offset));
                } else {
                    seen.doomed.insert((*offset, *record));
                }
            }
        }
    }

    /// Judges the world as it is. Where a rule is off, it answers a member that could be elected and lacks something.
    pub fn check(&mut self, store: &Store, nodes: &[Node]) -> Option<usize> {
        let mut lacking = None;
        for partition in 0..self.seen.len() {
            if store.truth[partition].is_some() || self.seen[partition].void {
                continue;
            }
            let state = store.state(partition);
            let leads = |node: &Node| node.leader(partition).map(Leader::epoch) == Some(state.leader_epoch);
            for (broker, node) in nodes.iter().enumerate() {
                let current = state.leader == i32::try_from(broker).ok() && leads(node);
                let electable = has_entry(state, broker, node.generation());
                if !current && !electable {
                    continue;
                }
                let Some((offset, acknowledged)) = self.seen[partition].lacks(&node.disk.logs[partition])
                else {
                    continue;
                };
                lacking = Some(broker);
                if !current && !self.strict {
                    continue;
                }
                let violation = match (current, acknowledged) {
                    (true, true) => Violation::AcknowledgedLost,
                    (true, false) => Violation::ReadableLost,
                    _ => Violation::MemberLacks,
                };
                let what = format!("partition {partition}, offset {offset}, broker {broker}: {state}");
                self.find_in(partition, violation, what);
            }
        }
        lacking
    }
}

impl Seen {
    /// The first offset at which the log lacks what was seen, and whether it was acknowledged.
    fn lacks(&self, log: &Log) -> Option<(i64, bool)> {
        let from = at(self.kept_from.max(0));
        (from..self.records.len()).find_map(|index| {
            let offset = i64::try_from(index).unwrap();
            let seen = self.records[index].filter(|_| !self.excused[index])?;
            (log.record(offset) != Some(seen)).then_some((offset, self.acknowledged[index]))
        })
    }
}

fn has_entry(state: &PartitionState, broker: usize, generation: Generation) -> bool {
    let id = i32::try_from(broker).unwrap();
    state.in_isr(id).or(state.in_elr(id)) == Some(generation)
}

/// Whether a member of ISR or ELR has the record, on the disk that its entry names.
fn holds(state: &PartitionState, nodes: &[Node], partition: usize, offset: i64, record: Record) -> bool {
    members_logs(state, nodes, partition).any(|log| log.record(offset) == Some(record))
}

/// The logs of members of ISR and ELR that still have their disk.
fn members_logs<'a>(
    state: &'a PartitionState,
    nodes: &'a [Node],
    partition: usize,
) -> impl Iterator<Item = &'a Log> {
    state.isr.iter().chain(&state.elr).filter_map(move |member| {
        let node = &nodes[at(i64::from(member.broker))];
        let same = node.disk.generation.disk == member.generation.disk;
        same.then(|| &node.disk.logs[partition])
    })
}

fn logs_end<'a>(logs: impl Iterator<Item = &'a Log>) -> i64 {
    logs.map(|log| log.log_end()).max().unwrap_or(0)
}
