//! Followers that wait for records: an append tells the exchange with each of them, and wakes it only where it sleeps.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Nothing is to be said.
const IDLE: u8 = 0;
/// Something is to be said when something else is.
const QUEUED: u8 = 1;
/// Something is to be said now.
const URGENT: u8 = 2;

/// What one exchange has to say, by the numbers that the follower gave its partitions.
#[derive(Debug, Default)]
pub struct Signal {
    queue: Mutex<Vec<u32>>,
    notify: Notify,
}

impl Signal {
    /// Ends once something is to be said now.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }

    /// Takes all that is to be said; each has to be told that it was taken ([`FollowerSlot::taken`]).
    pub fn take(&self) -> Vec<u32> {
        std::mem::take(&mut *self.queue.lock())
    }
}

/// One follower of one partition.
#[derive(Debug)]
pub struct FollowerSlot {
    slot: u32,
    state: AtomicU8,
    signal: Arc<Signal>,
}

impl FollowerSlot {
    /// Says `slot` to that exchange.
    pub fn new(slot: u32, signal: Arc<Signal>) -> FollowerSlot {
        FollowerSlot { slot, state: AtomicU8::new(IDLE), signal }
    }

    /// There are records, or another role: wakes the exchange unless that is done already.
    pub fn urgent(&self) {
        let before = self.state.swap(URGENT, Ordering::AcqRel);
        if before == IDLE {
            self.signal.queue.lock().push(self.slot);
        }
        if before != URGENT {
            self.signal.notify.notify_one();
        }
    }

    /// The high watermark moved: said with the next records, or with the next sign of life.
    pub fn queue(&self) {
        if self.state.compare_exchange(IDLE, QUEUED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.signal.queue.lock().push(self.slot);
        }
    }

    /// From here on news count again.
    pub fn taken(&self) {
        self.state.store(IDLE, Ordering::Release);
    }
}

/// Those that follow one partition.
#[derive(Debug, Default)]
pub struct Exchanges {
    any: AtomicBool,
    list: Mutex<Vec<Weak<FollowerSlot>>>,
}

impl Exchanges {
    /// Adds one; it is let go when nobody else holds it.
    pub fn add(&self, follower: &Arc<FollowerSlot>) {
        let mut list = self.list.lock();
        list.retain(|follower| follower.strong_count() > 0);
        list.push(Arc::downgrade(follower));
        self.any.store(true, Ordering::Release);
    }

    /// Tells all.
    pub fn each(&self, tell: impl Fn(&FollowerSlot)) {
        if self.any.load(Ordering::Acquire) {
            self.list.lock().iter().filter_map(Weak::upgrade).for_each(|follower| tell(&follower));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_busy_exchange_is_woken_once() {
        let signal = Arc::new(Signal::default());
        let (one, two) = (FollowerSlot::new(1, signal.clone()), FollowerSlot::new(2, signal.clone()));
        one.queue();
        assert!(signal.woken().now_or_never().is_none(), "a watermark wakes nobody");
        one.urgent();
        two.urgent();
        one.urgent();
        assert!(signal.woken().now_or_never().is_some());
        assert!(signal.woken().now_or_never().is_none());
        assert_eq!(signal.take(), [1, 2]);
        one.urgent();
        assert!(signal.take().is_empty(), "not before it was taken");
        one.taken();
        one.urgent();
        assert_eq!(signal.take(), [1]);
    }
}
