//! Write-back, paced: what was appended goes to the disk early and steadily, by one thread of a data directory. Left to
//! itself the kernel gathers dirty pages for half a minute and then writes them all at once, and whoever appends
//! meanwhile waits for its journal and its limits.
//!
//! Nothing becomes durable by it: that is the flusher's. But a sync finds less to do, too.

mod turn;

use std::{
    collections::VecDeque,
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use crate::{dir::Disk, error::StorageError, fs, log::Shared, segment::Segment};

pub(crate) use turn::WriteBackTurn;

/// How often the thread looks at logs that grow.
const INTERVAL: Duration = Duration::from_millis(50);
/// The thread ends when nothing was appended so long; the next append starts another.
const IDLE: Duration = Duration::from_secs(10);
/// Bytes at the end of a log that are left alone: the next append writes to the same pages. What stays there is
/// written by the kernel in its own time.
const LAG: u64 = 256 << 10;
/// Fewer bytes than this are not worth a write of their own.
const LEAST: u64 = 256 << 10;
/// Most bytes of a segment that are started at once.
const MOST: u64 = 1 << 20;
/// A write never begins or ends within a page.
const PAGE: u64 = 4096;
/// Bytes on their way to the disk at a time, until the broker says what its setting is. What is on its way is waited for
/// by the file system's journal, and appends wait for that.
const DEFAULT_IN_FLIGHT: u64 = 1 << 20;

/// The write-back of one directory.
pub(crate) struct WriteBack {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Bytes on their way to the disk at a time; 0: the kernel is left to itself.
    in_flight: AtomicU64,
}

#[derive(Default)]
struct Queue {
    /// Segments that grew since the last look and were not in the thread's list.
    grown: Vec<Growing>,
    /// Whether there is a thread.
    running: bool,
    stopped: bool,
}

/// A segment that is appended to.
struct Growing {
    log: Arc<Shared>,
    segment: Arc<Segment>,
    /// Its size at the last look.
    seen: u64,
}

/// A range whose write-back was started.
struct Started {
    log: Arc<Shared>,
    segment: Arc<Segment>,
    file: Arc<File>,
    position: u64,
    len: u64,
}

impl Default for WriteBack {
    fn default() -> WriteBack {
        let in_flight = AtomicU64::new(DEFAULT_IN_FLIGHT);
        WriteBack { queue: Mutex::default(), wake: Condvar::new(), in_flight }
    }
}

impl WriteBack {
    /// Lets so many bytes be on their way to the disk at a time; 0 leaves all to the kernel.
    pub(crate) fn limit(&self, in_flight: u64) {
        self.in_flight.store(in_flight, Ordering::Relaxed);
    }

    /// Notes that a segment has grown. Costs a look at a flag for all but the first append of a while.
    pub(crate) fn grown(&self, disk: &Arc<Disk>, log: &Arc<Shared>, segment: &Arc<Segment>) {
        if self.in_flight.load(Ordering::Relaxed) == 0 || segment.write_back.queued() {
            return;
        }
        let mut queue = self.queue.lock();
        if queue.stopped {
            return;
        }
        queue.grown.push(Growing { log: log.clone(), segment: segment.clone(), seen: 0 });
        if queue.running {
            self.wake.notify_one();
            return;
        }
        let worker = disk.clone();
        let name = "milena-writeback".to_owned();
        match std::thread::Builder::new().name(name).spawn(move || work(&worker)) {
            Ok(_) => queue.running = true,
            Err(error) => {
                tracing::warn!(%error, "no thread for write-back; the kernel writes in its own time")
            }
        }
    }

    /// The thread ends, and no other one begins.
    pub(crate) fn stop(&self) {
        let mut queue = self.queue.lock();
        queue.stopped = true;
        queue.grown = Vec::new();
        self.wake.notify_one();
    }

    /// Adds what has grown to the thread's list, at the next interval, or when there is something; false when the
    /// thread is to end.
    fn next(&self, growing: &mut Vec<Growing>) -> bool {
        if !growing.is_empty() {
            std::thread::sleep(INTERVAL);
        }
        let mut queue = self.queue.lock();
        if growing.is_empty() && queue.grown.is_empty() && !queue.stopped {
            self.wake.wait_for(&mut queue, IDLE);
        }
        growing.append(&mut queue.grown);
        if queue.stopped || growing.is_empty() {
            queue.running = false;
            return false;
        }
        true
    }
}

fn work(disk: &Disk) {
    let (mut growing, mut started) = (Vec::new(), InFlight::default());
    while disk.write_back().next(&mut growing) {
        let limit = disk.write_back().in_flight.load(Ordering::Relaxed);
        growing.retain_mut(|entry| entry.look(&mut started, limit) && !entry.is_left());
        if growing.is_empty() {
            started.wait_until_below(0);
        }
    }
}

impl Growing {
    /// Writes what is due; false where that is not to go on.
    fn look(&mut self, started: &mut InFlight, limit: u64) -> bool {
        let size = self.segment.size();
        let turn = &self.segment.write_back;
        if limit == 0 {
            turn.leave();
            return false;
        }
        let mut from = turn.up_to().min(size);
        let goal = size.saturating_sub(LAG) / PAGE * PAGE;
        while goal.saturating_sub(from) >= LEAST {
            let len = goal.saturating_sub(from).min(MOST);
            match started.start(&self.log, &self.segment, from, len) {
                Ok(()) => from = from.saturating_add(len),
                Err(error) => {
                    failed(&self.log, &error);
                    turn.leave();
                    return false;
                }
            }
            started.wait_until_below(limit);
        }
        turn.set_up_to(from);
        true
    }

    /// Whether the segment has not grown since the last look, and leaves the list.
    fn is_left(&mut self) -> bool {
        let size = self.segment.size();
        if size != std::mem::replace(&mut self.seen, size) {
            return false;
        }
        self.segment.write_back.leave();
        // It may have grown just before, by who still found it in the list.
        self.segment.size() == size || self.segment.write_back.queued()
    }
}

/// What is on its way to the disk, oldest first.
#[derive(Default)]
struct InFlight {
    started: VecDeque<Started>,
    bytes: u64,
}

impl InFlight {
    fn start(
        &mut self,
        log: &Arc<Shared>,
        segment: &Arc<Segment>,
        position: u64,
        len: u64,
    ) -> Result<(), StorageError> {
        let file = segment.file()?;
        let path = || segment.path();
        fs::start_write_back(&file, position, len)
            .map_err(|error| StorageError::io("write back", path(), error))?;
        self.bytes = self.bytes.saturating_add(len);
        self.started.push_back(Started { log: log.clone(), segment: segment.clone(), file, position, len });
        Ok(())
    }

    /// Waits for the oldest ones until less than `limit` bytes are on their way.
    fn wait_until_below(&mut self, limit: u64) {
        while self.bytes > limit {
            let Some(range) = self.started.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(range.len);
            if let Err(error) = fs::wait_for_write_back(&range.file, range.position, range.len) {
                failed(&range.log, &StorageError::io("write back", range.segment.path(), error));
            }
        }
    }
}

/// What the kernel could not write it may have forgotten: the log takes no more writes. That the call is not there is
/// no failure.
fn failed(log: &Shared, error: &StorageError) {
    match error {
        StorageError::Deleted { .. } | StorageError::DirOffline { .. } => {}
        StorageError::Io { source, .. } if is_unsupported(source) => {
            if let Some(disk) = log.disk.get() {
                disk.write_back().limit(0);
            }
            tracing::info!(%error, "no write-back of parts of a file here; the kernel writes in its own time");
        }
        error => log.poison(error),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let unsupported = [Errno::NOSYS, Errno::INVAL, Errno::SPIPE, Errno::OPNOTSUPP];
    Errno::from_io_error(error).is_some_and(|errno| unsupported.contains(&errno))
}

#[cfg(test)]
mod tests;
