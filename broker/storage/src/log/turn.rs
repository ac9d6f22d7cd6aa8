//! A log's place in the rounds of the flusher.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// What a log waits for, and who is told when a round that it was in has ended.
pub(crate) struct FlushTurn {
    /// It is in the next round.
    queued: AtomicBool,
    /// When `flush.ms` is over, in milliseconds of the directory's clock; `u64::MAX` while it does not run.
    due_ms: AtomicU64,
    listener: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Default for FlushTurn {
    fn default() -> FlushTurn {
        let due_ms = AtomicU64::new(u64::MAX);
        FlushTurn { queued: AtomicBool::new(false), due_ms, listener: OnceLock::new() }
    }
}

impl FlushTurn {
    /// Whether it was in the next round already; it is now.
    pub(crate) fn asked(&self) -> bool {
        self.queued.swap(true, Ordering::AcqRel)
    }

    /// Its round begins. A swap, so that the round sees what was appended by whoever found it queued.
    pub(crate) fn taken(&self) {
        self.queued.swap(false, Ordering::AcqRel);
    }

    /// Whether its time comes by then already; it does now.
    pub(crate) fn due_by(&self, at_ms: u64) -> bool {
        // Most appends find it set, and need no write to a line that others read.
        self.due_ms.load(Ordering::Relaxed) <= at_ms
            || self.due_ms.fetch_min(at_ms, Ordering::AcqRel) <= at_ms
    }

    /// `flush.ms` is over.
    pub(crate) fn time_is_up(&self) {
        self.due_ms.store(u64::MAX, Ordering::Release);
    }

    /// Who is told when a round has ended, well or badly. The first one stays.
    pub(crate) fn listen(&self, listener: Box<dyn Fn() + Send + Sync>) {
        let _ = self.listener.set(listener);
    }

    /// A round has ended.
    pub(crate) fn tell(&self) {
        if let Some(listener) = self.listener.get() {
            listener();
        }
    }
}

impl fmt::Debug for FlushTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushTurn").field("queued", &self.queued).field("due_ms", &self.due_ms).finish()
    }
}
