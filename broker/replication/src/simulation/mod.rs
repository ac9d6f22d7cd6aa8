//! A simulation of everything that keeps records safe: brokers' state machines, the operator's controller, the API
//! server's object, and the network between them, with random faults. One seed is one run, the same on every machine.
//!
//! `MILENA_SIM_SEED=17 cargo test -p milena-replication simulation::tests::replay -- --nocapture` replays a run in plain
//! words.

mod exchange;
mod ghost;
mod heal;
mod log;
mod moves;
mod network;
mod node;
mod operator;
mod profile;
mod recovery;
mod restore;
mod rng;
mod rules;
mod stages;
mod store;
#[cfg(test)]
mod tests;
mod trouble;
mod world;

use ghost::Violation;
use profile::Profile;
use rng::Rng;
use rules::{Broken, Case};
use world::World;

/// How a run ended.
struct Ended {
    found: Option<(Violation, String)>,
    acknowledgements: u64,
    troubles: u32,
    cuts: u64,
    /// How often the newest state of a partition was put back after etcd was restored, and how often somebody went on from one before anybody could tell that it was one.
    put_back: u32,
    in_the_dark: u32,
}

/// One run: as many steps as the profile says, then healing. It ends with the first violation.
fn run(seed: u64, case: Option<&Case>, trace: bool) -> Ended {
    let broken = case.map(|case| case.broken);
    let rule = match broken {
        Some(Broken::Machine(rule)) => Some(rule),
        // It alone would make up for the other.
        Some(Broken::ElrCleared) => Some(crate::rules::Rule::WaitsForElr),
        _ => None,
    };
    crate::rules::switch_off(rule);
    let mut rng = Rng::new(seed);
    let profile = case.map_or_else(|| Profile::random(&mut rng), |case| case.profile);
    let mut world = World::new(profile, rng, broken, trace);
    if let Some(stage) = case.and_then(|case| case.stage) {
        stage(&mut world);
    }
    for _ in 0..profile.steps {
        world.step();
        if world.ghost.found().is_some() || world.is_over() {
            break;
        }
    }
    if world.ghost.found().is_none() {
        world.heal();
    }
    crate::rules::switch_off(None);
    Ended {
        found: world.ghost.found().cloned(),
        acknowledgements: world.ghost.acknowledgements,
        troubles: world.troubles,
        cuts: world.ghost.cuts,
        put_back: world.put_back,
        in_the_dark: world.in_the_dark,
    }
}
