//! What goes wrong with brokers, machines, networks, the API server and operators, and what comes back.

use milena_crds::partition::Generation;

use super::ghost::Before;
use super::log::Log;
use super::rules::Broken;
use super::world::{Event, World};

impl World {
    /// What goes wrong, and what comes back.
    pub fn trouble(&mut self, broker: usize) {
        let odds = self.profile.odds;
        let at = u32::try_from(self.rng.below(10_000)).unwrap();
        let events: [(u32, Event); 17] = [
            (odds.start, World::come_back),
            (odds.wake, World::wake),
            (odds.kill, World::kill),
            (odds.power, World::lose_power),
            (odds.power_all, World::lose_all_power),
            (odds.disk, World::new_disk),
            (odds.stop, World::drain),
            (odds.pause, World::pause),
            (odds.cut, World::cut),
            (odds.api, World::api),
            (odds.skew, World::set_clock),
            (odds.rumour, World::rumour),
            (odds.operator, World::trouble_operator),
            (odds.min, World::change_min),
            (odds.moves, World::ask_for_a_move),
            (odds.restore, World::restore),
            (odds.fill, World::fill),
        ];
        let mut from = 0;
        for (odds, event) in events {
            if (from..from + odds).contains(&at) {
                self.troubles += 1;
                return event(self, broker);
            }
            from += odds;
        }
    }

    /// A rule is off, and a broker can be elected that lacks something: now all others die, which no rule forbids.
    pub fn expose(&mut self, broker: usize) {
        if self.exposed.replace(broker).is_some() {
            return;
        }
        self.say(|| format!("broker {broker} could be elected and lacks something: all others die"));
        (self.net.api_away, self.nodes[broker].paused) = (false, false);
        self.net.cut_off.clear();
        for other in (0..self.nodes.len()).filter(|other| *other != broker) {
            self.end(other);
            self.connection_refused(other);
        }
        if self.nodes[broker].process.is_none() {
            self.start(broker);
        }
    }

    fn come_back(&mut self, broker: usize) {
        let stays_away = self.exposed.is_some_and(|exposed| exposed != broker);
        if self.nodes[broker].process.is_none() && !stays_away {
            self.start(broker);
        }
    }

    fn wake(&mut self, broker: usize) {
        if std::mem::take(&mut self.nodes[broker].paused) {
            self.say(|| format!("broker {broker} wakes up"));
        }
    }

    /// The process is gone; the page cache stays.
    fn kill(&mut self, broker: usize) {
        self.say(|| format!("the process of broker {broker} is killed"));
        self.end(broker);
        if self.rng.percent(60) {
            self.connection_refused(broker);
        }
    }

    pub fn end(&mut self, broker: usize) {
        let node = &mut self.nodes[broker];
        node.process = None;
        node.paused = false;
    }

    pub fn before(&self) -> Before {
        self.ghost.before(&self.store, &self.nodes)
    }

    /// The machine loses power, and some of what was not synced.
    pub fn lose_power(&mut self, broker: usize) {
        let before = self.before();
        self.end(broker);
        let node = &mut self.nodes[broker];
        node.boot += 1;
        node.disk.logs.iter_mut().for_each(|log| log.lose_power(&mut self.rng));
        if !node.disk.marker && self.profile.odds.restore == 0 && self.rng.percent(30) {
            // The disk had not taken it: a broker goes on then. A clean stop has it there.
            node.disk.memory.fill(None);
        }
        let ends: Vec<i64> = node.disk.logs.iter().map(crate::LogView::log_end).collect();
        self.say(|| format!("the machine of broker {broker} loses power; logs end at {ends:?}"));
        self.ghost.excuse(&before, &self.store, &self.nodes);
    }

    fn lose_all_power(&mut self, _: usize) {
        (0..self.nodes.len()).for_each(|broker| self.lose_power(broker));
    }

    /// The broker gets an empty disk.
    pub fn new_disk(&mut self, broker: usize) {
        self.say(|| format!("broker {broker} gets an empty disk"));
        let before = self.before();
        self.end(broker);
        self.disks += u32::from(self.broken != Some(Broken::FreshGeneration));
        let node = &mut self.nodes[broker];
        let disk = match self.broken {
            Some(Broken::FreshGeneration) => node.disk.generation.disk,
            _ => self.disks,
        };
        node.disk.generation = Generation { disk, unclean_starts: 0 };
        (node.disk.opened_in, node.disk.marker) = (node.boot, false);
        node.disk.logs.fill(Log::default());
        node.disk.memory.fill(None);
        node.disk.high_watermarks.fill(0);
        if self.broken != Some(Broken::FreshGeneration) {
            node.disk.memory_of = Generation::default();
        }
        self.ghost.excuse(&before, &self.store, &self.nodes);
    }

    /// A clean stop begins.
    fn drain(&mut self, broker: usize) {
        let patient = self.rng.percent(60);
        let node = &mut self.nodes[broker];
        let Some(process) = node.process.as_mut().filter(|_| !node.paused) else { return };
        if patient {
            process.draining = true;
            self.say(|| format!("broker {broker} drains"));
        } else {
            // Nobody took over in time.
            self.stop(broker);
        }
    }

    fn pause(&mut self, broker: usize) {
        if self.nodes[broker].process.is_some() {
            self.say(|| format!("broker {broker} is paused"));
            self.nodes[broker].paused = true;
        }
    }

    /// Some connection is cut, or all are whole again.
    fn cut(&mut self, broker: usize) {
        if self.rng.percent(40) {
            self.say(|| "all connections are whole".to_owned());
            self.net.cut.clear();
            self.net.cut_off.clear();
        } else if self.rng.percent(40) {
            self.say(|| format!("broker {broker} does not reach the API server"));
            self.net.cut_off.push(broker);
        } else {
            let other = self.rng.below(self.nodes.len());
            self.say(|| format!("brokers {broker} and {other} do not hear each other"));
            self.net.cut.push((broker, other));
        }
    }

    fn api(&mut self, _: usize) {
        self.net.api_away = !self.net.api_away;
        self.say(|| format!("the API server is {}", if self.net.api_away { "away" } else { "back" }));
    }

    fn set_clock(&mut self, broker: usize) {
        let skew = self.rng.within(-5000, 5000);
        self.say(|| format!("the clock of broker {broker} is off by {skew} ms"));
        self.nodes[broker].skew = skew;
    }

    /// An operator is wrongly told that a process is gone.
    fn rumour(&mut self, broker: usize) {
        self.say(|| format!("broker {broker} is taken for dead"));
        self.connection_refused(broker);
    }

    fn trouble_operator(&mut self, _: usize) {
        let at = self.rng.below(self.operators.len());
        match self.rng.below(3) {
            0 => self.start_operator(at),
            1 => {
                self.operators[at].paused = !self.operators[at].paused;
                self.say(|| format!("operator {at}: paused is {}", self.operators[at].paused));
            }
            _ => {
                // A monotonic clock that runs ahead.
                self.operators[at].skew += self.rng.within(0, 1500);
            }
        }
    }

    fn change_min(&mut self, _: usize) {
        self.min_in_sync = 1 + self.rng.below(self.nodes.len());
        self.say(|| format!("min.insync.replicas is {}", self.min_in_sync));
    }

    /// A disk is full, or has room again.
    fn fill(&mut self, broker: usize) {
        let node = &mut self.nodes[broker];
        node.full = !node.full;
        let full = node.full;
        self.say(|| format!("the disk of broker {broker} {}", if full { "is full" } else { "has room" }));
    }
}
