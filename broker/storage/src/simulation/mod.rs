//! The whole of storage on a disk that fails ([`crate::fs::faulty`]), against a list of what it acknowledged.
//!
//! A case is a seed: it draws a configuration, operations, faults and crashes. A failure prints the seed. To repeat it:
//! `MILENA_FAULT_SEED=SEED cargo test -p milena-storage --lib simulation`; `MILENA_FAULT_CASES=N` runs N fresh seeds.
#![allow(clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::cast_possible_wrap)]

mod batches;
mod check;
mod expect;
mod faults;
mod world;

use world::World;

/// Seeds that are the same in every run, and such that are not.
const FIXED: u64 = 100;
const FRESH: u64 = 100;
/// Seeds that found something.
const FOUND: [u64; 6] = [
    // What was refused with a full disk came back at a power cut.
    9_692_046_896_646,
    // What a full disk let through of an index stayed in its file when it was truncated.
    7_257_226_176_361,
    // A leader epoch that a full disk kept out of the checkpoint was forgotten once its segment was not the last one.
    9_576_186_945_163,
    13_530_973_142_921,
    8_408_891_638_095,
    // A power cut took one byte of a leader epoch, which no checksum covers.
    16_252_534_613_440,
];
/// Operations of a case.
const STEPS: usize = 80;

/// Prints how to repeat a case that panics.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the case of MILENA_FAULT_SEED={} failed", self.0);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Runs a case with many seeds.
fn with_seeds(case: impl Fn(u64)) {
    let told = |seed| {
        let _told = Told(seed);
        case(seed);
    };
    if let Some(seed) = number("MILENA_FAULT_SEED") {
        return told(seed);
    }
    let cases = number("MILENA_FAULT_CASES");
    if cases.is_none() {
        (0..FIXED).chain(FOUND).for_each(told);
    }
    for _ in 0..cases.unwrap_or(FRESH) {
        told(rand::random::<u64>() >> 20);
    }
}

#[test]
fn what_was_acknowledged_survives_every_fault() {
    with_seeds(|seed| {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.end();
    });
}
