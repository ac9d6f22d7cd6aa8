//! Without libFuzzer: every target on its seeds, and on what is nearly like them.

use std::time::{Duration, Instant};

use crate::{mutate, targets::TARGETS};

/// So long each target is tried at most.
const TIME: Duration = Duration::from_secs(2);

#[test]
fn seeds_and_what_is_nearly_like_them_are_survived() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has nothing to begin with", target.name);
        for seed in &seeds {
            assert_eq!(target.limit(seed).len(), seed.len(), "a seed of {} is too long", target.name);
            target.once(seed);
        }
        let begun = Instant::now();
        mutate::cases(64, 1024, |random| {
            if begun.elapsed() < TIME {
                let seed = &seeds[random.below(seeds.len())];
                target.once(target.limit(&mutate::mutate(random, seed)));
            }
        });
    }
}

/// What the seeds of a target lead to is what it is for, not the first check that fails.
#[test]
fn seeds_are_understood() {
    let of = |name: &str| {
        let target = TARGETS.iter().find(|target| target.name == name).unwrap();
        (target.seeds)()
    };
    assert!(of("request").len() > 200, "every version of every request");
    assert!(of("batch").len() > 15 && of("message_set").len() > 7, "every codec");
    let files = crate::files::split(&of("log")[0][1..]).len();
    assert!(files >= 10, "a log with {files} kinds of files");
    let files = crate::files::split(&of("directory")[0]).len();
    assert!(files >= 14, "a directory with {files} files");
}
