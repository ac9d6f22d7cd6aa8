//! Compaction: of all records with the same key the newest one stays (`cleanup.policy=compact`), as in Kafka.
//!
//! A cleaning has three parts, of which only the first and the last hold up appends: [`Log::clean_task`] takes the
//! sealed segments, [`CleanTask::run`] writes new ones beside them, [`Log::install`] puts these in their place. A run
//! reads the log twice: what is new since the last cleaning, to learn the newest offset of each key
//! (`offset_map`), and everything, to write what stays (`filter`, `transactions`).
//!
//! Offsets never change, and a batch keeps its header: of what goes, gaps are left. Tombstones and markers of
//! transactions first get a time at which they may go, in the header of their batch (KIP-534), and go in a cleaning
//! after that time.

mod candidate;
mod filter;
mod install;
mod offset_map;
mod task;
mod throttle;
mod transactions;
mod writer;

use std::sync::Arc;

use crate::{error::StorageError, index::SegmentIndex, segment::Segment, transactions::AbortedTransaction};

pub use candidate::Cleanable;
pub use task::CleanTask;
pub use throttle::Throttle;

pub(crate) use install::adopt_swaps;

/// What one cleaning may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanerLimits {
    /// Memory for the newest offsets of keys, 24 bytes a key (`log.cleaner.dedupe.buffer.size`).
    pub map_bytes: usize,
    /// How much of it is used, percent (`log.cleaner.io.buffer.load.factor`).
    pub map_load_percent: usize,
    /// Memory for reading, and as much again for writing (`log.cleaner.io.buffer.size`). A larger batch takes what it
    /// needs.
    pub io_bytes: usize,
}

impl Default for CleanerLimits {
    /// Kafka's defaults for one thread.
    fn default() -> CleanerLimits {
        CleanerLimits { map_bytes: 128 << 20, map_load_percent: 90, io_bytes: 256 << 10 }
    }
}

/// Whoever runs a cleaning, told of what it reads and writes.
pub trait Pace {
    /// Bytes were read or written: wait as long as that takes. False: the cleaning is to end.
    fn charge(&self, bytes: u64) -> bool;
}

/// Without limit.
impl Pace for () {
    fn charge(&self, _: u64) -> bool {
        true
    }
}

/// New segments, written but not in their place yet.
#[derive(Debug)]
#[must_use = "the old segments stay until it is installed"]
pub struct Cleaned {
    groups: Vec<Group>,
    /// The next cleaning begins to look for new keys there. None: another part follows.
    first_dirty: Option<i64>,
    truncations: u64,
    stats: CleanStats,
}

impl Cleaned {
    /// What it took.
    pub fn stats(&self) -> CleanStats {
        self.stats
    }

    /// The same in parts, oldest first, each to be installed before the next: whoever appends waits for one of
    /// them at most.
    pub fn parts(self) -> impl Iterator<Item = Cleaned> {
        let Cleaned { groups, first_dirty, truncations, stats } = self;
        let part = move |groups, first_dirty| Cleaned { groups, first_dirty, truncations, stats };
        let all = groups.into_iter().map(move |group| part(vec![group], None));
        all.chain([part(Vec::new(), first_dirty)])
    }
}

/// What a cleaning took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanStats {
    /// Bytes read, in both passes.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// How full the map of keys was, percent of what it may take.
    pub map_percent: usize,
    /// Whether everything that may be cleaned was; else there were too many keys for the memory, and another
    /// cleaning goes on.
    pub complete: bool,
}

/// Segments that one new segment replaces.
#[derive(Debug)]
struct Group {
    sources: Vec<Arc<Segment>>,
    /// The new segment's size and indexes; none where no record was left.
    replacement: Option<(u64, SegmentIndex)>,
    /// Its aborted transactions.
    aborted: Vec<AbortedTransaction>,
}

impl Group {
    fn base(&self) -> i64 {
        self.sources.first().map_or(0, |segment| segment.base_offset)
    }
}

/// Counts what a cleaning reads and writes, and waits where it is too fast.
struct Meter<'a> {
    shared: &'a crate::log::Shared,
    pace: &'a dyn Pace,
    stats: CleanStats,
    uncharged: u64,
}

impl Meter<'_> {
    /// So many bytes are charged at once.
    const STEP: u64 = 64 << 10;

    fn read(&mut self, bytes: usize) -> Result<(), StorageError> {
        let bytes = crate::num::to_u64(bytes);
        self.stats.bytes_read = self.stats.bytes_read.saturating_add(bytes);
        self.charge(bytes)
    }

    fn written(&mut self, bytes: usize) -> Result<(), StorageError> {
        let bytes = crate::num::to_u64(bytes);
        self.stats.bytes_written = self.stats.bytes_written.saturating_add(bytes);
        self.charge(bytes)
    }

    fn charge(&mut self, bytes: u64) -> Result<(), StorageError> {
        self.uncharged = self.uncharged.saturating_add(bytes);
        if self.uncharged < Self::STEP {
            return Ok(());
        }
        self.shared.check_writable()?;
        if self.pace.charge(std::mem::take(&mut self.uncharged)) {
            return Ok(());
        }
        Err(stopped(self.shared, "the cleaner was told to stop"))
    }
}

fn stopped(shared: &crate::log::Shared, reason: &'static str) -> StorageError {
    StorageError::CleaningStopped { path: shared.dir.to_path_buf(), reason }
}
