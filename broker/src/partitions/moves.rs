//! Replicas that move to another log directory of this broker while they serve (KIP-113): the log is copied, catches up,
//! and takes the place of the old one, for which appends wait a moment. One replica moves at a time. A move that a stop of
//! the broker interrupts goes on at the next start, with what was copied of it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use milena_crds::partition::PartitionKey;
use milena_records::{BatchHeader, RecordsError};
use milena_storage::{
    Log, LogConfig, LogDir, LogReader, PartitionDir, StorageError, TopicPartition, remove_directory,
};
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tracing::{error, info};

use super::Partition;
use crate::{clock, throttle::Throttle};

/// So much is copied with one read, unless the rate is low.
const CHUNK: usize = 1 << 20;
/// With no more than this left, appends wait for the rest.
const ALMOST: i64 = 1000;

/// The moves that are asked for and not done.
#[derive(Default)]
pub struct Moves {
    state: Mutex<State>,
    throttle: Arc<Throttle>,
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
    /// What a former life has copied.
    begun: Option<PartitionDir>,
    throttle: Arc<Throttle>,
    cancelled: AtomicBool,
    /// The broker stops: what is copied is for its next life.
    stopped: AtomicBool,
    copied_bytes: AtomicI64,
    copied_end: AtomicI64,
}

impl Moves {
    /// Nothing is on its way. `throttle`: how fast it is copied.
    pub fn new(throttle: Arc<Throttle>) -> Moves {
        Moves { state: Mutex::default(), throttle }
    }

    /// Asks for a move; one that is under way to elsewhere is given up. A replica that is there already stays.
    pub fn ask(self: &Arc<Moves>, replica: &Arc<Partition>, from: Arc<LogDir>, to: Arc<LogDir>) {
        self.begin(replica, from, to, None);
    }

    /// Goes on with a move that the last stop interrupted.
    pub fn resume(
        self: &Arc<Moves>,
        replica: &Arc<Partition>,
        from: Arc<LogDir>,
        to: Arc<LogDir>,
        begun: PartitionDir,
    ) {
        info!(partition = replica.name(), to = %to.path().display(), "goes on moving to another log directory");
        self.begin(replica, from, to, Some(begun));
    }

    fn begin(
        self: &Arc<Moves>,
        replica: &Arc<Partition>,
        from: Arc<LogDir>,
        to: Arc<LogDir>,
        begun: Option<PartitionDir>,
    ) {
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
            begun,
            throttle: self.throttle.clone(),
            cancelled: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
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

    /// Leaves all as they are: the broker stops.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        state.queue.clear();
        for (_, one) in state.by_partition.drain() {
            one.stopped.store(true, Ordering::Release);
            one.cancel();
        }
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
        let mut copy = self.start_copy(&tp, config)?;
        let path = copy.log.dir().to_owned();
        let moved = self.fill(&mut copy).and_then(|full| if full { self.swap(copy, &tp) } else { Ok(None) });
        let Some(mut old) = moved.inspect_err(|_| clear(&path))? else {
            if !self.stopped.load(Ordering::Acquire) {
                clear(&path);
            }
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

    /// The copy of a former life where that is of use, else a new one.
    fn start_copy(&self, tp: &TopicPartition, config: Arc<LogConfig>) -> Result<Copy, StorageError> {
        if let Some(begun) = &self.begun {
            let opened = self.to.open_future(begun, config.clone(), clock::now_ms());
            match opened.and_then(|log| Copy::resumed(log, &self.replica.reader())) {
                Ok(copy) => return Ok(copy),
                Err(error) => {
                    info!(partition = %tp, %error, "what was copied before the stop is of no use; copied anew");
                    clear(&begun.path);
                }
            }
        }
        let log = self.to.create_future(tp, self.replica.topic_id, config, clock::now_ms())?;
        Ok(Copy { log, truncations: None })
    }

    /// Copies until next to nothing is missing, and has that on disk. False where it was given up.
    fn fill(&self, copy: &mut Copy) -> Result<bool, StorageError> {
        while self.wait() {
            let before = copy.log.size_in_bytes();
            let more = copy.step(&self.replica.reader(), self.chunk())?;
            self.throttle.took(usize::try_from(copy.log.size_in_bytes().saturating_sub(before)).unwrap_or(0));
            self.copied_bytes
                .store(i64::try_from(copy.log.size_in_bytes()).unwrap_or(i64::MAX), Ordering::Relaxed);
            self.copied_end.store(copy.log.log_end_offset(), Ordering::Relaxed);
            if !more || self.lag() < ALMOST && self.is_small(copy) {
                copy.log.flush()?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits until the rate allows for more; false where the move is given up. One thread does nothing else. A pause lasts
    /// for a second at most, so that another rate and the end are noticed.
    fn wait(&self) -> bool {
        while !self.cancelled.load(Ordering::Acquire) {
            let pause = self.throttle.pause();
            if pause.is_zero() {
                return true;
            }
            std::thread::sleep(pause);
        }
        false
    }

    /// So much is copied at once.
    fn chunk(&self) -> usize {
        CHUNK.min(self.throttle.piece())
    }

    /// Whether what is missing is little in bytes, too.
    fn is_small(&self, copy: &Copy) -> bool {
        let left = self.replica.reader().size_in_bytes().saturating_sub(copy.log.size_in_bytes());
        usize::try_from(left).is_ok_and(|left| left < self.chunk())
    }

    /// Copies the rest and changes places. The answer is the old log; none where the replica was closed meanwhile.
    fn swap(&self, mut copy: Copy, tp: &TopicPartition) -> Result<Option<Log>, StorageError> {
        self.replica.swap_log(|source| {
            let reader = source.reader();
            reader.check_writable()?;
            while copy.step(&reader, CHUNK)? {}
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
    /// A copy that a stop interrupted, cut back to what it has in common with the log: by leader epochs, as a follower's
    /// log is, for the log may have been cut and gone on otherwise since. With nothing in common it begins anew.
    fn resumed(mut log: Log, source: &LogReader) -> Result<Copy, StorageError> {
        let truncations = source.truncations();
        while let Some(latest) = log.latest_epoch() {
            let end = source.epoch_end_offset(latest.epoch).filter(|end| end.epoch == latest.epoch);
            let cut = end.map_or(latest.start_offset, |end| end.end_offset).max(log.log_start_offset());
            if cut < log.log_end_offset() {
                log.truncate_to(cut, clock::now_ms())?;
            }
            if end.is_some() {
                return Ok(Copy { log, truncations: Some(truncations) });
            }
            if log.latest_epoch() == Some(latest) {
                break;
            }
        }
        Ok(Copy { log, truncations: None })
    }

    /// Copies about so many bytes, one batch at least; false if there is nothing more to copy now.
    fn step(&mut self, source: &LogReader, chunk: usize) -> Result<bool, StorageError> {
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
        let bytes = match source.read(at, chunk, end, true) {
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
            None => Err(RecordsError::Incomplete { needed: chunk, available: bytes.len() }.into()),
        }
    }
}

/// Removes a directory that nobody needs.
fn clear(path: &std::path::Path) {
    if let Err(error) = remove_directory(path) {
        error!(%error, "the next start removes it");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use milena_records::{Batch, BatchBuilder};
    use milena_storage::{LogStart, OpenMode, Origin};

    use super::*;

    fn new(dir: &Path) -> Log {
        Log::create(dir, None, LogConfig::default().into(), 0).unwrap()
    }

    /// Appends so many batches of one record, as a leader of that epoch.
    fn append(log: &mut Log, epoch: i32, count: usize) {
        for _ in 0..count {
            let mut builder = BatchBuilder::new(0);
            builder.append(0, None, Some(b"value"), &[]).unwrap();
            let bytes = builder.build().unwrap();
            log.append(&Batch::parse(&bytes).unwrap(), Origin::Client, epoch, 0).unwrap();
        }
    }

    /// How much of a copy with so many batches of these epochs is gone on from, and whether it is at all.
    fn resume(source: &Log, epochs: &[(i32, usize)]) -> (i64, bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        let mut log = new(&path);
        epochs.iter().for_each(|(epoch, count)| append(&mut log, *epoch, *count));
        drop(log);
        let start = LogStart {
            mode: OpenMode::Recover,
            recovery_point: 0,
            log_start_offset: 0,
            may_have_gaps: false,
        };
        let (log, _) = Log::open(&path, LogConfig::default().into(), start, 0).unwrap();
        let mut copy = Copy::resumed(log, &source.reader()).unwrap();
        let kept = (copy.log.log_end_offset(), copy.truncations.is_some());
        while copy.step(&source.reader(), CHUNK).unwrap() {}
        let all = |log: &Log| log.reader().read(0, 1 << 20, i64::MAX, true).unwrap().bytes;
        assert_eq!(all(&copy.log), all(source));
        kept
    }

    #[test]
    fn an_interrupted_copy_goes_on_from_what_it_has_in_common_with_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut source = new(&folder.path().join("source"));
        append(&mut source, 1, 4);
        append(&mut source, 3, 4);
        assert_eq!(resume(&source, &[(1, 3)]), (3, true), "no more than it has");
        assert_eq!(resume(&source, &[(1, 4), (3, 1)]), (5, true));
        assert_eq!(resume(&source, &[(1, 6)]), (4, true), "epoch 1 was cut at 4");
        assert_eq!(resume(&source, &[(1, 4), (2, 2)]), (4, true), "nothing of epoch 2 is left");
        assert_eq!(resume(&source, &[(0, 5)]), (0, true), "epoch 0 ended where epoch 1 began");
        assert_eq!(resume(&source, &[]), (0, false));
    }
}
