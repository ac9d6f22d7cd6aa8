//! Group commit: one thread of a data directory syncs for all who wait. What is asked for while a round is under way
//! goes together in the next one.

mod costs;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use crate::{
    dir::Disk,
    error::StorageError,
    log::{FlushTask, Shared},
};
use costs::{Costs, Way};

/// The thread ends when nothing was asked for so long; the next one to ask starts another.
const IDLE: Duration = Duration::from_secs(10);

/// The logs of one directory that are to be synced.
#[derive(Default)]
pub(crate) struct Flusher {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Those of the next round, each once.
    due: Vec<Arc<Shared>>,
    /// Those for which `flush.ms` runs.
    later: BinaryHeap<Reverse<Timed>>,
    /// Whether there is a thread.
    running: bool,
    stopped: bool,
    costs: Costs,
}

/// A log whose turn comes.
struct Timed {
    at: Instant,
    log: Arc<Shared>,
}

impl Flusher {
    /// Puts a log into the next round.
    pub(crate) fn flush(&self, disk: &Arc<Disk>, log: &Arc<Shared>) {
        if log.flush.asked() {
            return;
        }
        let mut queue = self.queue.lock();
        queue.due.push(log.clone());
        self.attend(&mut queue, disk);
    }

    /// Puts a log, whose turn comes by then, into the round that begins at that time.
    pub(crate) fn flush_at(&self, disk: &Arc<Disk>, log: &Arc<Shared>, at: Instant) {
        let mut queue = self.queue.lock();
        let first = queue.later.peek().is_none_or(|Reverse(next)| at < next.at);
        queue.later.push(Reverse(Timed { at, log: log.clone() }));
        if first {
            self.attend(&mut queue, disk);
        }
    }

    /// The thread ends, and no other one begins.
    pub(crate) fn stop(&self) {
        let mut queue = self.queue.lock();
        queue.stopped = true;
        (queue.due, queue.later) = (Vec::new(), BinaryHeap::new());
        self.wake.notify_one();
    }

    /// Sees to it that somebody looks at the queue.
    fn attend(&self, queue: &mut Queue, disk: &Arc<Disk>) {
        if queue.running {
            self.wake.notify_one();
            return;
        }
        if queue.stopped {
            return;
        }
        let worker = disk.clone();
        let spawned =
            std::thread::Builder::new().name("milena-flush".to_owned()).spawn(move || work(&worker));
        match spawned {
            Ok(_) => queue.running = true,
            // Who asks waits in vain until the next one asks; a system without threads has other troubles.
            Err(error) => tracing::error!(%error, "no thread to flush logs; tried again at the next append"),
        }
    }

    /// The logs of the next round, once there are some; none when the thread is to end.
    fn next(&self) -> Option<(Vec<Arc<Shared>>, Costs)> {
        let mut queue = self.queue.lock();
        loop {
            queue.take_timed(Instant::now());
            if !queue.due.is_empty() {
                return Some((std::mem::take(&mut queue.due), queue.costs));
            }
            let until = queue.later.peek().map(|Reverse(next)| next.at);
            let timeout = self.wake.wait_until(&mut queue, until.unwrap_or_else(|| Instant::now() + IDLE));
            let idle = timeout.timed_out() && queue.due.is_empty() && queue.later.is_empty();
            if idle || queue.stopped {
                queue.running = false;
                return None;
            }
        }
    }
}

impl Queue {
    fn take_timed(&mut self, now: Instant) {
        while self.later.peek().is_some_and(|Reverse(next)| next.at <= now) {
            let Some(Reverse(Timed { log, .. })) = self.later.pop() else { return };
            log.flush.time_is_up();
            if !log.flush.asked() {
                self.due.push(log);
            }
        }
    }
}

fn work(disk: &Arc<Disk>) {
    while let Some((logs, costs)) = disk.flusher().next() {
        // What is appended from here on asks anew: it may not be in this round.
        logs.iter().for_each(|log| log.flush.taken());
        let tasks: Vec<FlushTask> = logs.iter().filter_map(FlushTask::of).collect();
        let files = tasks.iter().map(FlushTask::files).sum();
        let way = costs.way(files);
        let begun = Instant::now();
        match way {
            Way::EachFile => each_file(tasks),
            Way::WholeFileSystem => whole_file_system(disk, tasks),
        }
        disk.flusher().queue.lock().costs.note(way, files, begun.elapsed());
        // The last one first: a request waits for its logs in the order in which it wrote them, and is to find
        // all of them done when it wakes up.
        logs.iter().rev().for_each(|log| log.flush.tell());
    }
}

/// What goes wrong is kept by the log, and told to who waits for it.
fn each_file(tasks: impl IntoIterator<Item = FlushTask>) {
    for task in tasks {
        let _ = task.run();
    }
}

fn whole_file_system(disk: &Disk, tasks: Vec<FlushTask>) {
    let prepared: Vec<(FlushTask, Result<(), StorageError>)> = tasks
        .into_iter()
        .map(|task| {
            let prepared = task.prepare();
            (task, prepared)
        })
        .collect();
    match disk.sync_all() {
        Ok(()) => {}
        // Anybody's: each of our files knows whether it was one of its writes.
        Err(error) if error.says_full() => return each_file(prepared.into_iter().map(|(task, _)| task)),
        // Whose write was lost is not known.
        Err(error) => return disk.fail(&error.to_string()),
    }
    for (task, prepared) in prepared {
        let _ = task.settle(prepared);
    }
}

impl PartialEq for Timed {
    fn eq(&self, other: &Timed) -> bool {
        self.at == other.at
    }
}

impl Eq for Timed {}

impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Timed) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timed {
    fn cmp(&self, other: &Timed) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
