//! The simulation at work: nothing is found while all rules are in force, and something without each of them.

use std::collections::BTreeMap;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use super::rules::{CASES, Case};
use super::{Ended, run};

/// Runs of the fixed set, and of the fresh one.
const FIXED: u64 = 600;
const FRESH: u64 = 600;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect(variable))
}

/// Tells the seed of a run that panics.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Running(seed) = self;
            eprintln!(
                "seed {seed}; replay it: MILENA_SIM_SEED={seed} cargo test -p milena-replication \
                 simulation::tests::replay -- --nocapture"
            );
        }
    }
}

fn must_hold(seed: u64) -> Ended {
    let _running = Running(seed);
    let ended = run(seed, None, false);
    if let Some((violation, what)) = &ended.found {
        panic!("{}: {what}", violation.text());
    }
    ended
}

/// Replays one run in plain words: `MILENA_SIM_SEED` says which, `MILENA_SIM_RULE` without which rule.
#[test]
fn replay() {
    let Some(seed) = number("MILENA_SIM_SEED") else { return };
    let rule = env::var("MILENA_SIM_RULE").ok();
    let case = rule.and_then(|rule| CASES.iter().find(|case| case.name == rule));
    let ended = run(seed, case, true);
    match ended.found {
        Some((violation, what)) => println!("=> {}: {what}", violation.text()),
        None => println!("=> nothing is wrong"),
    }
}

#[test]
fn nothing_is_lost_in_the_fixed_runs() {
    let (mut acknowledgements, mut cuts, mut troubles) = (0, 0, 0);
    let (mut put_back, mut in_the_dark) = (0, 0);
    for seed in 0..number("MILENA_SIM_SEEDS").unwrap_or(FIXED) {
        let ended = must_hold(seed);
        acknowledgements += ended.acknowledgements;
        cuts += ended.cuts;
        troubles += u64::from(ended.troubles);
        put_back += ended.put_back;
        in_the_dark += ended.in_the_dark;
    }
    println!("{acknowledgements} records acknowledged, {cuts} logs cut, {troubles} troubles");
    println!(
        "etcd was restored: {put_back} states put back, {in_the_dark} gone on from before anybody could tell"
    );
    // Or the runs would show nothing.
    assert!(acknowledgements > 5000 && cuts > 30 && troubles > 2000);
    assert!(put_back > 100 && in_the_dark < put_back);
}

#[test]
fn nothing_is_lost_in_fresh_runs() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = u64::try_from(now.as_millis()).unwrap();
    for seed in first..first + number("MILENA_SIM_SEEDS").unwrap_or(FRESH) {
        must_hold(seed);
    }
}

/// How many runs it takes until something is found without that rule.
fn runs_until_found(case: &Case, most: u64) -> Option<u64> {
    (0..most).find(|seed| run(*seed, Some(case), false).found.is_some())
}

macro_rules! each_matters {
    ($($rule:ident)*) => {
        $(
            #[test]
            fn $rule() {
                let case = CASES.iter().find(|case| case.name == stringify!($rule)).unwrap();
                let runs = runs_until_found(case, case.within);
                assert!(runs.is_some(), "without this rule nothing is found in {} runs", case.within);
            }
        )*
    };
}

each_matters! {
    swap keep_proposal refuse_lower own_generation fetch_generation fresh_generation marker_consumed fresh_read
    maximal_isr waits_below_min waits_for_elr this_epoch tells_from_start joins_at_watermark joins_at_start
    shrink_succeeds truncate_epoch truncation_synced reads_in_epoch clean_only leader_shrinks elr_cleared elr_generation
    resumes_waiting recovery recovery_waits recovery_keeps remember restore_stopped restore_holds restore_memory
    restore_all restore_above report_freezes leaves_in_sync leaves_in_new_epoch
    leader_ends_moves
}

/// What is found how often in so many runs without each rule, and when first; for who works on the rules.
#[test]
#[ignore = "a survey, to be looked at"]
fn survey() {
    let count = number("MILENA_SIM_SEEDS").unwrap_or(200);
    let only = env::var("MILENA_SIM_RULE").unwrap_or_default();
    for case in CASES.iter().filter(|case| case.name.contains(&only)) {
        // By violation: how often, and in which run first.
        let mut found = BTreeMap::<_, (u64, u64)>::new();
        for seed in 0..count {
            if let Some((violation, _)) = run(seed, Some(case), false).found {
                found.entry(violation).or_insert((0, seed)).0 += 1;
            }
        }
        let letters: String = found.keys().map(|violation| violation.letter()).collect();
        println!("{} {letters}: {found:?}", case.name);
    }
}
