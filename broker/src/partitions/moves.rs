//! Replicas that move to another log directory of this broker while they serve (KIP-113): the log is copied, catches up,
//! and takes the place of the old one, for which appends wait a moment. One replica moves at a time. A move that a stop of
//! the broker interrupts is forgotten, and what was copied of it goes at the next start.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use milena_crds::partition::PartitionKey;
use milena_records::{BatchHeader, RecordsError};
use milena_storage::{Log, LogDir, LogReader, StorageError, TopicPartition, remove_directory};
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tracing::{error, info};

use super::Partition;
use crate::clock;

/// So much is copied with one read.
const CHUNK: usize = 1 << 20;
/// With no more than this left, appends wait for the rest.
const ALMOST: i64 = 1000;

/// The moves that are asked for and not done.
#[derive(Default)]
pub struct Moves {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_partition: HashMap<PartitionKey, Arc<Move>>,
    queue: VecDeque<Arc<Move>>,
    /// Whether somebody works on the queue.
    busy: bool,
    stopped: bool,
}

/// One replica on its way.
pub struct Move {
    /// The replica.
    pub replica: Arc<Partition>,
    /// Where it is to be.
    pub to: Arc<LogDir>,
    from: Arc<LogDir>,
    cancelled: AtomicBool,
    copied_bytes: AtomicI64,
    copied_end: AtomicI64,
}

impl Moves {
    /// Asks for a move; one that is under way to elsewhere is given up. A replica that is there already stays.
    pub fn ask(self: &Arc<Moves>, replica: &Arc<Partition>, from: Arc<LogDir>, to: Arc<LogDir>) {
        let mut state = self.state.lock();
        let known = state.by_partition.get(&replica.key());
        if known.is_some_and(|known| Arc::ptr_eq(&known.to, &to)) || state.stopped {
            return;
        }
        if let Some(known) = state.by_partition.remove(&replica.key()) {
            known.cancel();
        }
        if Arc::ptr_eq(&from, &to) {
            return;
        }
        let one = Arc::new(Move {
            replica: replica.clone(),
            to,
            from,
            cancelled: AtomicBool::new(false),
            copied_bytes: AtomicI64::new(0),
            copied_end: AtomicI64::new(0),
        });
        state.by_partition.insert(replica.key(), one.clone());
        state.queue.push_back(one);
        if !std::mem::replace(&mut state.busy, true) {
            let moves = self.clone();
            spawn_blocking(move || moves.work());
        }
    }

    /// Those under way, for who wants to see how far they are.
    pub fn all(&self) -> Vec<Arc<Move>> {
        self.state.lock().by_partition.values().cloned().collect()
    }

    /// Gives all up: the broker stops.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        state.queue.clear();
        state.by_partition.drain().for_each(|(_, one)| one.cancel());
    }

    fn work(&self) {
        while let Some(one) = self.next() {
            let (partition, to) = (one.replica.name(), one.to.path().display().to_string());
            match one.carry_out() {
                Ok(true) => info!(partition, to, "moved to another log directory"),
                Ok(false) => info!(partition, to, "the move was given up"),
                Err(error) => error!(partition, to, %error, "not moved: it stays where it is; ask again"),
            }
            let mut state = self.state.lock();
            let key = one.replica.key();
            if state.by_partition.get(&key).is_some_and(|known| Arc::ptr_eq(known, &one)) {
                state.by_partition.remove(&key);
            }
        }
    }

    fn next(&self) -> Option<Arc<Move>> {
        let mut state = self.state.lock();
        let next = state.queue.pop_front();
        state.busy = next.is_some();
        next
    }
}

impl Move {
    /// Bytes of the copy.
    pub fn copied_bytes(&self) -> i64 {
        self.copied_bytes.load(Ordering::Relaxed)
    }

    /// How many offsets the copy is behind.
    pub fn lag(&self) -> i64 {
        let end = self.replica.reader().log_end_offset();
        end.saturating_sub(self.copied_end.load(Ordering::Relaxed)).max(0)
    }

    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
    }

    /// False where it was given up.
    fn carry_out(&self) -> Result<bool, StorageError> {
        if self.cancelled.load(Ordering::Acquire) || !self.replica.lies_in(&self.from) {
            return Ok(false);
        }
        let tp = TopicPartition::new(self.replica.topic.clone(), self.replica.index);
        let config = Arc::new(self.replica.config().log.clone());
        let future = self.to.create_future(&tp, self.replica.topic_id, config, clock::now_ms())?;
        let path = future.dir().to_owned();
        let mut copy = Copy { log: future, truncations: None };
        let moved = self.fill(&mut copy).and_then(|full| if full { self.swap(copy, &tp) } else { Ok(None) });
        let Some(mut old) = moved.inspect_err(|_| clear(&path))? else {
            clear(&path);
            return Ok(false);
        };
        old.delete();
        match self.to.finish_move(&tp, &self.from) {
            Ok(rest) => clear(&rest),
            // The new log is in use, and the next start knows that it is the one that counts.
            Err(error) => {
                error!(partition = %tp, %error, "what is left of the old log stays until the next start")
            }
        }
        Ok(true)
    }

    /// Copies until next to nothing is missing, and has that on disk. False where it was given up.
    fn fill(&self, copy: &mut Copy) -> Result<bool, StorageError> {
        loop {
            if self.cancelled.load(Ordering::Acquire) {
                return Ok(false);
            }
            let more = copy.step(&self.replica.reader())?;
            self.copied_bytes
                .store(i64::try_from(copy.log.size_in_bytes()).unwrap_or(i64::MAX), Ordering::Relaxed);
            self.copied_end.store(copy.log.log_end_offset(), Ordering::Relaxed);
            if !more || self.lag() < ALMOST && self.is_small(copy) {
                copy.log.flush()?;
                return Ok(true);
            }
        }
    }

    /// Whether what is missing is little in bytes, too.
    fn is_small(&self, copy: &Copy) -> bool {
        let left = self.replica.reader().size_in_bytes().saturating_sub(copy.log.size_in_bytes());
        usize::try_from(left).is_ok_and(|left| left < CHUNK)
    }

    /// Copies the rest and changes places. The answer is the old log; none where the replica was closed meanwhile.
    fn swap(&self, mut copy: Copy, tp: &TopicPartition) -> Result<Option<Log>, StorageError> {
        self.replica.swap_log(|source| {
            let reader = source.reader();
            reader.check_writable()?;
            while copy.step(&reader)? {}
            copy.log.delete_records(source.log_start_offset())?;
            if let Some(latest) = source.latest_epoch()
                && copy.log.latest_epoch().is_none_or(|known| known.epoch < latest.epoch)
            {
                copy.log.assign_epoch(latest.epoch)?;
            }
            self.to.adopt_future(&mut copy.log, tp, &self.from, clock::now_ms())
        })
    }
}

/// A log that becomes like another one.
struct Copy {
    log: Log,
    /// Truncations of the other log when the copy was begun; none before it is.
    truncations: Option<u64>,
}

impl Copy {
    /// Copies some batches; false if there is nothing more to copy now.
    fn step(&mut self, source: &LogReader) -> Result<bool, StorageError> {
        let (start, truncations) = (source.log_start_offset(), source.truncations());
        if self.truncations != Some(truncations) || self.log.log_end_offset() < start {
            // Cut meanwhile, or retention was faster than the copy: what is there is not to be trusted.
            self.log.truncate_fully_and_start_at(start, clock::now_ms())?;
            self.truncations = Some(truncations);
        }
        let (at, end) = (self.log.log_end_offset(), source.log_end_offset());
        if at >= end {
            return Ok(false);
        }
        let bytes = match source.read(at, CHUNK, end, true) {
            Ok(slice) => slice.bytes,
            // Retention again.
            Err(StorageError::OffsetOutOfRange { .. }) if source.log_start_offset() > start => {
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        let first = BatchHeader::parse(&bytes)?.base_offset;
        if first < at && self.log.size_in_bytes() == 0 {
            // The log start offset lies within a batch, which is copied whole.
            self.log.truncate_fully_and_start_at(first, clock::now_ms())?;
        }
        match self.log.append_as_follower(&bytes, clock::now_ms())? {
            Some(_) => Ok(true),
            None => Err(RecordsError::Incomplete { needed: CHUNK, available: bytes.len() }.into()),
        }
    }
}

/// Removes a directory that nobody needs.
fn clear(path: &std::path::Path) {
    if let Err(error) = remove_directory(path) {
        error!(%error, "the next start removes it");
    }
}
