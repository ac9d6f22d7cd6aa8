//! A segment's place in the write-back of its directory.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far a segment's pages were sent to the disk, and whether somebody sees to the rest.
#[derive(Debug, Default)]
pub(crate) struct WriteBackTurn {
    queued: AtomicBool,
    up_to: AtomicU64,
}

impl WriteBackTurn {
    /// Of a segment that is on disk up to there, or whose pages are the kernel's to write.
    pub(crate) fn after(size: u64) -> WriteBackTurn {
        WriteBackTurn { queued: AtomicBool::new(false), up_to: AtomicU64::new(size) }
    }

    /// Whether it was in the list already; it is now.
    pub(crate) fn queued(&self) -> bool {
        // Most appends find it set, and need no write to a line that others read.
        self.queued.load(Ordering::Relaxed) || self.queued.swap(true, Ordering::AcqRel)
    }

    /// It is in the list no longer.
    pub(crate) fn leave(&self) {
        self.queued.swap(false, Ordering::AcqRel);
    }

    /// Whether it is in the list.
    #[cfg(test)]
    pub(crate) fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Acquire)
    }

    /// Up to where write-back was started.
    pub(crate) fn up_to(&self) -> u64 {
        self.up_to.load(Ordering::Relaxed)
    }

    /// Notes up to where write-back was started. One thread does.
    pub(crate) fn set_up_to(&self, position: u64) {
        self.up_to.store(position, Ordering::Relaxed);
    }
}
