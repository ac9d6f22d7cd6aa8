//! One line in the log when something begins to fail and one when it works again, however often it is tried between.

use std::{error::Error, fmt::Write as _, time::Instant};

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

/// An error with all that it comes from: an HTTP client's own message says little.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            // Writing to a text does not fail.
            let _ = write!(text, ": {message}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn causes_are_told_once_each() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = kube::Error::Service(Box::new(refused));
        assert_eq!(causes(&error), "ServiceError: connection refused");
        let outer = io::Error::other(kube::Error::ReadEvents(io::Error::other("cut")));
        assert_eq!(causes(&outer), "Error reading events stream: cut");
    }

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
