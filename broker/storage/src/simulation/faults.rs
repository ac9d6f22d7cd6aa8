//! Which faults a case meets.

use rand::{Rng, rngs::StdRng};
use rustix::io::Errno;

use crate::fs::faulty::{Failure, Op, Plan};

/// How a life of the broker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    Process,
    Machine,
}

pub(super) fn crash(rng: &mut StdRng) -> Crash {
    if rng.random() { Crash::Process } else { Crash::Machine }
}

/// What goes wrong during one operation; mostly nothing.
pub(super) fn plan(rng: &mut StdRng) -> Plan {
    let mut plan = Plan { hiccups: rng.random_bool(0.1), ..Plan::default() };
    match rng.random_range(0..24) {
        0 => plan.dies_after = Some(rng.random_range(0..16)),
        1 | 2 => {
            let op = Op::ALL[rng.random_range(0..Op::ALL.len())];
            plan.failure = Some(Failure { op, after: rng.random_range(0..4), errno: errno(op, rng) });
        }
        3 => plan.full = true,
        _ => {}
    }
    plan
}

/// What the system may answer to such a call.
fn errno(op: Op, rng: &mut StdRng) -> Errno {
    let possible: &[Errno] = match op {
        Op::Open => &[Errno::IO, Errno::MFILE],
        Op::Create => &[Errno::IO, Errno::MFILE, Errno::NOSPC, Errno::DQUOT],
        Op::Read | Op::SetLen | Op::Remove => &[Errno::IO],
        Op::Write | Op::Extend | Op::Sync => &[Errno::IO, Errno::NOSPC],
        Op::Allocate => &[Errno::NOSPC, Errno::OPNOTSUPP],
        Op::Rename => &[Errno::IO, Errno::NOSPC],
    };
    possible[rng.random_range(0..possible.len())]
}
