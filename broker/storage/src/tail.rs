//! The last batches of logs, in memory, for those who read at a log's end: what a producer sent is there already, and
//! is sent on from where it lies. All logs of a broker share one budget, and the oldest batches go first. A log that
//! nobody reads at its end keeps nothing.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use milena_records::{BatchHeader, HEADER_LEN};
use parking_lot::Mutex;

/// After somebody read at its end, a log keeps what is appended for so many bytes.
const KEPT_FOR_A_READER: i64 = 4 * 1024 * 1024;

/// What a batch costs besides its bytes.
const BATCH_OVERHEAD: usize = 192;

/// A batch up to this size is copied, so that it holds no buffer but its own.
const COPIED: usize = 4096;

/// A larger batch is kept only where it is at least this part of the buffer that it lies in.
const LEAST_SHARE: usize = 2;

/// Most batches of one read. Of more and smaller ones a read of the file is cheaper.
const MOST_BATCHES: usize = 64;

/// What all logs of a broker may hold in memory for readers at their ends.
#[derive(Debug)]
pub struct TailBudget {
    limit: AtomicUsize,
    order: Mutex<Order>,
}

/// All that is held, the oldest first.
#[derive(Debug, Default)]
struct Order {
    used: usize,
    batches: VecDeque<Place>,
}

#[derive(Debug)]
struct Place {
    tail: Weak<Tail>,
    number: u64,
    cost: usize,
}

impl TailBudget {
    /// A budget of so many bytes; none with 0.
    pub fn new(limit: usize) -> Arc<TailBudget> {
        Arc::new(TailBudget { limit: AtomicUsize::new(limit), order: Mutex::default() })
    }

    /// Changes the limit. It holds from the next append on.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Bytes that are held, with all of the buffers that they lie in.
    pub fn used(&self) -> usize {
        self.order.lock().used
    }

    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Counts a batch in; what has to go for it.
    fn enter(&self, tail: Weak<Tail>, number: u64, cost: usize) -> Vec<Place> {
        let mut order = self.order.lock();
        order.used += cost;
        order.batches.push_back(Place { tail, number, cost });
        let mut gone = Vec::new();
        while order.used > self.limit() {
            let Some(oldest) = order.batches.pop_front() else { break };
            order.used -= oldest.cost;
            gone.push(oldest);
        }
        gone
    }

    /// Counts out all of a log.
    fn leave(&self, tail: &Tail) {
        let mut order = self.order.lock();
        let Order { used, batches } = &mut *order;
        batches.retain(|place| {
            let stays = !std::ptr::eq(place.tail.as_ptr(), tail);
            if !stays {
                *used -= place.cost;
            }
            stays
        });
    }
}

/// The place for a log's last batches. It is made for the first reader.
#[derive(Debug, Default)]
pub(crate) struct TailSlot {
    budget: OnceLock<Arc<TailBudget>>,
    tail: OnceLock<Arc<Tail>>,
}

impl TailSlot {
    /// The budget to keep within; without one nothing is kept.
    pub(crate) fn share(&self, budget: &Arc<TailBudget>) {
        let _ = self.budget.set(budget.clone());
    }

    pub(crate) fn budget(&self) -> Option<&Arc<TailBudget>> {
        self.budget.get()
    }

    /// Somebody reads at the log's end.
    pub(crate) fn note_reader(&self) {
        let Some(budget) = self.budget.get().filter(|budget| budget.limit() > 0) else { return };
        let tail = self.tail.get_or_init(|| Arc::new(Tail::new(budget.clone())));
        tail.note_reader();
    }

    /// Keeps a batch that was appended, where somebody reads at the end. `header` is what was written, `bytes` all of
    /// the batch with the header that came, in a buffer of `buffer` bytes.
    pub(crate) fn keep(&self, header: &BatchHeader, bytes: &Bytes, buffer: usize) {
        if let Some(tail) = self.tail.get() {
            tail.keep(header, bytes, buffer);
        }
    }

    /// What is held is not the end of the log any more, or nobody wants it.
    pub(crate) fn clear(&self) {
        if let Some(tail) = self.tail.get() {
            tail.clear();
        }
    }

    /// Lets go of everything where nobody has read since the last call.
    pub(crate) fn clear_if_idle(&self) {
        if let Some(tail) = self.tail.get()
            && !tail.was_read.swap(false, Ordering::Relaxed)
        {
            tail.wanted.store(0, Ordering::Relaxed);
            tail.clear();
        }
    }

    pub(crate) fn read(&self, offset: i64, limits: &TailLimits) -> Option<TailSlice> {
        self.tail.get()?.read(offset, limits)
    }
}

/// How much of a log's end a read may take.
#[derive(Clone, Copy, Debug)]
pub struct TailLimits {
    /// Most bytes.
    pub max_bytes: usize,
    /// Only batches below this offset.
    pub up_to: i64,
    /// Whether the first batch is given whatever its size.
    pub min_one_batch: bool,
    /// Where there are more bytes than these to give, nothing is given: they are for the file to give.
    pub in_memory: usize,
}

/// Batches as they lie in the log.
#[derive(Clone, Debug, Default)]
pub struct TailSlice {
    /// One behind the other.
    pub pieces: Vec<Bytes>,
    /// Bytes of all pieces.
    pub len: usize,
}

/// The last batches of one log. Offsets rise; there may be gaps.
#[derive(Debug)]
pub(crate) struct Tail {
    budget: Arc<TailBudget>,
    /// So many bytes are kept yet, unless somebody reads.
    wanted: AtomicI64,
    was_read: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    batches: VecDeque<Batch>,
    /// Number of the first one.
    first: u64,
}

#[derive(Debug)]
struct Batch {
    base_offset: i64,
    next_offset: i64,
    len: usize,
    /// The header that was written and what is behind it; or all, and nothing.
    pieces: [Bytes; 2],
}

impl Batch {
    fn new(header: &BatchHeader, bytes: &Bytes) -> Batch {
        let rest = bytes.slice(HEADER_LEN.min(bytes.len())..);
        let pieces = if bytes.len() <= COPIED {
            [[&header.to_bytes()[..], &rest].concat().into(), Bytes::new()]
        } else {
            [Bytes::copy_from_slice(&header.to_bytes()), rest]
        };
        let (base_offset, next_offset) = (header.base_offset, header.next_offset());
        Batch { base_offset, next_offset, len: bytes.len(), pieces }
    }
}

impl Tail {
    fn new(budget: Arc<TailBudget>) -> Tail {
        let (wanted, was_read) = (AtomicI64::new(0), AtomicBool::new(false));
        Tail { budget, wanted, was_read, held: Mutex::default() }
    }

    fn note_reader(&self) {
        if self.wanted.load(Ordering::Relaxed) != KEPT_FOR_A_READER {
            self.wanted.store(KEPT_FOR_A_READER, Ordering::Relaxed);
        }
        if !self.was_read.load(Ordering::Relaxed) {
            self.was_read.store(true, Ordering::Relaxed);
        }
    }

    fn keep(self: &Arc<Self>, header: &BatchHeader, bytes: &Bytes, buffer: usize) {
        let len = bytes.len();
        if self.wanted.load(Ordering::Relaxed) <= 0 {
            self.clear();
            return;
        }
        self.wanted.fetch_sub(i64::try_from(len).unwrap_or(i64::MAX), Ordering::Relaxed);
        let pinned = if len <= COPIED { len } else { buffer.max(len) };
        let cost = pinned.saturating_add(BATCH_OVERHEAD);
        if cost > self.budget.limit() || pinned / LEAST_SHARE > len {
            return;
        }
        let number = {
            let mut held = self.held.lock();
            held.batches.push_back(Batch::new(header, bytes));
            held.first + u64::try_from(held.batches.len()).unwrap_or(0) - 1
        };
        for place in self.budget.enter(Arc::downgrade(self), number, cost) {
            if let Some(tail) = place.tail.upgrade() {
                tail.let_go(place.number);
            }
        }
    }

    /// Lets go of the batches up to that number.
    fn let_go(&self, number: u64) {
        let mut held = self.held.lock();
        while held.first <= number && held.batches.pop_front().is_some() {
            held.first += 1;
        }
        if held.batches.is_empty() {
            held.batches = VecDeque::new();
        }
    }

    /// Only whoever appends calls this: a batch is counted in right after it was put.
    fn clear(&self) {
        let mut held = self.held.lock();
        if held.batches.is_empty() {
            return;
        }
        let gone = std::mem::take(&mut held.batches);
        held.first += u64::try_from(gone.len()).unwrap_or(0);
        drop(held);
        self.budget.leave(self);
    }

    fn read(&self, offset: i64, limits: &TailLimits) -> Option<TailSlice> {
        let held = self.held.lock();
        let first = held.batches.partition_point(|batch| batch.next_offset <= offset);
        let mut slice = TailSlice::default();
        let mut next = None;
        for (count, batch) in held.batches.range(first..).enumerate() {
            let follows = next.map_or(batch.base_offset <= offset, |next| batch.base_offset == next);
            let is_forced = count == 0 && limits.min_one_batch;
            if next.is_some_and(|next| next >= limits.up_to) {
                break;
            }
            // In a gap there is more, in the file.
            if !follows {
                return None;
            }
            if batch.next_offset > limits.up_to
                || (slice.len.saturating_add(batch.len) > limits.max_bytes && !is_forced)
            {
                break;
            }
            if count == MOST_BATCHES || slice.len.saturating_add(batch.len) > limits.in_memory {
                return None;
            }
            slice.len += batch.len;
            slice.pieces.extend(batch.pieces.iter().filter(|piece| !piece.is_empty()).cloned());
            next = Some(batch.next_offset);
        }
        let ends_here = held.batches.back().map(|last| last.next_offset);
        drop(held);
        if slice.len == 0 || (next == ends_here && next < Some(limits.up_to)) {
            return None;
        }
        self.note_reader();
        Some(slice)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.budget.leave(self);
    }
}

#[cfg(test)]
mod tests;
