//! What replicas of one partition do with each other: a leader serves, a follower takes, and the ISR changes.

use std::sync::{Arc, atomic::Ordering};

use milena_crds::partition::{Member, PartitionKey};
use milena_protocol::Records;
use milena_replication::{Answer, Belief, Change, FollowerFetch, FollowerStep, Outcome, Refusal, Served};
use milena_storage::{Log, StorageError};
use tracing::{debug, info, warn};

use super::{Partition, Waiter, exchanges::FollowerSlot, log_view::Seen, read::left_in_file};
use crate::clock;

/// Records of up to so many bytes are brought into memory for a follower: few calls cost less than no copy.
const FOLLOWERS_IN_MEMORY: usize = 32 * 1024;

/// What a follower did with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing that changes what it asks for.
    Nothing,
    /// Its log changed: it asks for more.
    Again,
    /// It could not: to be tried again later.
    Failed,
}

impl Partition {
    /// The partition, as its state is kept.
    pub fn key(&self) -> PartitionKey {
        PartitionKey { topic_id: self.topic_id, partition: self.index }
    }

    /// This broker, with the generation of its logs.
    pub fn member(&self) -> Member {
        self.me
    }

    /// Takes a follower's fetch in: its position counts from here on.
    pub fn serve_follower(&self, fetch: &FollowerFetch) -> Served {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let Some(log) = &inner.log else {
            return Served { answer: Answer::Refused(Refusal::NotLeader), moved: false, may_join: false };
        };
        let served = inner.replica.fetch(fetch, &Seen(log), clock::now_ms());
        if served.moved {
            self.publish(inner, true);
        }
        if matches!(served.answer, Answer::Refused(Refusal::HigherEpoch { .. })) {
            warn!(partition = %self.name(), epoch = fetch.leader_epoch, "a follower knows a newer leader epoch: no longer led from here");
            self.leads.store(false, Ordering::Release);
            self.look_again();
        }
        served
    }

    /// A follower cannot append what it was sent for that fetch; answers whether that is news.
    pub fn follower_cannot_append(&self, fetch: &FollowerFetch) -> bool {
        let mut inner = self.inner.lock();
        let news = inner.replica.leader_mut().is_some_and(|leader| leader.cannot_append(fetch));
        if news {
            warn!(partition = %self.name(), follower = fetch.replica.broker, "a follower cannot append: look at its disk");
        }
        news
    }

    /// Whether this broker leads in that epoch.
    pub fn leads_in(&self, epoch: i32) -> bool {
        self.is_leader() && self.state.load().leader_epoch == epoch
    }

    /// Records for a follower, up to the log's end, and the offset that it asks for when it has them; none where there
    /// are fewer than `at_least` bytes. Many of them stay in their file.
    ///
    /// # Errors
    /// What the log says.
    pub fn read_for_follower(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least: usize,
    ) -> Result<Option<(Records, i64)>, StorageError> {
        let reader = self.reader();
        let located = reader.locate_for_follower(offset, max_bytes)?;
        let Some(slice) = located.filter(|slice| slice.len >= at_least) else { return Ok(None) };
        let next_offset = slice.next_offset;
        if slice.len > FOLLOWERS_IN_MEMORY {
            return Ok(Some((left_in_file(slice), next_offset)));
        }
        if let Ok(Some(bytes)) = slice.read() {
            return Ok(Some((Records::Memory(bytes), next_offset)));
        }
        // Truncated meanwhile, or broken: the careful way says which.
        reader.read(offset, max_bytes, i64::MAX, true)?;
        Ok(None)
    }

    /// Has a follower told of what comes here.
    pub fn add_exchange(&self, follower: &Arc<FollowerSlot>) {
        self.exchanges.add(follower);
    }

    /// Whether `flush.messages` asks for the disk to have what is here before this replica says that it has it; then
    /// `waiter` is woken when that may be so.
    pub fn waits_for_disk(&self, waiter: &Arc<Waiter>) -> bool {
        let is_behind = |log: &mut Log| log.durable_end() < log.log_end_offset();
        if !self.with_log(is_behind).unwrap_or(false) || self.reader().check_writable().is_err() {
            return false;
        }
        self.flush_waiters.add(waiter);
        self.with_log(|log| {
            // What was there before the start was never asked for.
            log.ask_for_flush();
            is_behind(log)
        })
        .unwrap_or(false)
    }

    /// The leader that this replica follows, and what to ask it; none where it follows nobody.
    pub fn next_fetch(&self) -> Option<(i32, FollowerFetch)> {
        let inner = self.inner.lock();
        let (follower, log) = (inner.replica.follower()?, inner.log.as_ref()?);
        Some((follower.leader(), follower.next_fetch(&Seen(log))))
    }

    /// Takes the leader's answer to `asked`.
    pub fn take_answer(&self, asked: &FollowerFetch, answer: &Answer, records: &[u8]) -> Taken {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let (Some(follower), Some(log)) = (inner.replica.follower_mut(), &mut inner.log) else {
            return Taken::Nothing;
        };
        let now_ms = clock::now_ms();
        let before = log.log_end_offset();
        let done = match follower.take(asked, answer, &Seen(log)) {
            FollowerStep::Ignore => return Taken::Nothing,
            FollowerStep::Truncate(end) => {
                info!(partition = %self.name(), from = before, to = end, "cut: the leader's log goes on otherwise");
                log.truncate_to(end, now_ms).map(|_| ())
            }
            FollowerStep::StartAt(offset) => {
                info!(partition = %self.name(), offset, "begun anew: the leader's log begins later");
                log.truncate_fully_and_start_at(offset, now_ms)
            }
            FollowerStep::Append => append(log, answer, records, now_ms),
        };
        let end = log.log_end_offset();
        let watermark = match *answer {
            Answer::Records { high_watermark, .. } => high_watermark,
            _ => follower.high_watermark(),
        };
        follower.truncated(end);
        follower.appended(end, watermark);
        let watermark = follower.high_watermark();
        if self.high_watermark.swap(watermark, Ordering::AcqRel) != watermark {
            // Consumers read from followers, too (KIP-392).
            self.high_watermark_watchers.mark();
        }
        match done {
            Ok(()) if matches!(answer, Answer::Records { .. }) && records.is_empty() => Taken::Nothing,
            Ok(()) => Taken::Again,
            Err(error) => {
                self.storage_error(&error);
                debug!(partition = %self.name(), %error, "not replicated");
                Taken::Failed
            }
        }
    }

    /// The change of the ISR that is due, if one is (rules 1, 5 and 7).
    pub fn propose(&self, max_lag_ms: i64, belief: impl Fn(i32) -> Belief) -> Option<Change> {
        self.isr_queued.store(false, Ordering::Release);
        let mut inner = self.inner.lock();
        let change = inner.replica.leader_mut()?.propose(clock::now_ms(), max_lag_ms, belief)?;
        debug!(partition = %self.name(), state = %change.new, "proposing in-sync replicas");
        Some(change)
    }

    /// An attempt to change the ISR has ended.
    pub fn answered(&self, change: &Change, outcome: Outcome) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let moved = inner.replica.answered(change, outcome);
        if let Some(state) = inner.replica.state().filter(|_| outcome == Outcome::Succeeded) {
            self.state.store(Arc::new(state.clone()));
        }
        self.publish(inner, moved);
    }

    /// Whether [`Partition::propose`] may have something to say as time passes.
    pub fn needs_a_look(&self) -> bool {
        self.is_leader() && self.inner.lock().replica.leader().is_some_and(|leader| leader.needs_a_look())
    }

    /// Whether it has to be queued for a look at its ISR; it counts as queued then, until [`Partition::propose`].
    pub fn queue_for_isr(&self) -> bool {
        !self.isr_queued.swap(true, Ordering::AcqRel)
    }

    /// How many records the slowest replica lacks, where this broker leads and has heard of it.
    pub fn replication_lag(&self) -> i64 {
        let inner = self.inner.lock();
        let (Some(leader), Some(log)) = (inner.replica.leader(), &inner.log) else { return 0 };
        let ends = leader.state().replicas.iter().filter_map(|replica| leader.follower_end(*replica));
        ends.min().map_or(0, |slowest| log.log_end_offset().saturating_sub(slowest))
    }

    /// How many in-sync replicas there are beyond `min.insync.replicas`, or lacking, where this broker leads.
    pub fn spare_in_sync(&self) -> Option<i64> {
        self.inner.lock().replica.leader().map(|leader| leader.spare_in_sync())
    }
}

/// Appends what a leader sent, and lets go of what the leader has let go of.
fn append(log: &mut Log, answer: &Answer, records: &[u8], now_ms: i64) -> Result<(), StorageError> {
    if !records.is_empty() {
        match log.append_as_follower(records, now_ms) {
            // The leader's log begins within a batch: an empty log takes the whole of it.
            Err(StorageError::UnexpectedOffset { expected, got })
                if got < expected && log.log_start_offset() == log.log_end_offset() =>
            {
                log.truncate_fully_and_start_at(got, now_ms)?;
                log.append_as_follower(records, now_ms)?;
            }
            appended => {
                appended?;
            }
        }
    }
    if let Answer::Records { log_start, high_watermark } = *answer
        && log_start > log.log_start_offset()
    {
        let known = log_start.min(high_watermark).min(log.log_end_offset());
        if known > log.log_start_offset() {
            log.delete_records(known)?;
        }
    }
    Ok(())
}
