//! A log's place in the rounds of the flusher.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// What a log waits for, and who is told when a round that it was in has ended.
#[derive(Default)]
pub(crate) struct FlushTurn {
    /// It is in the next round.
    queued: AtomicBool,
    /// `flush.ms` runs.
    timed: AtomicBool,
    listener: OnceLock<Box<dyn Fn() + Send + Sync>>,
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

    /// Whether `flush.ms` ran already; it does now.
    pub(crate) fn timed(&self) -> bool {
        // Most appends find it set, and need no write to a line that others read.
        self.timed.load(Ordering::Relaxed) || self.timed.swap(true, Ordering::AcqRel)
    }

    /// `flush.ms` is over.
    pub(crate) fn time_is_up(&self) {
        self.timed.store(false, Ordering::Release);
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
        f.debug_struct("FlushTurn").field("queued", &self.queued).field("timed", &self.timed).finish()
    }
}
