//! The rules that are broken one at a time, and what is expected to come of it.

use super::profile::{Odds, Profile, Restores};
use super::stages;
use super::world::World;
use crate::rules::Rule;

/// A rule that is kept by who drives the machines, or by the operator: it is broken in the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// One within the machines.
    Machine(Rule),
    /// Changes are tested against what they were decided on (1).
    Swap,
    /// A new disk gets a generation that was never there (3).
    FreshGeneration,
    /// The marker of a clean stop is gone before anything is appended (3).
    MarkerConsumed,
    /// A start with a changed generation reads the store itself (3, 13).
    FreshRead,
    /// Positions of an earlier epoch do not count (4).
    ThisEpoch,
    /// Followers truncate by epochs, not by high watermark (6).
    TruncateEpoch,
    /// What a leader answers was read in the epoch that it was asked in (2, 6).
    ReadsInEpoch,
    /// A truncation is synced before the next fetch (6).
    TruncationSynced,
    /// Only members of ISR and ELR are elected (7).
    CleanOnly,
    /// Only a leader removes members (7).
    LeaderShrinks,
    /// The ELR is emptied once the ISR is large enough (7).
    ElrCleared,
    /// Entries of the ELR carry a generation (7).
    ElrGeneration,
    /// If every member of ISR and ELR lost its generation, the one that goes furthest leads (8).
    Recovery,
    /// A recovery election waits for everyone whom it asks (8).
    RecoveryWaits,
    /// A recovery election changes the new leader's entry alone (8).
    RecoveryKeeps,
    /// The newest state that was seen survives a restart (13).
    Remember,
    /// Etcd is restored while all brokers are stopped (13).
    RestoreStopped,
    /// After a restore nobody acts before the newest state is put back (13).
    RestoreHolds,
    /// After a restore the newest state that any replica remembers counts, not what is stored (13).
    RestoreMemory,
    /// After a restore every replica is waited for (13).
    RestoreAll,
    /// What is put back is in epochs above all that were named (13).
    RestoreAbove,
    /// Who is to leave leaves once all that stay are in sync (14).
    LeavesInSync,
    /// Who leaves the replicas sees it in a higher leader epoch (14).
    LeavesInNewEpoch,
    /// A leader ends a move, not an operator (7, 14).
    LeaderEndsMoves,
}

/// A rule that is switched off, and where that shows.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    pub broken: Broken,
    pub profile: Profile,
    /// How a run begins.
    pub stage: Option<fn(&mut World)>,
    /// It must be found in so many runs.
    pub within: u64,
}

impl Case {
    const fn staged(self, stage: fn(&mut World)) -> Case {
        Case { stage: Some(stage), ..self }
    }
}

/// Three brokers that come back soon, one partition, much to write.
const AIMED: Profile = Profile {
    steps: 400,
    brokers: 3,
    replicas: 3,
    partitions: 1,
    in_sync: 3,
    min_in_sync: 2,
    operators: 1,
    odds: ODDS,
    lost: 0,
    late: 0,
    repeated: 0,
    misjudged: 0,
    retention: false,
    restores: Restores::Stopped,
    prompt: false,
    records: 1,
    writes: 6,
};

const ODDS: Odds = Odds {
    kill: 0,
    power: 0,
    power_all: 0,
    disk: 0,
    stop: 0,
    start: 600,
    pause: 0,
    wake: 200,
    cut: 0,
    api: 0,
    skew: 0,
    rumour: 150,
    operator: 0,
    min: 0,
    moves: 0,
    restore: 0,
    fill: 0,
};

const fn machine(name: &'static str, rule: Rule, profile: Profile) -> Case {
    Case { name, broken: Broken::Machine(rule), profile, stage: None, within: 1000 }
}

const fn case(name: &'static str, broken: Broken, profile: Profile) -> Case {
    Case { name, broken, profile, stage: None, within: 1000 }
}

/// Few steps, in which much happens.
const PROMPT: Profile = Profile {
    steps: 100,
    prompt: true,
    writes: 10,
    odds: Odds { rumour: 500, start: 2000, wake: 500, ..ODDS },
    ..AIMED
};

/// Two of three in sync, with removals and returns.
const CHANGES: Profile = Profile { in_sync: 2, misjudged: 10, late: 15, lost: 5, ..AIMED };

/// Power cuts of all, and some of few.
const POWER: Profile = Profile {
    steps: 500,
    writes: 10,
    odds: Odds { power: 100, power_all: 150, start: 800, ..ODDS },
    ..AIMED
};

/// One replica of two, or two of three, that move all the time.
const MOVES: Profile =
    Profile { replicas: 2, in_sync: 2, min_in_sync: 1, odds: Odds { moves: 500, ..PROMPT.odds }, ..PROMPT };

/// Etcd is restored again and again, while the ISR changes and leaders do; one replica is enough to go on.
const RESTORES: Profile = Profile {
    min_in_sync: 1,
    misjudged: 15,
    prompt: true,
    writes: 10,
    odds: Odds { rumour: 800, kill: 300, pause: 100, start: 800, wake: 400, restore: 500, ..ODDS },
    ..AIMED
};

/// Every rule, each with a kind of run that gives it much to do.
pub const CASES: &[Case] = &[
    case("swap", Broken::Swap, Profile { operators: 2, ..AIMED }),
    machine("keep_proposal", Rule::KeepProposal, Profile { in_sync: 2, ..PROMPT })
        .staged(stages::late_proposal),
    machine("refuse_lower", Rule::RefuseLower, Profile { odds: Odds { rumour: 0, ..PROMPT.odds }, ..PROMPT })
        .staged(stages::late_fetch_of_an_earlier_epoch),
    machine(
        "own_generation",
        Rule::OwnGeneration,
        Profile { odds: Odds { disk: 100, power: 50, ..ODDS }, ..AIMED },
    ),
    machine(
        "fetch_generation",
        Rule::FetchGeneration,
        Profile {
            brokers: 2,
            replicas: 2,
            in_sync: 2,
            min_in_sync: 1,
            records: 3,
            odds: Odds { rumour: 0, ..PROMPT.odds },
            ..PROMPT
        },
    )
    .staged(stages::late_fetch_of_an_earlier_disk),
    case("fresh_generation", Broken::FreshGeneration, Profile { odds: Odds { disk: 100, ..ODDS }, ..AIMED }),
    case(
        "marker_consumed",
        Broken::MarkerConsumed,
        Profile { odds: Odds { stop: 100, power: 100, ..ODDS }, ..AIMED },
    ),
    case(
        "fresh_read",
        Broken::FreshRead,
        Profile {
            brokers: 2,
            replicas: 2,
            in_sync: 2,
            min_in_sync: 1,
            odds: Odds { rumour: 100, ..PROMPT.odds },
            ..PROMPT
        },
    )
    .staged(stages::alone_with_a_record),
    machine("maximal_isr", Rule::MaximalIsr, CHANGES),
    machine("waits_below_min", Rule::WaitsBelowMin, Profile { misjudged: 25, ..CHANGES }),
    machine(
        "waits_for_elr",
        Rule::WaitsForElr,
        Profile { misjudged: 25, odds: Odds { min: 200, ..ODDS }, ..CHANGES },
    ),
    case("this_epoch", Broken::ThisEpoch, Profile { odds: Odds { rumour: 0, ..PROMPT.odds }, ..PROMPT })
        .staged(stages::position_of_an_earlier_epoch),
    machine("tells_from_start", Rule::TellsFromStart, AIMED),
    machine("joins_at_watermark", Rule::JoinsAtWatermark, CHANGES),
    machine("joins_at_start", Rule::JoinsAtStart, Profile { in_sync: 2, ..PROMPT })
        .staged(stages::committed_and_not_known),
    machine("shrink_succeeds", Rule::ShrinkSucceeds, Profile { in_sync: 3, ..CHANGES }),
    case(
        "truncate_epoch",
        Broken::TruncateEpoch,
        Profile { odds: Odds { rumour: 300, kill: 50, ..ODDS }, ..AIMED },
    ),
    case(
        "truncation_synced",
        Broken::TruncationSynced,
        Profile { odds: Odds { rumour: 100, ..PROMPT.odds }, ..PROMPT },
    )
    .staged(stages::power_lost_after_a_cut),
    case(
        "reads_in_epoch",
        Broken::ReadsInEpoch,
        Profile { odds: Odds { rumour: 0, ..PROMPT.odds }, ..PROMPT },
    )
    .staged(stages::answer_read_late),
    case(
        "clean_only",
        Broken::CleanOnly,
        Profile { misjudged: 20, odds: Odds { kill: 100, ..ODDS }, ..CHANGES },
    ),
    case(
        "leader_shrinks",
        Broken::LeaderShrinks,
        Profile {
            brokers: 2,
            replicas: 2,
            in_sync: 2,
            min_in_sync: 1,
            odds: Odds { power: 100, rumour: 200, ..PROMPT.odds },
            ..PROMPT
        },
    )
    .staged(stages::power_lost_unseen),
    case("elr_cleared", Broken::ElrCleared, Profile { misjudged: 25, ..CHANGES }),
    case(
        "elr_generation",
        Broken::ElrGeneration,
        Profile { misjudged: 20, odds: Odds { disk: 100, power: 100, ..ODDS }, ..CHANGES },
    ),
    machine(
        "resumes_waiting",
        Rule::ResumesWaiting,
        Profile { in_sync: 2, odds: Odds { operator: 500, rumour: 200, ..PROMPT.odds }, ..PROMPT },
    )
    .staged(stages::late_proposal_of_a_former_life),
    case("recovery", Broken::Recovery, POWER),
    case("recovery_waits", Broken::RecoveryWaits, POWER),
    case(
        "recovery_keeps",
        Broken::RecoveryKeeps,
        Profile {
            brokers: 2,
            replicas: 2,
            in_sync: 2,
            min_in_sync: 1,
            odds: Odds { rumour: 0, ..PROMPT.odds },
            ..PROMPT
        },
    )
    .staged(stages::disk_lost_before_a_recovery_lands),
    case("remember", Broken::Remember, Profile { odds: Odds { kill: 200, rumour: 300, ..ODDS }, ..AIMED }),
    case(
        "restore_stopped",
        Broken::RestoreStopped,
        Profile { restores: Restores::Running, misjudged: 10, ..RESTORES },
    ),
    case("restore_holds", Broken::RestoreHolds, RESTORES),
    case("restore_memory", Broken::RestoreMemory, RESTORES),
    case("restore_all", Broken::RestoreAll, RESTORES),
    case("restore_above", Broken::RestoreAbove, RESTORES),
    machine("report_freezes", Rule::ReportFreezes, Profile { restores: Restores::Running, ..RESTORES }),
    case("leaves_in_sync", Broken::LeavesInSync, MOVES),
    case(
        "leaves_in_new_epoch",
        Broken::LeavesInNewEpoch,
        Profile { odds: Odds { rumour: 0, moves: 600, cut: 100, wake: 200, ..MOVES.odds }, ..MOVES },
    )
    .staged(stages::late_fetch_of_who_left),
    case(
        "leader_ends_moves",
        Broken::LeaderEndsMoves,
        Profile {
            brokers: 2,
            replicas: 1,
            in_sync: 1,
            odds: Odds { rumour: 0, start: 500, ..PROMPT.odds },
            ..MOVES
        },
    )
    .staged(stages::power_lost_after_a_hand_over),
];
