//! A broker: its machine and disk, its process, and the real [`Replica`]s in it. What drives them here is what the
//! broker's shell does around them.

use std::collections::BTreeSet;

use milena_crds::partition::{Generation, Member, PartitionState};

use super::log::{Log, Record};
use super::network::Message;
use super::rules::Broken;
use super::store::key;
use super::world::{Event, World};
use crate::{Acknowledged, Change, Conditions, FollowerFetch, Leader, Learned, LogView, Replica, Source};

/// What a machine keeps.
#[derive(Debug)]
pub struct Disk {
    /// With which disk id, and how many unclean starts.
    pub generation: Generation,
    /// Boot of the machine in which it was last opened.
    pub opened_in: u32,
    /// It was closed in order.
    pub marker: bool,
    pub logs: Vec<Log>,
    /// The newest state that was seen of each partition, and in which generation (rules 10 and 13).
    pub memory: Vec<Option<PartitionState>>,
    pub memory_of: Generation,
    /// High watermarks, as they are written now and then.
    pub high_watermarks: Vec<i64>,
}

#[derive(Debug)]
pub struct Node {
    pub disk: Disk,
    pub boot: u32,
    pub lives: u32,
    pub process: Option<Process>,
    pub paused: bool,
    /// Its disk takes no more records.
    pub full: bool,
    /// How far its clock is off.
    pub skew: i64,
}

#[derive(Debug)]
pub struct Process {
    pub life: u32,
    pub me: Member,
    pub parts: Vec<Part>,
    /// It registered in its Lease.
    pub registered: bool,
    /// The version of the object that its watch has shown last; none before the first list.
    pub seen: Option<usize>,
    /// It has to read the store itself before anything else (rule 3).
    pub needs_read: bool,
    pub draining: bool,
    /// `min.insync.replicas` as this broker knows it.
    pub min_in_sync: usize,
    pub patches: Vec<Patch>,
    pub next_patch: u32,
    /// Partitions of which it remembers a newer state than it is shown.
    pub older: BTreeSet<usize>,
    /// Partitions on which nobody may act, by the version that it was shown last.
    pub held: BTreeSet<usize>,
    /// Partitions of which it knows by an answer what the watch has not shown yet.
    pub ahead: Vec<bool>,
}

/// Changes under way to the API server.
#[derive(Debug)]
pub struct Patch {
    pub id: u32,
    /// When it is given up.
    pub until: i64,
    pub changes: Vec<(usize, Change)>,
}

/// One replica, with what the broker's shell keeps beside it.
#[derive(Debug)]
pub struct Part {
    pub replica: Replica,
    /// What readers are shown.
    pub high_watermark: i64,
    /// Appends with acks=all that wait: offset and record. They end with the leadership.
    pub waiting: Vec<(i64, Record)>,
    /// When the fetch that is under way is given up.
    pub fetching_until: i64,
    /// Where followers were in the last epoch that it led (for the rule that this does not count).
    pub former: Vec<(Member, i64)>,
}

/// `replica.lag.time.max.ms`.
pub const MAX_LAG_MS: i64 = 700;
/// A request is given up after so long.
pub const PATIENCE_MS: i64 = 400;

impl Part {
    pub fn new(replica: Replica) -> Part {
        Part { replica, high_watermark: 0, waiting: Vec::new(), fetching_until: 0, former: Vec::new() }
    }
}

impl Node {
    /// The generation that counts, or would after a start now.
    pub fn generation(&self) -> Generation {
        match &self.process {
            Some(process) => process.me.generation,
            None => self.next_generation(),
        }
    }

    fn next_generation(&self) -> Generation {
        let lost = !self.disk.marker && self.disk.opened_in != self.boot;
        let Generation { disk, unclean_starts } = self.disk.generation;
        Generation { disk, unclean_starts: unclean_starts + u32::from(lost) }
    }

    /// It runs and is not paused.
    pub fn acts(&self) -> bool {
        self.process.is_some() && !self.paused
    }

    pub fn leader(&self, partition: usize) -> Option<&Leader> {
        self.process.as_ref()?.parts[partition].replica.leader()
    }
}

impl World {
    /// Starts a broker's process.
    pub fn start(&mut self, broker: usize) {
        let node = &mut self.nodes[broker];
        let generation = node.next_generation();
        let changed = generation != node.disk.memory_of && self.broken != Some(Broken::FreshRead);
        node.disk.generation = generation;
        node.disk.opened_in = node.boot;
        node.disk.marker &= self.broken == Some(Broken::MarkerConsumed);
        if self.broken == Some(Broken::Remember) {
            node.disk.memory.fill(None);
        }
        node.lives += 1;
        let me = Member { broker: i32::try_from(broker).unwrap(), generation };
        let parts = node.disk.logs.iter().enumerate().map(|(at, log)| {
            let known = match self.broken {
                Some(Broken::Remember) => -1,
                _ => log.latest_epoch(),
            };
            let high_watermark = node.disk.high_watermarks[at].clamp(log.log_start(), log.log_end());
            Part { high_watermark, ..Part::new(Replica::new(me, known, changed)) }
        });
        node.process = Some(Process {
            life: node.lives,
            me,
            parts: parts.collect(),
            registered: false,
            seen: None,
            needs_read: changed,
            draining: false,
            min_in_sync: self.min_in_sync,
            patches: Vec::new(),
            next_patch: 0,
            older: BTreeSet::new(),
            held: BTreeSet::new(),
            ahead: vec![false; self.partitions],
        });
        self.say(|| format!("broker {broker} starts as {me}"));
    }

    /// As it is in the beginning: it has its Lease.
    pub fn start_registered(&mut self, broker: usize) {
        self.start(broker);
        self.process(broker).registered = true;
    }

    /// A broker does something.
    pub fn tick(&mut self, broker: usize) {
        if !self.nodes[broker].acts() {
            return;
        }
        self.renew(broker);
        if self.nodes[broker].process.is_none() {
            return;
        }
        let some: [(u32, Event); 5] = [
            (40, World::look_at_store),
            (60, World::fetch_all),
            (40, World::propose),
            (20, World::write_down),
            (20, World::give_up),
        ];
        for (often, action) in some {
            if self.rng.percent(often) {
                action(self, broker);
            }
        }
    }

    /// Everything that a broker does, once.
    pub fn tick_all(&mut self, broker: usize) {
        self.renew(broker);
        self.give_up(broker);
        self.look_at_store(broker);
        self.propose(broker);
        self.fetch_all(broker);
        self.write_down(broker);
    }

    pub fn part(&mut self, broker: usize, partition: usize) -> &mut Part {
        &mut self.process(broker).parts[partition]
    }

    pub fn process(&mut self, broker: usize) -> &mut Process {
        self.nodes[broker].process.as_mut().unwrap()
    }

    /// Registers in the Lease, renews it, and stops cleanly once nobody needs this broker any more (rule 11).
    fn renew(&mut self, broker: usize) {
        if !self.net.reaches_api(broker) || self.rng.percent(40) {
            return;
        }
        let process = self.nodes[broker].process.as_mut().unwrap();
        if process.seen.is_none() {
            // It says what it remembers before anybody can elect it.
            return;
        }
        let (generation, draining, older) = (process.me.generation, process.draining, process.older.clone());
        let new = !std::mem::replace(&mut process.registered, true);
        self.store.write_lease(broker, |lease| {
            lease.epoch += i64::from(new);
            (lease.generation, lease.draining, lease.released) = (generation, draining, false);
            lease.older = older;
            lease.believed_dead = false;
        });
        if draining && process.parts.iter().all(|part| part.replica.leader().is_none()) {
            self.stop(broker);
        }
    }

    /// The end of a clean stop: everything is synced, then the marker written.
    pub fn stop(&mut self, broker: usize) {
        self.say(|| format!("broker {broker} stops cleanly"));
        let node = &mut self.nodes[broker];
        let process = node.process.take().unwrap();
        for (at, log) in node.disk.logs.iter_mut().enumerate() {
            log.sync();
            node.disk.high_watermarks[at] = process.parts[at].high_watermark;
        }
        node.disk.marker = true;
        self.store.write_lease(broker, |lease| lease.released = true);
    }

    /// Reads what its watch shows: the next version, or a later one.
    fn look_at_store(&mut self, broker: usize) {
        if !self.net.reaches_api(broker) {
            return self.resume(broker);
        }
        let newest = self.store.newest();
        let (now, process) = (self.now, self.nodes[broker].process.as_mut().unwrap());
        if process.needs_read {
            let read = Message::Read { from: broker, life: process.life };
            return self.net.send(read, now, &mut self.rng);
        }
        let version = match process.seen {
            Some(seen) if seen == newest => newest,
            Some(seen) => seen + 1 + self.rng.below(newest - seen),
            // A cache may be old.
            None => newest - self.rng.below((newest - self.store.floor).min(3) + 1),
        };
        self.see(broker, version, Source::Cache);
        if self.rng.percent(50) {
            self.set_min(broker);
        }
    }

    /// The broker learns of the topic's `min.insync.replicas`.
    pub fn set_min(&mut self, broker: usize) {
        let min = self.min_in_sync;
        let process = self.process(broker);
        if std::mem::replace(&mut process.min_in_sync, min) == min {
            return;
        }
        for partition in 0..self.partitions {
            if let Some(leader) = self.part(broker, partition).replica.leader_mut() {
                leader.set_min_in_sync(min);
            }
            self.publish(broker, partition);
        }
    }

    /// The API server is away: a start goes by what the last life saw, if the generation has not changed (rule 10).
    fn resume(&mut self, broker: usize) {
        let node = &self.nodes[broker];
        let process = node.process.as_ref().unwrap();
        if process.seen.is_some() || process.needs_read || node.disk.memory_of != process.me.generation {
            return;
        }
        for partition in 0..node.disk.memory.len() {
            if let Some(state) = self.nodes[broker].disk.memory[partition].clone() {
                self.say(|| format!("broker {broker} goes by what it remembers of {partition}: {state}"));
                self.act_on(broker, partition, &state, Source::Memory);
            }
        }
    }

    /// A version of the object is shown: it is remembered on disk, and what is not older than that is acted on.
    pub fn see(&mut self, broker: usize, version: usize, source: Source) {
        let shown = self.store.version(version);
        let process = self.nodes[broker].process.as_mut().unwrap();
        let late = process.seen > Some(version);
        process.seen = process.seen.max(Some(version));
        let generation = process.me.generation;
        let holds = self.broken != Some(Broken::RestoreHolds);
        let held: BTreeSet<&String> = shown.spec.not_settled(shown.declared.as_deref()).collect();
        for (partition, state) in shown.states.iter().enumerate() {
            let node = &mut self.nodes[broker];
            let process = node.process.as_mut().unwrap();
            let disk = &mut node.disk;
            let older = disk.memory[partition].as_ref().is_some_and(|known| !state.is_successor_of(known));
            let skip = older && (late || process.ahead[partition]) || late && !held.is_empty();
            if skip && self.broken != Some(Broken::Remember) {
                continue;
            }
            process.ahead[partition] = false;
            let held = holds && held.contains(&key(partition));
            if held || older && self.broken != Some(Broken::Remember) {
                if held {
                    process.held.insert(partition);
                } else {
                    process.older.insert(partition);
                }
                process.parts[partition].replica.suspend();
                self.publish(broker, partition);
                continue;
            }
            process.older.remove(&partition);
            process.held.remove(&partition);
            disk.memory[partition] = Some(state.clone());
            disk.memory_of = generation;
            self.act_on(broker, partition, state, source);
            self.drop_what_moved(broker, partition);
        }
        let process = self.process(broker);
        process.needs_read = process.parts.iter().any(|part| part.replica.needs_fresh());
    }

    /// Leads, follows or does neither, as the state says.
    fn act_on(&mut self, broker: usize, partition: usize, state: &PartitionState, source: Source) {
        let now_ms = self.now + self.nodes[broker].skew;
        let node = &mut self.nodes[broker];
        let (log, process) = (&mut node.disk.logs[partition], node.process.as_mut().unwrap());
        let part = &mut process.parts[partition];
        let conditions = Conditions {
            log_end: log.log_end(),
            high_watermark: part.high_watermark,
            min_in_sync: process.min_in_sync,
            now_ms,
        };
        if let Some(leader) = part.replica.leader() {
            let members = &leader.state().isr;
            part.former = members.iter().filter_map(|m| Some((*m, leader.follower_end(m.broker)?))).collect();
        }
        let learned = part.replica.learn(state, source, conditions);
        match learned {
            Learned::Refused | Learned::Unchanged { .. } => return self.publish(broker, partition),
            Learned::Leads => {
                part.waiting.clear();
                log.assign_epoch(state.leader_epoch);
                let start = log.log_end();
                if self.broken == Some(Broken::ThisEpoch) {
                    self.count_former_positions(broker, partition);
                }
                self.say(|| format!("broker {broker} leads {partition} from {start} on: {state}"));
                self.ghost.begins_to_lead(broker, partition);
            }
            Learned::Follows => {
                part.waiting.clear();
                part.fetching_until = 0;
                if self.broken == Some(Broken::TruncateEpoch) {
                    log.truncate(part.high_watermark, true);
                }
                self.say(|| format!("broker {broker} follows in {partition}: {state}"));
            }
            Learned::Idles => {
                part.waiting.clear();
                self.say(|| format!("broker {broker} idles in {partition}: {state}"));
            }
        }
        self.publish(broker, partition);
    }

    /// For the rule that positions of an earlier epoch do not count.
    pub fn count_former_positions(&mut self, broker: usize, partition: usize) {
        let node = &mut self.nodes[broker];
        let log = &node.disk.logs[partition];
        let part = &mut node.process.as_mut().unwrap().parts[partition];
        let Some(leader_epoch) = part.replica.leader().map(Leader::epoch) else { return };
        for (replica, offset) in part.former.clone() {
            let offset = offset.min(log.log_end());
            let last_epoch = log.epoch_at(offset - 1).unwrap_or(-1);
            let fetch = FollowerFetch { replica, leader_epoch, offset, last_epoch };
            part.replica.fetch(&fetch, log, self.now);
        }
    }

    /// Shows what has become of the high watermark, and answers who waits for it.
    pub fn publish(&mut self, broker: usize, partition: usize) {
        let part = self.part(broker, partition);
        let Some(leader) = part.replica.leader() else {
            part.waiting.clear();
            return;
        };
        part.high_watermark = leader.high_watermark();
        self.ghost.serves(broker, partition, &self.store, &self.nodes);
        let part = self.part(broker, partition);
        let Some(leader) = part.replica.leader() else { return };
        let mut acknowledged = Vec::new();
        part.waiting.retain(|(offset, record)| {
            let yes = leader.acknowledges(*offset) == Acknowledged::Yes;
            if yes {
                acknowledged.push((*offset, *record));
            }
            !yes
        });
        for (offset, record) in acknowledged {
            self.say(|| format!("broker {broker} acknowledges {} at {offset} of {partition}", record.value));
            self.ghost.acknowledges(broker, partition, offset, record);
        }
    }
}
