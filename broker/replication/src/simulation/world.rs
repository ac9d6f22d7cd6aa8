//! The world: brokers, operators, the API server and the network between them, one random step after the other.

use milena_crds::partition::{Generation, Member, PartitionState, check_transition};

use super::ghost::{Ghost, Violation};
use super::log::Log;
use super::moves::Asked;
use super::network::{Message, Network};
use super::node::{Disk, MAX_LAG_MS, Node};
use super::operator::Operator;
use super::profile::Profile;
use super::rng::Rng;
use super::rules::Broken;
use super::store::{Lease, Store};
use crate::{Belief, Change};

/// Something that happens to a broker.
pub type Event = fn(&mut World, usize);

pub struct World {
    pub rng: Rng,
    /// Milliseconds since the beginning.
    pub now: i64,
    pub store: Store,
    pub net: Network,
    pub nodes: Vec<Node>,
    pub operators: Vec<Operator>,
    pub ghost: Ghost,
    pub broken: Option<Broken>,
    pub partitions: usize,
    /// `min.insync.replicas` as the topic's object says it.
    pub min_in_sync: usize,
    /// Where partitions are to be, as the topic's object says it.
    pub asked: Asked,
    pub retention: bool,
    /// Most records in an answer to a follower.
    pub most_records: i64,
    /// Number of the last value that was written.
    pub values: u32,
    /// Operators' processes so far.
    pub lives: u32,
    pub profile: Profile,
    pub troubles: u32,
    /// How often somebody went on from a restored state before anybody could tell that it was one.
    pub in_the_dark: u32,
    /// How often the newest state of a partition was put back.
    pub put_back: u32,
    /// The broker that is to be elected although it lacks something.
    pub exposed: Option<usize>,
    trace: bool,
    /// Disks so far.
    pub disks: u32,
}

impl World {
    pub fn new(profile: Profile, mut rng: Rng, broken: Option<Broken>, trace: bool) -> World {
        let Profile { brokers, replicas: count, partitions, in_sync, min_in_sync, operators, .. } = profile;
        let generation =
            |broker| Generation { disk: 0xd0 + u32::try_from(broker).unwrap(), unclean_starts: 0 };
        let all: Vec<i32> = (0..i32::try_from(brokers).unwrap()).collect();
        let states: Vec<PartitionState> = (0..partitions)
            .map(|_| {
                let mut replicas = all.clone();
                replicas.rotate_left(rng.below(brokers));
                replicas.truncate(count);
                // Who is not in sync is preferred as leader: it is elected as soon as it is.
                let isr = replicas.iter().skip(count - in_sync);
                let isr = isr.map(|id| Member { broker: *id, generation: generation(*id) }).collect();
                PartitionState::create(replicas, isr).unwrap()
            })
            .collect();
        let lease = |broker| Lease {
            epoch: 1,
            renewals: 0,
            generation: generation(broker),
            draining: false,
            released: false,
            older: Default::default(),
            believed_dead: false,
        };
        let leases = all.iter().map(|id| lease(*id)).collect();
        let node = |broker: &i32| Node {
            disk: Disk {
                generation: generation(*broker),
                opened_in: 0,
                marker: true,
                logs: vec![Log::default(); partitions],
                memory: vec![None; partitions],
                memory_of: generation(*broker),
                high_watermarks: vec![0; partitions],
            },
            boot: 0,
            lives: 0,
            process: None,
            paused: false,
            full: false,
            skew: 0,
        };
        let (lost, late, repeated) = (profile.lost, profile.late, profile.repeated);
        let mut world = World {
            rng,
            now: 0,
            store: Store::new(&states, leases, broken != Some(Broken::Swap)),
            net: Network { lost, late, repeated, ..Network::default() },
            nodes: all.iter().map(node).collect(),
            operators: (0..operators).map(|_| Operator::new(0, brokers)).collect(),
            ghost: Ghost::new(partitions, brokers, broken.is_none()),
            broken,
            partitions,
            min_in_sync,
            asked: Asked { moves: Default::default(), replicas: count },
            retention: profile.retention,
            most_records: profile.records,
            values: 0,
            lives: 0,
            profile,
            troubles: 0,
            in_the_dark: 0,
            put_back: 0,
            exposed: None,
            trace,
            disks: 0xe0,
        };
        world.say(|| format!("{profile:?}"));
        (0..brokers).for_each(|broker| world.start_registered(broker));
        (0..operators).for_each(|at| world.start_operator(at));
        world
    }

    /// Tells what happens, in a run that somebody looks at.
    pub fn say(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:6} ms  {}", self.now, text());
        }
    }

    /// One step: something that goes on, or something that goes wrong.
    pub fn step(&mut self) {
        self.now += self.rng.within(0, 12);
        let broker = self.rng.below(self.nodes.len());
        match self.rng.below(100) {
            at if self.profile.prompt => self.step_promptly(broker, at),
            0..45 => self.deliver(),
            45..80 => self.tick(broker),
            _ => {
                let at = self.rng.below(self.operators.len());
                self.operate(at);
            }
        }
        if self.rng.percent(self.profile.writes * 3) {
            self.write_to(broker);
        }
        self.trouble(broker);
        if let Some(broker) = self.ghost.check(&self.store, &self.nodes) {
            self.expose(broker);
        }
    }

    /// One step where messages that are not late are there at once: what takes many steps otherwise takes few.
    fn step_promptly(&mut self, broker: usize, at: usize) {
        self.now += 20;
        match at {
            0..70 => self.tick(broker),
            _ => {
                let at = self.rng.below(self.operators.len());
                if !self.operators[at].paused && !self.net.api_away {
                    self.operate_all(at);
                }
            }
        }
        self.deliver_all();
    }

    fn write_to(&mut self, broker: usize) {
        let partition = self.rng.below(self.partitions);
        let all = self.rng.percent(70);
        if self.nodes[broker].acts() {
            self.produce(broker, partition, all);
        }
    }

    /// Some message arrives.
    pub fn deliver(&mut self) {
        let Some(message) = self.net.arrival(self.now, &mut self.rng) else { return };
        let paused = match &message {
            Message::Fetch { to, .. }
            | Message::Tell { leader: to, .. }
            | Message::Cannot { to, .. }
            | Message::Fetched { to, .. }
            | Message::Patched { to, .. }
            | Message::Ask { to, .. }
            | Message::Recall { to, .. }
            | Message::IsRead { to, .. } => self.nodes[*to].paused,
            Message::IsPut { to, .. } | Message::Told { to, .. } | Message::Recalled { to, .. } => {
                self.operators[*to].paused
            }
            _ => false,
        };
        if paused {
            // It waits in the socket.
            return self.net.put_off(message, self.now + 100);
        }
        match message {
            Message::Patch { from, life, id, changes } => {
                let done = self.patch(changes);
                self.net.send(Message::Patched { to: from, life, id, done }, self.now, &mut self.rng);
            }
            Message::Read { from, life } => {
                let version = self.store.newest();
                self.net.send(Message::IsRead { to: from, life, version }, self.now, &mut self.rng);
            }
            Message::Put { from, life, id, decided_on, write } => {
                let before = self.store.newest();
                let version = self.store.put(decided_on, write.spec);
                self.judge_change(before);
                self.net.send(Message::IsPut { to: from, life, id, version }, self.now, &mut self.rng);
            }
            Message::IsPut { to, life, id, version } => self.is_put(to, life, id, version),
            Message::Ask { from, life, to, partition, epoch } => {
                self.is_asked(from, life, to, partition, epoch)
            }
            Message::Told { to, life, broker, partition, report } => {
                self.is_told(to, life, broker, partition, report);
            }
            Message::Recall { from, life, to, partition, asked } => {
                self.is_recalled(from, life, to, partition, asked);
            }
            Message::Recalled { to, life, remembered } => self.hears(to, life, remembered),
            message => self.receive(message),
        }
    }

    /// A leader's changes reach the API server.
    fn patch(&mut self, mut changes: Vec<(usize, Change)>) -> bool {
        if self.broken == Some(Broken::ElrCleared) {
            for (_, change) in &mut changes {
                let Change { old, new } = change;
                let left = |id: &i32| {
                    let generation = old.in_isr(*id).or(old.in_elr(*id))?;
                    let stays = old.in_elr(*id).is_some() || new.isr.len() < self.min_in_sync;
                    (stays && new.in_isr(*id).is_none()).then_some(Member { broker: *id, generation })
                };
                new.elr = new.replicas.iter().filter_map(left).collect();
            }
        }
        if self.broken == Some(Broken::LeavesInNewEpoch) {
            changes.iter_mut().for_each(|(_, change)| change.new.leader_epoch = change.old.leader_epoch);
        }
        let (newest, before) = (self.store.newest(), self.ghost.before(&self.store, &self.nodes));
        let done = self.store.patch(&changes).is_some();
        self.judge_change(newest);
        if done && self.all_crashed() {
            // A member whose removal was on its way no longer counts, even if the change lands after the crash.
            self.ghost.excuse(&before, &self.store, &self.nodes);
        }
        done
    }

    /// Whether of some partition every member of ISR and ELR has another generation by now.
    fn all_crashed(&self) -> bool {
        (0..self.partitions).any(|partition| {
            let state = self.store.state(partition);
            state.isr.iter().chain(&state.elr).all(|member| !self.has_kept(member))
        })
    }

    /// Whether the member's log is of the generation that its entry names.
    pub fn has_kept(&self, member: &Member) -> bool {
        self.nodes[usize::try_from(member.broker).unwrap()].generation() == member.generation
    }

    /// Every change must be one that the rules allow.
    fn judge_change(&mut self, before: usize) {
        self.look_at_restore(before);
        if self.broken.is_some() || self.store.newest() == before {
            return;
        }
        let (old, new) = (self.store.version(before), self.store.version(self.store.newest()));
        for (partition, (old, new)) in old.states.iter().zip(&new.states).enumerate() {
            if old == new || self.is_put_back(before, partition) {
                continue;
            }
            let judged: Vec<_> = (1..=3).map(|min| check_transition(old, new, min)).collect();
            if let (true, Some(Err(why))) = (judged.iter().all(Result::is_err), judged.first()) {
                self.ghost.find(Violation::Illegal, why.to_string());
            }
        }
    }

    /// What a leader believes of another broker: what an operator says, or what it sees for itself.
    pub fn belief(&mut self, broker: usize) -> Belief {
        let wrong = self.rng.percent(self.profile.misjudged);
        let dead = self.store.lease(broker).believed_dead || self.nodes[broker].process.is_none() != wrong;
        let silent = !dead && self.profile.misjudged > 0 && self.rng.percent(50);
        match (dead, silent) {
            (true, _) => Belief::Dead,
            (false, true) => Belief::Silent { patience_ms: MAX_LAG_MS / 7 },
            (false, false) => Belief::Well,
        }
    }
}
