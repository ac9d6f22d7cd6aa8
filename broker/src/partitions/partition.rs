//! One replica of a partition: its log, its part in replication, and what clients may do with it.

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use arc_swap::ArcSwap;
use kafka_protocol::ResponseError;
use milena_crds::partition::{Member, PartitionState, Report};
use milena_replication::{Leader, Replica};
use milena_storage::{Log, LogDir, LogReader, StorageError};
use parking_lot::Mutex;
use tracing::{error, warn};
use uuid::Uuid;

use super::{
    PartitionError, Waiter,
    exchanges::{Exchanges, FollowerSlot},
    log_view::Seen,
    read::Reach,
    waiters::Waiters,
    watch::{Mailbox, Watchers},
};
use crate::{clock, config::TopicConfig};

/// Trouble with a log is told once in so many milliseconds.
const COMPLAINT_INTERVAL_MS: i64 = 10_000;

/// One replica, on this broker. Appends take its lock; reads take none.
pub struct Partition {
    /// Kafka's name of the topic.
    pub topic: Arc<str>,
    /// The topic's id.
    pub topic_id: Uuid,
    /// Number of the partition.
    pub index: i32,
    /// This broker, and the generation of its log.
    pub(super) me: Member,
    pub(super) config: ArcSwap<TopicConfig>,
    pub(super) state: ArcSwap<PartitionState>,
    /// Another one once the log has moved to another directory.
    reader: ArcSwap<LogReader>,
    /// Itself, for listeners.
    myself: OnceLock<Weak<Partition>>,
    pub(super) inner: Mutex<Inner>,
    pub(super) high_watermark: AtomicI64,
    pub(super) leads: AtomicBool,
    /// Records below are as durable as the topic asks for.
    pub(super) durable_end: AtomicI64,
    /// When the log's trouble was told last: clients try again many times a second.
    complained_at_ms: AtomicI64,
    /// Whether records were found that cannot be served because what is on disk is not what was written.
    damaged: AtomicBool,
    pub(super) waiters: Waiters,
    /// Those that wait for the disk.
    pub(super) flush_waiters: Waiters,
    /// Consumers' fetches: they read up to the high watermark.
    pub(super) high_watermark_watchers: Watchers,
    /// Fetches that read up to the log's end.
    pub(super) log_end_watchers: Watchers,
    /// Exchanges with followers.
    pub(super) exchanges: Exchanges,
    /// Somebody is about to look at its ISR.
    pub(super) isr_queued: AtomicBool,
}

/// What the lock guards.
pub(super) struct Inner {
    /// There until this replica is closed or deleted.
    pub(super) log: Option<Log>,
    /// Its part in replication.
    pub(super) replica: Replica,
}

impl Partition {
    /// A replica over an open log. It neither leads nor follows until [`Partition::act_on`].
    pub fn new(
        topic: Arc<str>,
        topic_id: Uuid,
        index: i32,
        me: Member,
        config: Arc<TopicConfig>,
        state: PartitionState,
        log: Log,
    ) -> Partition {
        let reader = log.reader();
        // Whoever leads writes its epoch to the log first: in what is there this broker may have led (rule 10).
        let remembered = log.latest_epoch().map_or(-1, |latest| latest.epoch);
        Partition {
            topic,
            topic_id,
            index,
            me,
            config: ArcSwap::new(config),
            state: ArcSwap::from_pointee(state),
            high_watermark: AtomicI64::new(log.log_start_offset()),
            durable_end: AtomicI64::new(log.log_end_offset()),
            reader: ArcSwap::from_pointee(reader),
            myself: OnceLock::new(),
            inner: Mutex::new(Inner { log: Some(log), replica: Replica::new(me, remembered, false) }),
            leads: AtomicBool::new(false),
            complained_at_ms: AtomicI64::new(0),
            damaged: AtomicBool::new(false),
            waiters: Waiters::default(),
            exchanges: Exchanges::default(),
            isr_queued: AtomicBool::new(false),
            flush_waiters: Waiters::default(),
            high_watermark_watchers: Watchers::default(),
            log_end_watchers: Watchers::default(),
        }
    }

    /// It was known to be committed up to `offset` when that was written down last.
    #[must_use]
    pub fn committed_to(self, offset: i64) -> Partition {
        let known = offset.min(self.reader().log_end_offset());
        self.high_watermark.fetch_max(known, Ordering::AcqRel);
        self
    }

    /// For many to use, and told of the flushes of its log.
    pub(super) fn share(self) -> Arc<Partition> {
        let partition = Arc::new(self);
        // Set once, here.
        let _ = partition.myself.set(Arc::downgrade(&partition));
        partition.with_log(|log| partition.listen(log));
        partition
    }

    fn listen(&self, log: &Log) {
        let Some(weak) = self.myself.get().cloned() else { return };
        log.on_flush(move || {
            if let Some(partition) = weak.upgrade() {
                partition.flushed();
            }
        });
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.load_full()
    }

    /// Puts other settings in force, from the next append on.
    pub fn set_config(&self, config: Arc<TopicConfig>) {
        let mut inner = self.inner.lock();
        if let Some(log) = &mut inner.log {
            log.set_config(Arc::new(config.log.clone()));
        }
        let leader = inner.replica.leader_mut();
        let moved = leader.is_some_and(|leader| leader.set_min_in_sync(config.min_in_sync));
        self.config.store(config);
        self.publish(&inner, moved);
    }

    /// Raises the log start offset to `offset`, -1 for the high watermark; answers the new one.
    ///
    /// # Errors
    /// OFFSET_OUT_OF_RANGE beyond the high watermark.
    pub fn delete_records(&self, offset: i64) -> Result<i64, PartitionError> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let (Some(_), Some(log)) = (inner.replica.leader(), &mut inner.log) else {
            return Err(self.not_leader());
        };
        let high_watermark = self.high_watermark();
        let offset = if offset == -1 { high_watermark } else { offset };
        if !(0..=high_watermark).contains(&offset) {
            let message = format!("offset {offset} is not between 0 and the high watermark {high_watermark}");
            return Err(self.error(ResponseError::OffsetOutOfRange, message));
        }
        let start = log.delete_records(offset).map_err(|error| self.storage_error(&error))?;
        self.high_watermark_watchers.mark();
        self.log_end_watchers.mark();
        Ok(start)
    }

    /// The high watermark: consumers read below it.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// Whether this broker leads, and may tell the latest offset (rule 4).
    pub(super) fn tells_latest(&self) -> Result<bool, PartitionError> {
        let inner = self.inner.lock();
        inner.replica.leader().map(Leader::tells_latest).ok_or_else(|| self.not_leader())
    }

    /// Whether this broker leads.
    pub fn is_leader(&self) -> bool {
        self.leads.load(Ordering::Acquire)
    }

    /// The newest state that this replica acts on.
    pub fn state(&self) -> Arc<PartitionState> {
        self.state.load_full()
    }

    /// Reads of this replica's log.
    pub fn reader(&self) -> Arc<LogReader> {
        self.reader.load_full()
    }

    /// Wakes `waiter` once, when the high watermark advances or another broker leads.
    pub fn wake_on_advance(&self, waiter: &Arc<Waiter>) {
        self.waiters.add(waiter);
    }

    /// From now on changes of what a fetch of that reach can read mark `slot` in `mailbox`. What is there already
    /// marks nothing: look after this call.
    pub fn watch(&self, reach: Reach, mailbox: &Arc<Mailbox>, slot: u32) {
        self.watchers(reach).add(mailbox, slot);
    }

    /// Takes a watch back.
    pub fn unwatch(&self, reach: Reach, mailbox: &Arc<Mailbox>, slot: u32) {
        self.watchers(reach).remove(mailbox, slot);
    }

    fn watchers(&self, reach: Reach) -> &Watchers {
        match reach {
            Reach::HighWatermark | Reach::LastStableOffset => &self.high_watermark_watchers,
            Reach::LogEnd => &self.log_end_watchers,
        }
    }

    /// Whoever waits here or watches has to look elsewhere, perhaps.
    pub(super) fn look_again(&self) {
        self.waiters.wake();
        self.flush_waiters.wake();
        self.high_watermark_watchers.mark();
        self.log_end_watchers.mark();
        self.exchanges.each(FollowerSlot::urgent);
    }

    /// Runs housekeeping on the log, with its lock held: for work that does little I/O. None once it is closed.
    pub(super) fn with_log<T>(&self, work: impl FnOnce(&mut Log) -> T) -> Option<T> {
        self.inner.lock().log.as_mut().map(work)
    }

    /// Puts the log that `swap` makes of this one in its place, and gives this one back; none where this replica is
    /// closed. Appends wait meanwhile.
    ///
    /// # Errors
    /// What `swap` says; nothing has changed then.
    pub(super) fn swap_log(
        &self,
        swap: impl FnOnce(&Log) -> Result<Log, StorageError>,
    ) -> Result<Option<Log>, StorageError> {
        let mut guard = self.inner.lock();
        let Some(log) = &mut guard.log else { return Ok(None) };
        let mut new = swap(log)?;
        new.set_config(Arc::new(self.config.load().log.clone()));
        if let Some(budget) = log.tail_budget() {
            new.share_tail_budget(budget);
        }
        self.listen(&new);
        self.reader.store(Arc::new(new.reader()));
        let old = std::mem::replace(log, new);
        drop(guard);
        // What it has is on disk.
        self.flushed();
        self.look_again();
        Ok(Some(old))
    }

    /// How far this log goes, for a recovery election in the leader epoch `stored`; none while this replica does not know
    /// of it, or where somebody leads (rule 8).
    pub fn report(&self, stored: i32) -> Option<Report> {
        let mut inner = self.inner.lock();
        let Inner { log, replica } = &mut *inner;
        replica.report(stored, &Seen(log.as_ref()?))
    }

    /// Stops leading, whoever leads instead.
    pub(super) fn suspend(&self) {
        self.inner.lock().replica.suspend();
        if self.leads.swap(false, Ordering::AcqRel) {
            warn!(partition = %self.name(), "no longer led from here: its state is not known any more");
        }
        self.look_again();
    }

    /// Refuses every leader epoch up to `known` from now on, and answers up to which (rule 13).
    pub fn freeze(&self, known: i32) -> i32 {
        let refuses = self.inner.lock().replica.freeze(known);
        self.leads.store(false, Ordering::Release);
        self.look_again();
        refuses
    }

    /// Neither leads nor serves from here on, and gives its log back: for a clean stop or a deletion.
    pub(super) fn take_log(&self) -> Option<Log> {
        let mut inner = self.inner.lock();
        inner.replica.stand_down();
        self.leads.store(false, Ordering::Release);
        let log = inner.log.take();
        drop(inner);
        self.look_again();
        log
    }

    /// Whether the log lies in that directory.
    pub fn lies_in(&self, dir: &LogDir) -> bool {
        self.reader().dir().parent() == Some(dir.path())
    }

    /// Bytes of the log.
    pub fn size_in_bytes(&self) -> i64 {
        i64::try_from(self.reader().size_in_bytes()).unwrap_or(i64::MAX)
    }

    /// `topic-partition`, as Kafka's logs have it.
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.index)
    }

    pub(super) fn error(&self, code: ResponseError, message: impl Into<String>) -> PartitionError {
        PartitionError::new(self.index, code, message)
    }

    /// NOT_LEADER_OR_FOLLOWER, with the leader to go to.
    pub(super) fn not_leader(&self) -> PartitionError {
        let state = self.state.load();
        let mut error = self.error(ResponseError::NotLeaderOrFollower, "another broker leads this partition");
        error.leader = state.leader.map(|leader| (leader, state.leader_epoch));
        error
    }

    /// Whether damage was found in its log since the broker started.
    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(super) fn storage_error(&self, error: &StorageError) -> PartitionError {
        let refused = PartitionError::storage(self.index, error);
        if matches!(error, StorageError::Reserved { .. } | StorageError::DirOffline { .. }) {
            // Told once, of the directory.
            return refused;
        }
        let now_ms = clock::now_ms();
        let last = self.complained_at_ms.load(Ordering::Relaxed);
        let due = now_ms.saturating_sub(last) > COMPLAINT_INTERVAL_MS;
        if let StorageError::Corrupt { .. } = error {
            self.damaged.store(true, Ordering::Relaxed);
            if due {
                self.complained_at_ms.store(now_ms, Ordering::Relaxed);
                error!(partition = %self.name(), %error, "DAMAGE: records are unreadable, and are not served; look at the disk");
            }
        } else if refused.code == ResponseError::KafkaStorageError && due {
            self.complained_at_ms.store(now_ms, Ordering::Relaxed);
            error!(partition = %self.name(), %error, "the log cannot be used");
        }
        refused
    }
}
