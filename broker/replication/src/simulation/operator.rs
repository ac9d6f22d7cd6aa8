//! An operator: the real [`Controller`] and [`Leases`], with what the operator's shell does around them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use milena_controller::lease::{Leases, Sight, Verdict};
use milena_controller::{Broker, Brokers, ChunkWrite, Controller, Liveness};
use milena_crds::partition::{Member, Offline, PartitionKey, PartitionState};
use milena_crds::{KafkaPartitionsSpec, KafkaTopic, KafkaTopicSpec, names};

use super::moves::{Asked, ended};
use super::network::Message;
use super::rules::Broken;
use super::store::{Lease, TOPIC};
use super::world::World;

/// leaseDurationSeconds, shorter.
const LEASE: Duration = Duration::from_millis(1000);
/// A write is given up after so long.
const PATIENCE_MS: i64 = 500;
/// The number of the one KafkaPartitions object.
const CHUNK: u32 = 0;

#[derive(Debug)]
pub struct Operator {
    pub life: u32,
    pub controller: Controller,
    leases: Leases,
    pub facts: BTreeMap<i32, Lease>,
    /// The version of the object that it knows.
    known: usize,
    /// By broker: which version of its Lease the watch has shown last.
    shown: Vec<usize>,
    /// A write that is under way, and when it is given up.
    writing: Option<(ChunkWrite, i64)>,
    /// Number of the last write.
    writes: u32,
    /// What it knows of the topic's object.
    topic: Option<(usize, Asked)>,
    pub paused: bool,
    /// How far its clock is off.
    pub skew: i64,
}

impl Operator {
    pub fn new(life: u32, brokers: usize) -> Operator {
        let controller = Controller::new("demo");
        Operator {
            life,
            controller,
            leases: Leases::default(),
            facts: BTreeMap::new(),
            known: 0,
            shown: vec![0; brokers],
            writing: None,
            writes: 0,
            topic: None,
            paused: false,
            skew: 0,
        }
    }

    /// The version of the object that it knows.
    pub fn known(&self) -> usize {
        self.known
    }

    fn now(&self, now: i64) -> Duration {
        Duration::from_millis(u64::try_from(now + self.skew).unwrap_or_default())
    }

    fn observe(&mut self, broker: usize, lease: &Lease, live: bool, now: i64) {
        let (id, now) = (i32::try_from(broker).unwrap(), self.now(now));
        let stamp = lease.renewals.to_string();
        let sight = Sight { epoch: lease.epoch, stamp: &stamp, duration: LEASE };
        self.leases.observe(id, &sight, live, now);
        if lease.released {
            self.leases.gone(id, lease.epoch);
        }
        self.facts.insert(id, lease.clone());
    }

    /// Who is alive, as the operator's roster says it.
    fn brokers(&self, now: i64) -> Brokers {
        let verdict = self.leases.judge(self.now(now));
        let liveness = |id: &i32| match &verdict {
            Verdict::Brokers(all) => all.get(id).copied().unwrap_or(Liveness::Dead),
            Verdict::Suspicious(_) => Liveness::Unknown,
        };
        let broker = |(id, lease): (&i32, &Lease)| {
            let Lease { epoch, generation, draining, .. } = *lease;
            let key = |at: &usize| PartitionKey { topic_id: TOPIC, partition: i32::try_from(*at).unwrap() };
            let older = Offline::named(lease.older.iter().map(key).collect());
            (
                *id,
                Broker {
                    liveness: liveness(id),
                    epoch,
                    generation,
                    rack: None,
                    draining,
                    offline: Default::default(),
                    older,
                },
            )
        };
        self.facts.iter().map(broker).collect()
    }

    fn topic(&mut self, min_in_sync: usize, partitions: usize, asked: &Asked) {
        if self.topic.as_ref().is_some_and(|(min, known)| *min == min_in_sync && known == asked) {
            return;
        }
        self.topic = Some((min_in_sync, asked.clone()));
        let spec = KafkaTopicSpec {
            cluster: "demo".to_owned(),
            topic_name: None,
            partitions: i32::try_from(partitions).unwrap(),
            replicas: i32::try_from(asked.replicas).unwrap(),
            config: [("min.insync.replicas".to_owned(), min_in_sync.to_string().into())].into(),
        };
        let mut topic = KafkaTopic::new("demo", spec);
        topic.metadata.uid = Some(TOPIC.to_string());
        if !asked.moves.0.is_empty() {
            topic.metadata.annotations = Some([(names::REASSIGN.to_owned(), asked.moves.to_string())].into());
        }
        self.controller.apply_topic(Arc::new(topic));
    }
}

impl World {
    /// An operator does something.
    pub fn operate(&mut self, at: usize) {
        if self.operators[at].paused || self.net.api_away {
            return;
        }
        match self.rng.below(6) {
            0 => self.watch_object(at),
            1 => {
                let broker = self.rng.below(self.nodes.len());
                self.watch_lease(at, broker);
            }
            2 => self.look_closely(at),
            _ => self.plan(at),
        }
    }

    /// Everything that an operator does, once, with the newest that there is to know.
    pub fn operate_all(&mut self, at: usize) {
        let newest = self.store.newest();
        self.watch_topic(at);
        self.show_object(at, newest);
        for broker in 0..self.nodes.len() {
            self.watch_lease(at, broker);
        }
        self.look_closely(at);
        self.plan(at);
    }

    /// A new operator process begins with lists, which may come from a cache.
    pub fn start_operator(&mut self, at: usize) {
        self.lives += 1;
        self.say(|| format!("operator {at} starts"));
        self.operators[at] = Operator::new(self.lives, self.nodes.len());
        let newest = self.store.newest();
        let version = newest - self.rng.below((newest - self.store.floor).min(2) + 1);
        self.watch_topic(at);
        self.show_object(at, version);
        for broker in 0..self.nodes.len() {
            let lease = self.store.lease(broker).clone();
            self.operators[at].shown[broker] = self.store.leases[broker].len() - 1;
            self.operators[at].observe(broker, &lease, false, self.now);
        }
    }

    fn watch_topic(&mut self, at: usize) {
        self.operators[at].topic(self.min_in_sync, self.partitions, &self.asked);
    }

    fn watch_object(&mut self, at: usize) {
        self.watch_topic(at);
        let (known, newest) = (self.operators[at].known, self.store.newest());
        if known < newest {
            let version = known + 1 + self.rng.below(newest - known);
            self.show_object(at, version);
        }
    }

    fn show_object(&mut self, at: usize, version: usize) {
        let shown = self.store.version(version);
        let mut spec = shown.spec.clone();
        if self.broken == Some(Broken::ElrGeneration) {
            let facts = &self.operators[at].facts;
            for text in spec.partitions.values_mut() {
                let mut state: PartitionState = text.parse().unwrap();
                for member in &mut state.elr {
                    let now = facts.get(&member.broker).map(|lease| lease.generation);
                    member.generation = now.unwrap_or(member.generation);
                }
                *text = state.to_string();
            }
        }
        let cluster = self.cluster_at(version);
        let operator = &mut self.operators[at];
        if version >= operator.known {
            operator.known = version;
            operator.controller.apply_cluster(Some(cluster));
            operator.controller.apply_chunk(CHUNK, spec);
        }
    }

    fn watch_lease(&mut self, at: usize, broker: usize) {
        let operator = &mut self.operators[at];
        let versions = &self.store.leases[broker];
        let newest = versions.len() - 1;
        if operator.shown[broker] < newest {
            operator.shown[broker] = newest - self.rng.below((newest - operator.shown[broker]).min(3));
            let lease = versions[operator.shown[broker]].clone();
            operator.observe(broker, &lease, true, self.now);
        }
    }

    /// Leases have expired together, or a connection was refused: the operator looks for itself.
    fn look_closely(&mut self, at: usize) {
        let now = self.operators[at].now(self.now);
        if let Verdict::Suspicious(brokers) = self.operators[at].leases.judge(now) {
            for id in brokers {
                let broker = usize::try_from(id).unwrap();
                let operator = &mut self.operators[at];
                let epoch = operator.leases.epoch(id).unwrap_or_default();
                match self.nodes[broker].acts() {
                    true => operator.leases.answered(id, now),
                    false => operator.leases.gone(id, epoch),
                }
            }
        }
    }

    /// The connection to a broker's process was reset, and a new one refused.
    pub fn connection_refused(&mut self, broker: usize) {
        let epoch = self.store.lease(broker).epoch;
        for operator in self.operators.iter_mut().filter(|operator| !operator.paused) {
            operator.leases.gone(i32::try_from(broker).unwrap(), epoch);
        }
    }

    /// What the controller wants written is sent, one object at a time.
    fn plan(&mut self, at: usize) {
        let now = self.now;
        let operator = &mut self.operators[at];
        if let Some((_, until)) = &operator.writing {
            if *until <= now {
                self.written(at, None);
            }
            return;
        }
        let brokers = operator.brokers(now);
        for (id, broker) in &brokers {
            operator.controller.apply_broker(*id, Some(broker.clone()));
        }
        self.tell_of_the_dead(at, &brokers);
        let operator = &mut self.operators[at];
        let mut plan = operator.controller.plan(Timestamp::UNIX_EPOCH);
        let (decided_on, life) = (operator.known, operator.life);
        plan.answers.iter().for_each(|answer| self.take_out(answer));
        self.inquire(at);
        self.recall(at);
        if let Some(text) = &plan.restored {
            self.say(|| format!("operator {at}: everything is put back"));
            self.store.undeclare(text);
        }
        let Some(mut write) = plan.chunks.pop().or_else(|| self.meddle(decided_on)) else { return };
        self.bend(decided_on, &mut write.spec, &brokers);
        for (partition, text) in write.spec.partitions.values().enumerate() {
            if self.store.version(decided_on).states[partition].to_string() != *text {
                self.say(|| format!("operator {at} decides for {partition}: {text}"));
            }
        }
        let operator = &mut self.operators[at];
        operator.writing = Some((write.clone(), now + PATIENCE_MS));
        operator.writes += 1;
        let put = Message::Put { from: at, life, id: operator.writes, decided_on, write };
        self.net.send(put, now, &mut self.rng);
    }

    /// Whom it believes dead it names to the leaders, unless the Lease has changed since (rule 7).
    fn tell_of_the_dead(&mut self, at: usize, brokers: &Brokers) {
        for (id, _) in brokers.iter().filter(|(_, broker)| broker.liveness == Liveness::Dead) {
            let broker = usize::try_from(*id).unwrap();
            let seen = self.operators[at].shown[broker] == self.store.leases[broker].len() - 1;
            if seen && !self.store.lease(broker).believed_dead {
                self.say(|| format!("operator {at} tells leaders that broker {broker} is dead"));
                self.store.note_on_lease(broker, |lease| lease.believed_dead = true);
            }
        }
    }

    /// With a rule of moves off there is something to write although nothing is due.
    fn meddle(&self, decided_on: usize) -> Option<ChunkWrite> {
        let version = self.store.version(decided_on);
        let may_end = |state: &PartitionState| {
            state.has_arrived() && state.leader.is_some_and(|leader| !state.removing.contains(&leader))
        };
        let meddles = self.broken == Some(Broken::LeaderEndsMoves) && version.states.iter().any(may_end);
        meddles.then(|| ChunkWrite { chunk: CHUNK, create: false, spec: version.spec.clone() })
    }

    /// Breaks a rule of elections, if that is what this run is about.
    fn bend(&mut self, decided_on: usize, spec: &mut KafkaPartitionsSpec, brokers: &Brokers) {
        let alive = |id: i32| brokers.get(&id).filter(|broker| broker.liveness == Liveness::Alive);
        let min = self.min_in_sync;
        let old = self.store.version(decided_on);
        for (state, (name, text)) in old.states.iter().zip(spec.partitions.iter_mut()) {
            let mut new: PartitionState = text.parse().unwrap();
            if old.spec.held.contains_key(name) && self.broken == Some(Broken::RestoreAbove) && new != *state
            {
                World::one_above(state, &mut new);
                *text = new.to_string();
                continue;
            }
            match (self.broken, new.leader) {
                (Some(Broken::LeaderShrinks), Some(leader)) if new.leader_epoch > state.leader_epoch => {
                    let stays = |m: &&Member| m.broker == leader || alive(m.broker).is_some();
                    let isr: Vec<Member> = new.isr.iter().filter(stays).copied().collect();
                    if let Ok(next) = new.change_isr(new.leader_epoch, isr, min) {
                        new = PartitionState { partition_epoch: new.partition_epoch, ..next };
                    }
                }
                (Some(Broken::RecoveryKeeps), Some(leader))
                    if new.in_isr(leader) != state.in_isr(leader).or(state.in_elr(leader)) =>
                {
                    new.isr.retain(|member| member.broker == leader);
                    new.elr.clear();
                }
                (Some(Broken::LeavesInNewEpoch), Some(_)) if new.replicas != state.replicas => {
                    new.leader_epoch = state.leader_epoch;
                }
                (Some(Broken::LeaderEndsMoves), Some(leader))
                    if new == *state && new.has_arrived() && !new.removing.contains(&leader) =>
                {
                    new = ended(state);
                }
                (Some(Broken::CleanOnly), None) => {
                    let Some(broker) = new.replicas.iter().copied().find(|id| alive(*id).is_some()) else {
                        continue;
                    };
                    let generation = brokers[&broker].generation;
                    new.leader = Some(broker);
                    (new.isr, new.elr) = (vec![Member { broker, generation }], Vec::new());
                    new.leader_epoch = state.leader_epoch + 1;
                    new.partition_epoch = state.partition_epoch + 1;
                }
                _ => continue,
            }
            *text = new.to_string();
        }
    }

    /// An answer to a write arrives; nobody waits any more for one that was given up.
    pub fn is_put(&mut self, at: usize, life: u32, id: u32, version: Option<usize>) {
        let operator = &self.operators[at];
        if operator.life == life && operator.writes == id && operator.writing.is_some() {
            self.written(at, version);
        }
    }

    /// The answer to a write, or none: what is there now is read, and goes back into the controller.
    fn written(&mut self, at: usize, version: Option<usize>) {
        if let Some(version) = version {
            self.operators[at].writing = None;
            return self.show_object(at, version);
        }
        if self.net.api_away {
            return;
        }
        let Some((write, _)) = self.operators[at].writing.take() else { return };
        let newest = self.store.newest();
        self.show_object(at, newest);
        self.operators[at].controller.chunk_failed(&write);
    }
}
