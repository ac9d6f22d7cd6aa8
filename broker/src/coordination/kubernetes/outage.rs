//! One line in the log when something begins to fail and one when it works again, however often it is tried between.

use std::time::Instant;

/// Whether something fails at the moment, and since when.
#[derive(Debug, Default)]
pub struct Outage {
    since: Option<Instant>,
}

impl Outage {
    /// It failed. True the first time.
    pub fn begins(&mut self) -> bool {
        let first = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        first
    }

    /// It worked. How long it did not, where it did not.
    pub fn ends(&mut self) -> Option<std::time::Duration> {
        self.since.take().map(|since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once() {
        let mut outage = Outage::default();
        assert!(outage.ends().is_none());
        assert!(outage.begins());
        assert!(!outage.begins());
        assert!(outage.ends().is_some());
        assert!(outage.ends().is_none());
    }
}
