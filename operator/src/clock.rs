//! The operator's own monotonic clock, by which Leases are judged.

use std::time::{Duration, Instant};

/// Counts from when it was made; a clone counts from the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Begins at zero.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time that has gone by.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }
}
