//! Who waits for one offset of one partition: acks=all, and groups that are being loaded.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering, fence},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// One that waits, woken at most once by each partition that it waits in.
#[derive(Debug, Default)]
pub struct Waiter {
    notify: Notify,
}

impl Waiter {
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
    list: Mutex<Vec<Weak<Waiter>>>,
}

impl Waiters {
    /// Adds one that waits. Those that have ended are let go when the list would grow.
    pub fn add(&self, waiter: &Arc<Waiter>) {
        let mut list = self.list.lock();
        if list.len() == list.capacity() {
            list.retain(|waiter| waiter.strong_count() > 0);
        }
        list.push(Arc::downgrade(waiter));
        self.any.store(true, Ordering::Relaxed);
        // Either `wake` sees the flag, or whoever looks after this call sees what `wake` is about.
        fence(Ordering::SeqCst);
    }

    /// Wakes all and forgets them.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut list = self.list.lock();
        self.any.store(false, Ordering::Relaxed);
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
        let (waiters, waiter) = (Waiters::default(), Arc::new(Waiter::default()));
        waiters.add(&waiter);
        waiters.wake();
        waiter.woken().await;
    }

    #[test]
    fn those_that_ended_do_not_pile_up() {
        let waiters = Waiters::default();
        for _ in 0..10_000 {
            waiters.add(&Arc::new(Waiter::default()));
        }
        assert!(waiters.list.lock().capacity() < 100);
    }
}
