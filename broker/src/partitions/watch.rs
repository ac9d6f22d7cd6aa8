//! Fetches that watch many partitions: each change of a partition marks it in the mailboxes that watch it, and a
//! mailbox that was empty wakes its fetch once. So a fetch looks only at what changed, however much it watches.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering, fence},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Which of the partitions that one fetch session watches have changed, by the session's own numbers (slots).
#[derive(Debug, Default)]
pub struct Mailbox {
    marks: Mutex<Marks>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct Marks {
    slots: Vec<u32>,
    /// One bit a slot: whether it is in `slots`.
    bits: Vec<u64>,
}

impl Mailbox {
    /// Ends when something is marked, or was since the last wait, or when another fetch takes over.
    pub async fn marked(&self) {
        self.notify.notified().await;
    }

    /// Moves what was marked into `slots`, which is emptied first. What is marked from now on is news.
    pub fn take(&self, slots: &mut Vec<u32>) {
        slots.clear();
        let mut marks = self.marks.lock();
        std::mem::swap(&mut marks.slots, slots);
        for slot in slots.iter() {
            let (word, bit) = place(*slot);
            if let Some(bits) = marks.bits.get_mut(word) {
                *bits &= !bit;
            }
        }
    }

    /// Wakes the fetch that waits, so that another one can take over.
    pub fn interrupt(&self) {
        self.notify.notify_waiters();
    }

    /// Wakes whoever waits next: for a wake-up that came to a fetch that is over.
    pub fn pass_on(&self) {
        self.notify.notify_one();
    }

    fn mark(&self, slot: u32) {
        let mut marks = self.marks.lock();
        let (word, bit) = place(slot);
        if marks.bits.len() <= word {
            marks.bits.resize(word + 1, 0);
        }
        match marks.bits.get_mut(word) {
            Some(bits) if *bits & bit == 0 => *bits |= bit,
            _ => return,
        }
        let first = marks.slots.is_empty();
        marks.slots.push(slot);
        drop(marks);
        if first {
            self.notify.notify_one();
        }
    }
}

fn place(slot: u32) -> (usize, u64) {
    (usize::try_from(slot / 64).unwrap_or(usize::MAX), 1 << (slot % 64))
}

/// The mailboxes that watch one partition.
#[derive(Debug, Default)]
pub struct Watchers {
    any: AtomicBool,
    list: Mutex<Vec<Watcher>>,
}

#[derive(Debug)]
struct Watcher {
    mailbox: Weak<Mailbox>,
    slot: u32,
}

impl Watchers {
    /// From now on changes mark `slot` in `mailbox`. What changed before is not marked: look after this call.
    pub fn add(&self, mailbox: &Arc<Mailbox>, slot: u32) {
        let mut list = self.list.lock();
        if list.len() == list.capacity() {
            // Mailboxes of fetches that ended are let go when the list would grow.
            list.retain(|watcher| watcher.mailbox.strong_count() > 0);
        }
        list.push(Watcher { mailbox: Arc::downgrade(mailbox), slot });
        self.any.store(true, Ordering::Relaxed);
        // Either `mark` sees the flag, or whoever looks after this call sees what `mark` is about.
        fence(Ordering::SeqCst);
    }

    /// Changes no longer mark that slot.
    pub fn remove(&self, mailbox: &Arc<Mailbox>, slot: u32) {
        let mut list = self.list.lock();
        let is_it =
            |watcher: &Watcher| watcher.slot == slot && watcher.mailbox.as_ptr() == Arc::as_ptr(mailbox);
        if let Some(at) = list.iter().position(is_it) {
            list.swap_remove(at);
        }
    }

    /// Marks the partition in every mailbox.
    pub fn mark(&self) {
        fence(Ordering::SeqCst);
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut list = self.list.lock();
        list.retain(|watcher| match watcher.mailbox.upgrade() {
            Some(mailbox) => {
                mailbox.mark(watcher.slot);
                true
            }
            None => false,
        });
        self.any.store(!list.is_empty(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn taken(mailbox: &Mailbox) -> Vec<u32> {
        let mut slots = Vec::new();
        mailbox.take(&mut slots);
        slots
    }

    #[test]
    fn many_changes_are_one_mark_and_one_wake_up() {
        let (partitions, mailbox) = ([Watchers::default(), Watchers::default()], Arc::default());
        partitions[0].add(&mailbox, 7);
        partitions[1].add(&mailbox, 1_000);
        for _ in 0..3 {
            partitions.iter().for_each(Watchers::mark);
        }
        assert!(mailbox.marked().now_or_never().is_some());
        assert!(mailbox.marked().now_or_never().is_none(), "woken once");
        assert_eq!(taken(&mailbox), [7, 1_000]);
        assert!(taken(&mailbox).is_empty());
        partitions[0].mark();
        assert!(mailbox.marked().now_or_never().is_some(), "a change after the look is news");
        assert_eq!(taken(&mailbox), [7]);
    }

    #[test]
    fn what_is_no_longer_watched_marks_nothing() {
        let (partition, mailbox) = (Watchers::default(), Arc::default());
        partition.add(&mailbox, 1);
        partition.add(&mailbox, 2);
        partition.remove(&mailbox, 1);
        partition.mark();
        assert_eq!(taken(&mailbox), [2]);
    }

    #[test]
    fn fetches_that_ended_do_not_pile_up() {
        let partition = Watchers::default();
        for slot in 0..10_000 {
            partition.add(&Arc::default(), slot);
        }
        assert!(partition.list.lock().capacity() < 100);
        partition.mark();
        assert!(partition.list.lock().is_empty());
        assert!(!partition.any.load(Ordering::Relaxed));
    }
}
