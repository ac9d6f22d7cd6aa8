//! What may happen in a run, and how often.

use super::rng::Rng;

/// Faults and other events; the number is how often one happens in ten thousand steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    pub kill: u32,
    pub power: u32,
    pub power_all: u32,
    pub disk: u32,
    pub stop: u32,
    pub start: u32,
    pub pause: u32,
    pub wake: u32,
    pub cut: u32,
    pub api: u32,
    pub skew: u32,
    /// Somebody is wrongly believed dead by an operator.
    pub rumour: u32,
    pub operator: u32,
    pub min: u32,
    /// Somebody wants a partition elsewhere.
    pub moves: u32,
    /// A disk is full, or has room again.
    pub fill: u32,
    /// Etcd is restored from a backup.
    pub restore: u32,
}

/// How etcd is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restores {
    /// As it is documented: brokers and operators are stopped, and it is declared before they start.
    #[default]
    Stopped,
    /// While brokers run; it is declared.
    Running,
    /// Nobody says so; brokers are stopped or not.
    Undeclared,
}

/// One kind of run.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    pub steps: usize,
    pub brokers: usize,
    /// Of each partition, in the beginning.
    pub replicas: usize,
    pub partitions: usize,
    /// ISR of the beginning.
    pub in_sync: usize,
    pub min_in_sync: usize,
    pub operators: usize,
    pub odds: Odds,
    /// In a hundred: messages that are lost, late, repeated.
    pub lost: u32,
    pub late: u32,
    pub repeated: u32,
    /// In a hundred: a leader wrongly takes a follower for dead.
    pub misjudged: u32,
    pub retention: bool,
    /// How etcd is restored.
    pub restores: Restores,
    /// Messages that are not late arrive at once.
    pub prompt: bool,
    /// Most records in an answer to a follower.
    pub records: i64,
    /// In a hundred: how often producers write.
    pub writes: u32,
}

impl Profile {
    /// Some of everything: each kind of trouble is in about half of the runs.
    pub fn random(rng: &mut Rng) -> Profile {
        let brokers = [1, 2, 2, 3, 3, 3, 4, 4][rng.below(8)];
        let replicas = if rng.percent(50) { brokers.min(3) } else { 1 + rng.below(brokers) };
        let in_sync = replicas - usize::from(replicas > 1 && rng.percent(25));
        let mut often =
            |most: i64| if rng.percent(50) { u32::try_from(rng.within(1, most)).unwrap() } else { 0 };
        let odds = Odds {
            kill: often(100),
            power: often(60),
            power_all: often(8),
            disk: often(20),
            stop: often(60),
            start: 400,
            pause: often(60),
            wake: 200,
            cut: often(80),
            api: often(60),
            skew: often(60),
            rumour: often(80),
            operator: often(60),
            min: often(60),
            moves: often(150),
            restore: 0,
            fill: often(100),
        };
        let (lost, late, repeated, misjudged) = (often(15), often(20), often(20), often(20));
        let mut profile = Profile {
            steps: 300 + rng.below(500),
            brokers,
            replicas,
            partitions: 1 + rng.below(3),
            in_sync,
            min_in_sync: 1 + rng.below(brokers.min(3)),
            operators: 1 + usize::from(rng.percent(40)),
            odds,
            lost,
            late,
            repeated,
            misjudged,
            retention: rng.percent(40),
            restores: Restores::Stopped,
            prompt: rng.percent(30),
            records: rng.within(1, 5),
            writes: 2 + u32::try_from(rng.below(8)).unwrap(),
        };
        if rng.percent(30) {
            profile.restore(rng);
        }
        profile
    }

    /// Etcd is restored once or twice. Meanwhile no disk is lost with all that its broker remembers: nothing is promised
    /// then.
    fn restore(&mut self, rng: &mut Rng) {
        self.odds.restore = u32::try_from(rng.within(10, 60)).unwrap();
        (self.odds.disk, self.odds.power, self.odds.power_all) = (0, 0, 0);
        self.restores = [Restores::Stopped, Restores::Running, Restores::Undeclared][rng.below(3)];
    }
}
