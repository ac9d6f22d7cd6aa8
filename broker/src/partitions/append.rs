//! Appends to a replica that leads, and when they count: durable as the topic asks, and on every in-sync replica.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use milena_records::Batch;
use milena_replication::Acknowledged;
use milena_storage::{AppendInfo, InMemory, Log, Origin};

use super::{
    Partition, PartitionError, Waiter,
    accept::{ProduceVersion, accept},
    exchanges::FollowerSlot,
};
use crate::clock;

/// An append that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Produced {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Time of the append in milliseconds where the topic stamps records, else -1.
    pub log_append_time_ms: i64,
    /// First offset of the log.
    pub log_start_offset: i64,
    /// Bytes appended.
    pub bytes: u64,
    /// Leader epoch of the append.
    pub leader_epoch: i32,
}

impl Partition {
    /// Appends what a producer sent, in a request that lies in a buffer of `buffer` bytes. `all`: the producer wants
    /// every in-sync replica to have it.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS, what is wrong with the records, or what the log says.
    pub fn append(
        &self,
        records: Bytes,
        all: bool,
        version: ProduceVersion,
        buffer: usize,
    ) -> Result<Produced, PartitionError> {
        // Who asks the wrong broker is told so at once: clients that look for thousands of new leaders ask often.
        if !self.is_leader() {
            return Err(self.not_leader());
        }
        let now_ms = clock::now_ms();
        let accepted = accept(records, &self.config.load(), version, now_ms)
            .map_err(|error| PartitionError::records(self.index, &error))?;
        self.append_batch(&accepted.batch(), accepted.in_memory(buffer), Origin::Client, all, now_ms)
    }

    /// Appends a batch of a coordinator on this broker.
    ///
    /// # Errors
    /// As [`Partition::append`].
    pub fn append_own(&self, batch: &[u8]) -> Result<Produced, PartitionError> {
        let batch = Batch::parse(batch).map_err(|error| PartitionError::records(self.index, &error))?;
        self.append_batch(&batch, None, Origin::Coordinator, true, clock::now_ms())
    }

    fn append_batch(
        &self,
        batch: &Batch<'_>,
        memory: Option<InMemory<'_>>,
        origin: Origin,
        all: bool,
        now_ms: i64,
    ) -> Result<Produced, PartitionError> {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let (Some(leader), Some(log)) = (inner.replica.leader_mut(), &mut inner.log) else {
            return Err(self.not_leader());
        };
        if all && !leader.has_enough_in_sync() {
            let message = "fewer replicas are in sync than min.insync.replicas asks for";
            return Err(self.error(ResponseError::NotEnoughReplicas, message));
        }
        let epoch = leader.epoch();
        let info: AppendInfo = log
            .append_kept(batch, memory, origin, epoch, now_ms)
            .map_err(|error| self.storage_error(&error))?;
        let durable_end = self.note_durable(log);
        let moved = leader.appended(log.log_end_offset(), durable_end, now_ms);
        self.publish(inner, moved);
        self.log_end_watchers.mark();
        drop(guard);
        self.exchanges.each(FollowerSlot::urgent);
        Ok(Produced {
            base_offset: info.base_offset,
            last_offset: info.last_offset,
            log_append_time_ms: info.log_append_time,
            log_start_offset: info.log_start_offset,
            bytes: u64::try_from(batch.bytes.len()).unwrap_or(0),
            leader_epoch: epoch,
        })
    }

    /// How far this replica counts as having its records: to the disk where `flush.messages` asks for it.
    pub(super) fn note_durable(&self, log: &Log) -> i64 {
        let end = log.durable_end();
        self.durable_end.fetch_max(end, Ordering::AcqRel).max(end)
    }

    /// A flush has ended, well or badly.
    pub(super) fn flushed(&self) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        if let Some(log) = &inner.log {
            let (end, durable_end) = (log.log_end_offset(), self.note_durable(log));
            let leader = inner.replica.leader_mut();
            let moved = leader.is_some_and(|leader| leader.appended(end, durable_end, clock::now_ms()));
            self.publish(inner, moved);
        }
        drop(guard);
        self.flush_waiters.wake();
        if self.reader().check_writable().is_err() {
            self.waiters.wake();
        }
    }

    /// Whether what was appended is as durable as the topic asks (`flush.messages`).
    pub fn is_durable(&self, produced: &Produced) -> bool {
        self.durable_end.load(Ordering::Acquire) > produced.last_offset
    }

    /// Waits until what was appended is as durable as the topic asks.
    ///
    /// # Errors
    /// KAFKA_STORAGE_ERROR where the disk failed, NOT_LEADER_OR_FOLLOWER once another leader epoch began: the
    /// record may or may not survive.
    pub async fn durable(&self, produced: &Produced) -> Result<(), PartitionError> {
        while !self.is_durable(produced) {
            let waiter = Arc::new(Waiter::default());
            self.flush_waiters.add(&waiter);
            self.check_serving(produced)?;
            if self.is_durable(produced) {
                break;
            }
            waiter.woken().await;
        }
        Ok(())
    }

    /// Whether an append of that leader epoch may still be acknowledged.
    fn check_serving(&self, produced: &Produced) -> Result<(), PartitionError> {
        self.reader().check_writable().map_err(|error| self.storage_error(&error))?;
        if !self.is_leader() || self.state.load().leader_epoch != produced.leader_epoch {
            return Err(self.not_leader());
        }
        Ok(())
    }

    /// Waits until every in-sync replica has what was appended.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER once another leader epoch began: the record may or may not survive.
    pub async fn replicated(&self, produced: &Produced) -> Result<(), PartitionError> {
        loop {
            if self.is_acknowledged(produced)? == Acknowledged::Yes {
                return Ok(());
            }
            let waiter = Arc::new(Waiter::default());
            self.waiters.add(&waiter);
            if self.is_acknowledged(produced)? == Acknowledged::Yes {
                return Ok(());
            }
            // What a disk refuses to keep is never acknowledged from here.
            self.reader().check_writable().map_err(|error| self.storage_error(&error))?;
            waiter.woken().await;
        }
    }

    /// How an append stands, in the leader epoch in which it was made: in another one the offset says nothing.
    fn is_acknowledged(&self, produced: &Produced) -> Result<Acknowledged, PartitionError> {
        let inner = self.inner.lock();
        let leader = inner.replica.leader().filter(|leader| leader.epoch() == produced.leader_epoch);
        leader.map(|leader| leader.acknowledges(produced.last_offset)).ok_or_else(|| self.not_leader())
    }

    /// Why an append is not acknowledged within the time that the client gives it.
    pub fn too_late(&self, produced: &Produced, waited: Duration) -> PartitionError {
        if self.is_acknowledged(produced).is_ok_and(|how| how == Acknowledged::NotEnoughReplicas) {
            let message = "appended, and then fewer replicas were in sync than min.insync.replicas asks for";
            return self.error(ResponseError::NotEnoughReplicasAfterAppend, message);
        }
        let message = format!("not on every in-sync replica after {waited:?}");
        self.error(ResponseError::RequestTimedOut, message)
    }
}
