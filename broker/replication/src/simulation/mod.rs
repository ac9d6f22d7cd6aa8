//! A simulation of everything that keeps records safe: brokers' state machines, the operator's controller, the API
//! server's object, and the network between them, with random faults. One seed is one run, the same on every machine.
//!
//! `MILENA_SIM_SEED=17 cargo test -p milena-replication simulation::tests::replay -- --nocapture` replays a run in plain
//! words.

mod ghost;
mod heal;
mod log;
mod network;
mod node;
mod operator;
mod profile;
mod rng;
mod rules;
mod store;
#[cfg(test)]
mod tests;
mod world;

use ghost::Violation;
use profile::Profile;
use rng::Rng;
use rules::Broken;
use world::World;

/// How a run ended.
struct Ended {
    found: Option<(Violation, String)>,
    acknowledgements: u64,
    troubles: u32,
    cuts: u64,
}

/// One run: as many steps as the profile says, then healing. It ends with the first violation.
fn run(seed: u64, profile: Option<Profile>, broken: Option<Broken>, trace: bool) -> Ended {
    let rule = match broken {
        Some(Broken::Machine(rule)) => Some(rule),
        // It alone would make up for the other.
        Some(Broken::ElrCleared) => Some(crate::rules::Rule::WaitsForElr),
        _ => None,
    };
    crate::rules::switch_off(rule);
    let mut rng = Rng::new(seed);
    let profile = profile.unwrap_or_else(|| Profile::random(&mut rng));
    let mut world = World::new(profile, rng, broken, trace);
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
    }
}
