//! Which of the coordination rules are in force: all of them. The simulation switches one off at a time, to show that it
//! would notice; in a build that is no test there is no switch.

/// A rule that is kept within these state machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A proposal whose answer was lost counts until a later partition epoch is seen (1).
    KeepProposal,
    /// Requests and answers of a lower leader epoch are refused (2).
    RefuseLower,
    /// A broker leads only where the ISR names its own generation (3).
    OwnGeneration,
    /// A position counts only for the generation that sent it (3).
    FetchGeneration,
    /// The high watermark waits for proposed members as well as for committed ones (4).
    MaximalIsr,
    /// Below `min.insync.replicas` the high watermark stands still (4).
    WaitsBelowMin,
    /// While somebody is in the ELR the high watermark stands still (4, 7).
    WaitsForElr,
    /// No latest offset is told before the high watermark has reached the log end at which leadership began (4).
    TellsFromStart,
    /// A follower joins only at the high watermark (5).
    JoinsAtWatermark,
    /// A follower joins only at the start of the leader epoch (5).
    JoinsAtStart,
    /// Who is to be removed is waited for until the change has succeeded (5).
    ShrinkSucceeds,
    /// After a restart within an epoch nothing is proposed and every replica is waited for (10).
    ResumesWaiting,
    /// Who says what it remembers, after etcd was restored, refuses all of that from then on (13).
    ReportFreezes,
}

/// Whether a rule is in force.
#[cfg(not(test))]
pub(crate) const fn holds(_: Rule) -> bool {
    true
}

#[cfg(test)]
thread_local! {
    static BROKEN: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
}

/// Whether a rule is in force.
#[cfg(test)]
pub(crate) fn holds(rule: Rule) -> bool {
    BROKEN.get() != Some(rule)
}

/// Switches one rule off in this thread, and all others on.
#[cfg(test)]
pub(crate) fn switch_off(rule: Option<Rule>) {
    BROKEN.set(rule);
}
