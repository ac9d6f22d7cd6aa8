//! Compaction in the background: a pool of threads (`log.cleaner.threads`) that takes the dirtiest log first.
//!
//! A round looks at all compacted logs once and queues those that are due; threads take them one by one. When the
//! queue is empty, the next round begins after `log.cleaner.backoff.ms`. All threads share one throttle, and the
//! memory that settings give to the pool.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use milena_storage::{CleanStats, Cleanable, CleanerLimits, Pace, StorageError, Throttle};
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{Hosted, Partition, garbage::remove_after};
use crate::{clock, config::BrokerConfig, metrics::CleanerMetrics};

/// A cleaner that waits looks this often whether it is to stop.
const NAP: Duration = Duration::from_millis(200);

/// Looks for logs to compact from time to time.
pub struct Cleaner {
    since: Duration,
    pool: Arc<Pool>,
}

/// What the threads share.
struct Pool {
    /// The dirtiest log is the last.
    queue: Mutex<Vec<Arc<Partition>>>,
    threads: AtomicUsize,
    stop: AtomicBool,
    began: Instant,
    throttle: Mutex<Throttle>,
    /// Logs that cannot be cleaned: each until it is opened anew.
    uncleanable: Mutex<HashMap<(Uuid, i32), Weak<Partition>>>,
}

impl Default for Cleaner {
    fn default() -> Cleaner {
        let pool = Pool {
            queue: Mutex::default(),
            threads: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            began: Instant::now(),
            throttle: Mutex::new(Throttle::new(None)),
            uncleanable: Mutex::default(),
        };
        Cleaner { since: Duration::ZERO, pool: Arc::new(pool) }
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Cleaner {
    /// Puts settings in force, and starts threads where there is work; `passed` is the time since the last look.
    pub fn look(
        &mut self,
        hosted: &Hosted,
        config: &BrokerConfig,
        metrics: &Arc<CleanerMetrics>,
        passed: Duration,
    ) {
        self.since = self.since.saturating_add(passed);
        self.pool.throttle.lock().set_rate(config.cleaner_rate.0);
        if !config.cleaner_enabled {
            return;
        }
        let running = self.pool.threads.load(Ordering::Acquire);
        let queued = self.pool.queue.lock().len();
        if running == 0 && queued == 0 {
            if self.since < config.cleaner_backoff {
                return;
            }
            self.since = Duration::ZERO;
            let logs: Vec<Arc<Partition>> =
                hosted.replicas().filter(|replica| replica.config().log.cleanup_compact).cloned().collect();
            if !logs.is_empty() && config.cleaner_threads > 0 {
                self.start(config, metrics, move |pool, metrics| pool.look_at(&logs, metrics));
            }
            return;
        }
        // The first thread has queued what there is: others help.
        for _ in running..config.cleaner_threads.min(running.saturating_add(queued)) {
            self.start(config, metrics, |_, _| ());
        }
    }

    /// Ends all cleanings early; what they wrote is thrown away.
    pub fn stop(&self) {
        self.pool.stop.store(true, Ordering::Release);
    }

    fn start(
        &self,
        config: &BrokerConfig,
        metrics: &Arc<CleanerMetrics>,
        first: impl FnOnce(&Pool, &CleanerMetrics) + Send + 'static,
    ) {
        let limits = limits(config);
        let (pool, metrics) = (self.pool.clone(), metrics.clone());
        let runtime = tokio::runtime::Handle::current();
        pool.threads.fetch_add(1, Ordering::AcqRel);
        spawn_blocking(move || {
            let _runtime = runtime.enter();
            first(&pool, &metrics);
            pool.work(&limits, &metrics);
            pool.threads.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

/// A thread's share of the pool's memory.
fn limits(config: &BrokerConfig) -> CleanerLimits {
    let threads = config.cleaner_threads.max(1);
    let percent = usize::try_from(config.cleaner_load_factor.0 / 10_000).unwrap_or(100).min(100);
    CleanerLimits {
        map_bytes: config.cleaner_dedupe_bytes / threads,
        map_load_percent: percent,
        // Half for reading, half for writing.
        io_bytes: config.cleaner_io_bytes / threads / 2,
    }
}

impl Pool {
    /// Queues those that are due.
    fn look_at(&self, logs: &[Arc<Partition>], metrics: &CleanerMetrics) {
        self.uncleanable.lock().retain(|_, replica| replica.strong_count() > 0);
        let now_ms = clock::now_ms();
        let (mut due, mut dirtiest) = (Vec::new(), 0);
        for replica in logs.iter().filter(|replica| !self.is_uncleanable(replica)) {
            match cleanable(replica, now_ms) {
                Ok(Some(found)) => {
                    dirtiest = dirtiest.max(found.dirty_millionths());
                    if found.is_due() {
                        due.push((found, replica.clone()));
                    }
                }
                Ok(None) => {}
                Err(error) => self.failed(replica, &error, metrics),
            }
        }
        due.sort_by(|(a, _), (b, _)| a.by_need(b));
        *self.queue.lock() = due.into_iter().map(|(_, replica)| replica).collect();
        metrics.max_dirty_percent.set(i64::try_from(dirtiest / 10_000).unwrap_or(100));
        let uncleanable = self.uncleanable.lock().len();
        metrics.uncleanable_partitions.set(i64::try_from(uncleanable).unwrap_or(i64::MAX));
    }

    /// Cleans what is queued, until nothing is.
    fn work(&self, limits: &CleanerLimits, metrics: &CleanerMetrics) {
        loop {
            let next = self.queue.lock().pop();
            let Some(replica) = next.filter(|_| !self.stop.load(Ordering::Acquire)) else { return };
            if let Err(error) = self.clean(&replica, limits, metrics) {
                self.failed(&replica, &error, metrics);
            }
        }
    }

    /// Compacts one log, in as many passes as the memory for keys makes of it. Appends wait only while segments
    /// change places.
    fn clean(
        &self,
        replica: &Arc<Partition>,
        limits: &CleanerLimits,
        metrics: &CleanerMetrics,
    ) -> Result<(), StorageError> {
        loop {
            let (now_ms, high_watermark) = (clock::now_ms(), replica.high_watermark());
            let task = replica.with_log(|log| log.clean_task(now_ms, high_watermark));
            let Some(task) = task.transpose()?.flatten() else { return Ok(()) };
            let before = replica.size_in_bytes();
            let cleaned = task.run(limits, self)?;
            let stats = cleaned.stats();
            let delay = replica.config().log.file_delete_delay;
            for part in cleaned.parts() {
                let installed = replica.with_log(|log| log.install(part));
                let Some(garbage) = installed.transpose()? else { return Ok(()) };
                if garbage.segments() > 0 {
                    remove_after(garbage, delay);
                }
            }
            metrics.count(&stats);
            let CleanStats { bytes_read, bytes_written, map_percent, complete } = stats;
            info!(partition = %replica.name(), bytes_before = before, bytes_after = replica.size_in_bytes(), bytes_read, bytes_written, map_percent, complete, "compacted");
            if complete {
                return Ok(());
            }
        }
    }

    fn failed(&self, replica: &Arc<Partition>, error: &StorageError, metrics: &CleanerMetrics) {
        let partition = replica.name();
        match error {
            StorageError::Deleted { .. } | StorageError::Closed { .. } => {}
            StorageError::CleaningStopped { .. } => info!(%partition, %error, "not compacted this time"),
            StorageError::Corrupt { .. } | StorageError::Records(_) => {
                error!(%partition, %error, "DAMAGE: not compacted any more until this broker starts anew; let a healthy replica replace this one, or delete the records up to it");
                let mut uncleanable = self.uncleanable.lock();
                uncleanable.insert((replica.topic_id, replica.index), Arc::downgrade(replica));
                metrics.uncleanable_partitions.set(i64::try_from(uncleanable.len()).unwrap_or(i64::MAX));
            }
            error => warn!(%partition, %error, "not compacted; tried again in the next round"),
        }
    }

    fn is_uncleanable(&self, replica: &Arc<Partition>) -> bool {
        let uncleanable = self.uncleanable.lock();
        let known = uncleanable.get(&(replica.topic_id, replica.index));
        known.is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(replica)))
    }
}

impl Pace for Pool {
    fn charge(&self, bytes: u64) -> bool {
        let mut wait = self.throttle.lock().charge(self.began.elapsed(), bytes);
        while !wait.is_zero() && !self.stop.load(Ordering::Acquire) {
            let nap = wait.min(NAP);
            std::thread::sleep(nap);
            wait = wait.saturating_sub(nap);
        }
        !self.stop.load(Ordering::Acquire)
    }
}

/// What a cleaning of the log would find, after its active segment was sealed where `max.compaction.lag.ms` asks
/// for that.
fn cleanable(replica: &Partition, now_ms: i64) -> Result<Option<Cleanable>, StorageError> {
    let high_watermark = replica.high_watermark();
    let found = replica.with_log(|log| {
        log.roll_for_compaction(now_ms)?;
        log.cleanable(now_ms, high_watermark)
    });
    Ok(found.transpose()?.flatten())
}

impl Partition {
    /// How far the log has been compacted; none where it is not compacted, or closed.
    pub(super) fn cleaned_to(&self) -> Option<i64> {
        self.with_log(|log| log.config().cleanup_compact.then(|| log.first_dirty_offset())).flatten()
    }
}
