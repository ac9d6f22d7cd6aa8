//! Fuzz targets: each takes any bytes as a disk or a peer might give them, and must neither panic nor reserve memory
//! out of proportion. `tests/fuzz/run` builds this with libFuzzer; without it, the program runs the files it is given,
//! and the tests run each target over its seeds and what is nearly like them.

#![cfg_attr(feature = "libfuzzer", no_main)]

mod files;
mod logs;
mod memory;
#[cfg(test)]
#[path = "../../../broker/storage/tests/support/mutate.rs"]
mod mutate;
mod repair;
mod samples;
mod targets;
#[cfg(test)]
mod tests;
mod wire;

use targets::{TARGETS, Target};

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting;

/// Names the target, for libFuzzer has the command line.
const VARIABLE: &str = "MILENA_FUZZ_TARGET";

fn chosen() -> Option<&'static Target> {
    let name = std::env::var(VARIABLE).ok()?;
    TARGETS.iter().find(|target| target.name == name)
}

/// Does what is asked for other than fuzzing: lists the targets, or writes a target's seeds into the folder of
/// `MILENA_FUZZ_SEEDS`. Answers whether there was such a thing to do.
fn told() -> bool {
    let Some(target) = chosen() else {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        return true;
    };
    let Some(folder) = std::env::var_os("MILENA_FUZZ_SEEDS") else { return false };
    let folder = std::path::Path::new(&folder);
    for (number, seed) in (target.seeds)().into_iter().enumerate() {
        if let Err(error) = std::fs::write(folder.join(format!("seed-{number:03}")), seed) {
            eprintln!("cannot write a seed into {}: {error}", folder.display());
            std::process::exit(1);
        }
    }
    true
}

#[cfg(feature = "libfuzzer")]
#[allow(unsafe_code, missing_docs)]
mod libfuzzer {
    use std::sync::OnceLock;

    static TARGET: OnceLock<&'static super::Target> = OnceLock::new();

    libfuzzer_sys::fuzz_target!(
        init: {
            if super::told() {
                std::process::exit(0);
            }
        },
        |data: &[u8]| {
            let Some(target) = TARGET.get().copied().or_else(super::chosen) else { return };
            target.once(TARGET.get_or_init(|| target).limit(data));
        }
    );
}

#[cfg(not(feature = "libfuzzer"))]
fn main() {
    if told() {
        return;
    }
    for path in std::env::args_os().skip(1) {
        match (std::fs::read(&path), chosen()) {
            (Ok(bytes), Some(target)) => {
                println!("{}: {} bytes", path.display(), bytes.len());
                target.once(target.limit(&bytes));
            }
            (Err(error), _) => eprintln!("cannot read {}: {error}", path.display()),
            (_, None) => {}
        }
    }
}
