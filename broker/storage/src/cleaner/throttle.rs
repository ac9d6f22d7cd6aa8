//! How fast the cleaner may read and write (`log.cleaner.io.max.bytes.per.second`). Pure.

use std::time::Duration;

/// A rate that many may share: each charge says how long its owner has to wait.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    /// None: as fast as it goes.
    bytes_per_second: Option<u64>,
    /// When all that was charged is paid for.
    paid_at: Duration,
}

impl Throttle {
    /// A throttle of that rate, at least one byte a second; none for no limit.
    #[must_use]
    pub const fn new(bytes_per_second: Option<u64>) -> Throttle {
        Throttle { bytes_per_second, paid_at: Duration::ZERO }
    }

    /// Puts another rate in force, for what is charged from now on.
    pub const fn set_rate(&mut self, bytes_per_second: Option<u64>) {
        self.bytes_per_second = bytes_per_second;
    }

    /// Charges bytes that were read or written, `now` after some fixed moment; how long to wait before the next.
    pub fn charge(&mut self, now: Duration, bytes: u64) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let nanos = u128::from(bytes).saturating_mul(1_000_000_000) / u128::from(rate.max(1));
        let price = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        // What was not used is not saved up.
        self.paid_at = self.paid_at.max(now).saturating_add(price);
        self.paid_at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_is_the_rate() {
        let mut throttle = Throttle::new(Some(1000));
        let mut now = Duration::from_secs(5);
        for _ in 0..100 {
            now += throttle.charge(now, 250);
        }
        assert_eq!(now, Duration::from_secs(30));
        // An idle hour gives no credit.
        now += Duration::from_secs(3600);
        assert_eq!(throttle.charge(now, 500), Duration::from_millis(500));
    }

    #[test]
    fn two_share_one_rate() {
        let mut throttle = Throttle::new(Some(1000));
        assert_eq!(throttle.charge(Duration::ZERO, 1000), Duration::from_secs(1));
        assert_eq!(throttle.charge(Duration::ZERO, 1000), Duration::from_secs(2));
        throttle.set_rate(None);
        assert_eq!(throttle.charge(Duration::ZERO, u64::MAX), Duration::ZERO);
    }
}
