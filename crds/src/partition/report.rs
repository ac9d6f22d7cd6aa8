//! What a replica says of its log, for a recovery election (rule 8).

use super::Generation;

/// How far a replica's log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Generation of its log.
    pub generation: Generation,
    /// Leader epoch of its last record, -1 for an empty log.
    pub last_epoch: i32,
    /// Start of its log: all below was committed once.
    pub log_start: i64,
    /// End of its log.
    pub log_end: i64,
    /// It refuses every leader epoch up to this one from now on.
    pub refuses: i32,
}

impl Report {
    /// What is compared: who has more of the last epoch goes further.
    #[must_use]
    pub fn end(&self) -> (i32, i64) {
        (self.last_epoch, self.log_end)
    }
}
