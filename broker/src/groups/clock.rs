//! The clock of the groups.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

/// When this process first asked, by both clocks.
static START: OnceLock<(Instant, i64)> = OnceLock::new();

/// Milliseconds since 1970, as the day's clock had it at the start and as time has passed since: sessions must not
/// end, nor last, because someone sets the clock.
pub fn now_ms() -> i64 {
    let (start, start_ms) = *START.get_or_init(|| (Instant::now(), crate::clock::now_ms()));
    let passed = i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX);
    start_ms.saturating_add(passed)
}

/// How long it is until then.
pub fn until(deadline_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(deadline_ms.saturating_sub(now_ms())).unwrap_or(0))
}
