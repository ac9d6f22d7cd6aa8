//! Fetches that wait for records: one wake-up for each advance of the high watermark.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A fetch that waits, in as many partitions as it asks for.
#[derive(Debug, Default)]
pub struct FetchWaiter {
    notify: Notify,
}

impl FetchWaiter {
    /// Ends at the next wake-up; one that came before is not lost.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }

    fn wake(&self) {
        self.notify.notify_one();
    }
}

/// Those that wait in one partition.
#[derive(Debug, Default)]
pub struct Waiters {
    any: AtomicBool,
    list: Mutex<Vec<Weak<FetchWaiter>>>,
}

impl Waiters {
    /// Adds a fetch. Those that have ended are let go when the list would grow.
    pub fn add(&self, waiter: &Arc<FetchWaiter>) {
        let mut list = self.list.lock();
        if list.len() == list.capacity() {
            list.retain(|waiter| waiter.strong_count() > 0);
        }
        list.push(Arc::downgrade(waiter));
        self.any.store(true, Ordering::Release);
    }

    /// Wakes all and forgets them.
    pub fn wake(&self) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut list = self.list.lock();
        self.any.store(false, Ordering::Release);
        for waiter in list.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_up_before_the_wait_is_not_lost() {
        let (waiters, waiter) = (Waiters::default(), Arc::new(FetchWaiter::default()));
        waiters.add(&waiter);
        waiters.wake();
        waiter.woken().await;
    }

    #[test]
    fn fetches_that_ended_do_not_pile_up() {
        let waiters = Waiters::default();
        for _ in 0..10_000 {
            waiters.add(&Arc::new(FetchWaiter::default()));
        }
        assert!(waiters.list.lock().capacity() < 100);
    }
}
