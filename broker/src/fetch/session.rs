//! The partitions of one fetch, in the order in which they are looked at.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use milena_protocol::Records;

use super::entry::{Asking, Entry, Outcome, TopicKey, Wanted, Watch};
use crate::{
    node::View,
    partitions::{Fetched, MOST_IN_MEMORY, Mailbox, Reach, ReadLimits},
};

/// From this version on an answer holds one whole batch even where it is larger than the limits (KIP-74).
const FIRST_BATCH_WHOLE: i16 = 3;

/// The partitions that a client fetches. Those that may have news are queued; who got records goes to the end of
/// the queue, so that each has its turn where an answer cannot hold all.
#[derive(Debug)]
pub struct Session {
    reach: Reach,
    slots: Vec<Slot>,
    /// Slots that have a partition.
    live: usize,
    free: Vec<u32>,
    /// Filled only for a session that is kept.
    by_partition: HashMap<(TopicKey, i32), u32>,
    queue: VecDeque<u32>,
    mailbox: Arc<Mailbox>,
    marked: Vec<u32>,
    /// Whether changes mark the mailbox.
    watching: bool,
}

#[derive(Debug)]
struct Slot {
    /// None: free, once it has left the queue.
    entry: Option<Entry>,
    queued: bool,
}

/// One look at the queue.
#[derive(Debug, Default)]
pub struct Round {
    /// Of the first partitions of the queue, in its order.
    outcomes: Vec<Outcome>,
    /// Bytes of records.
    pub bytes: usize,
    /// Whether there is an error or what else is answered at once.
    pub is_urgent: bool,
}

/// What a client is told of one partition.
#[derive(Debug)]
pub struct Answered {
    /// The topic, as the client named it.
    pub topic: TopicKey,
    /// Number of the partition.
    pub index: i32,
    /// What was found.
    pub outcome: Outcome,
}

impl Session {
    /// A session without partitions.
    pub fn new(reach: Reach) -> Session {
        Session {
            reach,
            slots: Vec::new(),
            live: 0,
            free: Vec::new(),
            by_partition: HashMap::new(),
            queue: VecDeque::new(),
            mailbox: Arc::default(),
            marked: Vec::new(),
            watching: false,
        }
    }

    /// Number of partitions.
    pub fn len(&self) -> usize {
        self.live
    }

    /// What wakes a fetch of this session that waits.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Adds a partition that no one looks up later: for a request that names all its partitions.
    pub fn push(&mut self, topic: TopicKey, index: i32, wanted: Wanted) -> u32 {
        let slot = Slot { entry: Some(Entry::new(topic, index, wanted)), queued: true };
        let number = match self.free.pop() {
            Some(number) => number,
            None => u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
        };
        match self.slots.get_mut(usize::try_from(number).unwrap_or(usize::MAX)) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        self.live += 1;
        self.queue.push_back(number);
        number
    }

    /// Adds a partition, or changes what is wanted of one that is there.
    pub fn put(&mut self, topic: TopicKey, index: i32, wanted: Wanted) {
        let key = (topic, index);
        let known = self.by_partition.get(&key).copied();
        if let Some(number) = known {
            if let Some(entry) = self.entry_mut(number) {
                entry.wanted = wanted;
            }
            self.enqueue(number);
            return;
        }
        let number = self.push(key.0.clone(), index, wanted);
        self.by_partition.insert(key, number);
    }

    /// Takes a partition out; one that is not there is no error.
    pub fn remove(&mut self, topic: &TopicKey, index: i32) {
        let Some(number) = self.by_partition.remove(&(topic.clone(), index)) else { return };
        self.clear(number);
    }

    fn clear(&mut self, number: u32) {
        let watch = Watch { reach: self.reach, mailbox: &self.mailbox, slot: number };
        let Some(slot) = usize::try_from(number).ok().and_then(|at| self.slots.get_mut(at)) else { return };
        let Some(mut entry) = slot.entry.take() else { return };
        entry.unwatch(watch);
        self.live -= 1;
        if !slot.queued {
            self.free.push(number);
        }
    }

    /// Makes it one that is kept: partitions can be found by name, and changes mark them.
    pub fn keep(&mut self, view: &View) {
        let count = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.by_partition.reserve(self.slots.len());
        for number in 0..count {
            let Some(entry) = self.entry_mut(number) else { continue };
            let key = (entry.topic.clone(), entry.index);
            // Of two that are the same the last one counts.
            if let Some(twice) = self.by_partition.insert(key, number) {
                self.clear(twice);
            }
        }
        if !self.watching {
            self.watch_all(view);
            // What happened before the watch began has marked nothing.
            (0..count).for_each(|number| self.enqueue(number));
        }
    }

    /// Has changes mark all partitions from now on; what happened before needs another look.
    pub fn watch_all(&mut self, view: &View) {
        self.watching = true;
        for (number, slot) in (0..).zip(&mut self.slots) {
            if let Some(entry) = &mut slot.entry {
                entry.watch(view, Watch { reach: self.reach, mailbox: &self.mailbox, slot: number });
            }
        }
    }

    /// Whether changes mark the mailbox.
    pub fn is_watching(&self) -> bool {
        self.watching
    }

    /// Reads what is queued. `all`: each partition is looked at, also those that no bytes are left for.
    pub fn read(&mut self, view: &View, asking: &Asking, all: bool) -> Round {
        self.collect();
        self.sweep();
        let mut round = Round::default();
        let mut left = asking.max_bytes;
        let mut in_memory = MOST_IN_MEMORY;
        for number in self.queue.iter().copied() {
            if left == 0 && round.bytes > 0 && !all {
                break;
            }
            let Some(entry) = entry_of(&mut self.slots, number) else { break };
            let limits = ReadLimits {
                max_bytes: entry.wanted.max_bytes.min(left),
                whole_batch: round.bytes == 0 && asking.version >= FIRST_BATCH_WHOLE,
                in_memory,
            };
            let watch = Watch { reach: self.reach, mailbox: &self.mailbox, slot: number };
            let outcome = entry.read(view, asking, limits, self.watching.then_some(watch));
            entry.found = outcome.as_ref().map_or(0, |found| found.records.len());
            if outcome.as_ref().is_ok_and(|found| !matches!(found.records, Records::File(_))) {
                in_memory = in_memory.saturating_sub(entry.found);
            }
            round.bytes += entry.found;
            left = left.saturating_sub(entry.found);
            round.is_urgent |= outcome.as_ref().map_or(true, Fetched::is_urgent);
            round.outcomes.push(outcome);
        }
        round
    }

    /// Looks at what was marked since the last look, without reading: how many bytes there are more than at that
    /// look, none where something must be answered at once. With `exact` false, 1 may stand for any number.
    pub fn look(&mut self, view: &View, asking: &Asking, exact: bool) -> Option<usize> {
        self.collect();
        let mut more = 0;
        for number in std::mem::take(&mut self.marked) {
            let Some(entry) = entry_of(&mut self.slots, number) else { continue };
            let watch = Watch { reach: self.reach, mailbox: &self.mailbox, slot: number };
            let found = entry.available(view, asking, exact, self.watching.then_some(watch)).ok()?;
            more += found.saturating_sub(entry.found);
            entry.found = found.max(entry.found);
        }
        Some(more)
    }

    /// Takes a round as answered, and gives what the client is to be told: all of it with `all`, else the news.
    pub fn commit(&mut self, round: Round, all: bool) -> Vec<Answered> {
        let mut answers = Vec::new();
        // Partitions that had to wait for bytes stay in front.
        let mut starved = Vec::new();
        for outcome in round.outcomes {
            let Some(number) = self.queue.pop_front() else { break };
            let Some(slot) = self.slot_mut(number) else { continue };
            slot.queued = false;
            let Some(entry) = &mut slot.entry else { continue };
            let news = entry.tell(&outcome);
            if entry.has_more(&outcome) {
                slot.queued = true;
                match &outcome {
                    Ok(found) if found.records.is_empty() && !found.is_urgent() => {
                        starved.push(number);
                    }
                    _ => self.queue.push_back(number),
                }
            }
            if (news || all)
                && let Some(entry) = entry_of(&mut self.slots, number)
            {
                answers.push(Answered { topic: entry.topic.clone(), index: entry.index, outcome });
            }
        }
        starved.into_iter().rev().for_each(|number| self.queue.push_front(number));
        answers
    }

    /// Queues what was marked.
    fn collect(&mut self) {
        let mut marked = std::mem::take(&mut self.marked);
        self.mailbox.take(&mut marked);
        for number in &marked {
            self.enqueue(*number);
        }
        self.marked = marked;
    }

    fn enqueue(&mut self, number: u32) {
        if let Some(slot) = self.slot_mut(number)
            && slot.entry.is_some()
            && !slot.queued
        {
            slot.queued = true;
            self.queue.push_back(number);
        }
    }

    /// Lets partitions that were taken out leave the queue.
    fn sweep(&mut self) {
        if self.slots.len() == self.free.len() + self.live {
            return;
        }
        let (slots, free) = (&mut self.slots, &mut self.free);
        self.queue.retain(|number| match usize::try_from(*number).ok().and_then(|at| slots.get_mut(at)) {
            Some(Slot { entry: Some(_), .. }) => true,
            Some(slot) => {
                slot.queued = false;
                free.push(*number);
                false
            }
            None => false,
        });
    }

    fn slot_mut(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(number).ok()?)
    }

    fn entry_mut(&mut self, number: u32) -> Option<&mut Entry> {
        entry_of(&mut self.slots, number)
    }
}

fn entry_of(slots: &mut [Slot], number: u32) -> Option<&mut Entry> {
    slots.get_mut(usize::try_from(number).ok()?)?.entry.as_mut()
}
