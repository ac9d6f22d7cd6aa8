//! Appending: offsets are assigned, and one write puts the batch behind the log's end.

use bytes::Bytes;
use milena_records::{Batch, BatchHeader, Batches, HEADER_LEN, RecordsError, TimestampType};

use super::{Log, replay::marker_of, wipe::wipe_behind};
use crate::{
    epochs::LeaderEpochs,
    error::{StorageError, is_full},
    fs,
    num::to_u64,
    producer::{Check, EndedTransaction, Origin},
    segment::indexed_batch,
};

/// Index entries that wait in memory for a write. What a crash takes of them is found again by reading the log
/// from the last one in the file.
const PENDING_INDEX_ENTRIES: usize = 128;

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendInfo {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Time of the append for topics with `message.timestamp.type=LogAppendTime`, else -1.
    pub log_append_time: i64,
    /// The log's first offset.
    pub log_start_offset: i64,
    /// Nothing was written: the batch had been appended before, at these offsets.
    pub duplicate: bool,
}

/// A batch in a buffer that outlives the append, for readers at the log's end.
#[derive(Clone, Copy, Debug)]
pub struct InMemory<'a> {
    /// The batch, with the header that it came with.
    pub bytes: &'a Bytes,
    /// Size of the buffer that these bytes lie in, and hold.
    pub buffer: usize,
}

impl Log {
    /// Appends one batch that was validated (`validate_produce`), as the leader of `leader_epoch`. `batch.header`
    /// is what is stored, but for base offset and leader epoch; it may differ from the header in `batch.bytes`
    /// where the broker stamped the batch.
    ///
    /// # Errors
    /// [`StorageError::Producer`] for a sequence or epoch that does not follow; [`StorageError::DiskFull`], after
    /// which the log is as before; other write errors, after which the log takes no more writes.
    pub fn append(
        &mut self,
        batch: &Batch<'_>,
        origin: Origin,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<AppendInfo, StorageError> {
        self.append_kept(batch, None, origin, leader_epoch, now_ms)
    }

    /// As [`Log::append`], of a batch that may stay in memory for those who read at the log's end.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_kept(
        &mut self,
        batch: &Batch<'_>,
        memory: Option<InMemory<'_>>,
        origin: Origin,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<AppendInfo, StorageError> {
        self.shared.check_writable()?;
        let header = &batch.header;
        self.check_size(batch)?;
        if header.is_control()
            && let Some(marker) = marker_of(batch.bytes)
        {
            self.producers.check_marker(header, marker)?;
        } else if let Check::Duplicate { base_offset, last_offset, timestamp } =
            self.producers.check(header, origin)?
        {
            return Ok(self.info(header, base_offset, last_offset, timestamp, true));
        }
        if let Some(disk) = self.shared.disk.get().filter(|_| origin == Origin::Client) {
            disk.check_room(batch.bytes.len())?;
        }
        let placed = BatchHeader {
            base_offset: self.log_end_offset(),
            partition_leader_epoch: leader_epoch,
            ..*header
        };
        self.roll_if_needed(&placed, to_u64(batch.bytes.len()), now_ms)?;
        let rest = batch.bytes.get(HEADER_LEN..).unwrap_or_default();
        let position = self.write(&placed.to_bytes(), rest)?;
        self.note(&placed, batch.bytes, position)?;
        if let Some(InMemory { bytes, buffer }) = memory.filter(|_| !self.config.cleanup_compact) {
            self.shared.tail.keep(&placed, bytes, buffer);
        }
        self.publish(&placed, position);
        self.ask_for_flush();
        Ok(self.info(header, placed.base_offset, placed.last_offset(), header.max_timestamp, false))
    }

    /// Appends batches as a leader sent them, with their offsets and leader epochs: as many as fit into a segment by one
    /// write. Checksums are verified; a batch that the buffer cuts short is left out, with all behind it. The answer is
    /// none if no batch is whole.
    ///
    /// # Errors
    /// As [`Log::append`]; [`StorageError::UnexpectedOffset`] for batches that do not follow the log's end;
    /// [`StorageError::Records`] for corrupt ones. What came before the bad batch may have been appended.
    pub fn append_as_follower(
        &mut self,
        bytes: &[u8],
        now_ms: i64,
    ) -> Result<Option<AppendInfo>, StorageError> {
        self.shared.check_writable()?;
        let mut appended: Option<AppendInfo> = None;
        let mut rest = bytes;
        loop {
            let (len, wrong) = self.good_run(rest);
            if len > 0 {
                let taken = self.append_run(rest.get(..len).unwrap_or_default(), now_ms, &mut appended)?;
                rest = rest.get(taken..).unwrap_or_default();
            } else if let Some(error) = wrong {
                return Err(error);
            } else {
                self.ask_for_flush();
                return Ok(appended);
            }
        }
    }

    /// Bytes of the batches at the start of `bytes` that may follow the log's end and fit into the active segment, or of
    /// the first one alone, and what is wrong with the one behind them, if something is.
    fn good_run(&self, bytes: &[u8]) -> (usize, Option<StorageError>) {
        let room = u64::from(self.config.segment_bytes).saturating_sub(self.active.size());
        let mut expected = self.log_end_offset();
        let mut batches = Batches::new(bytes);
        let mut len = 0;
        loop {
            match batches.next() {
                None | Some(Err(RecordsError::Incomplete { .. })) => return (len, None),
                Some(Err(error)) => return (len, Some(error.into())),
                Some(Ok(batch)) => {
                    if len > 0 && to_u64(batches.position()) > room {
                        return (len, None);
                    }
                    if let Err(error) = self.check_follows(&batch, expected) {
                        return (len, Some(error));
                    }
                    expected = batch.header.next_offset();
                    len = batches.position();
                }
            }
        }
    }

    fn check_follows(&self, batch: &Batch<'_>, expected: i64) -> Result<(), StorageError> {
        batch.verify_crc()?;
        let header = &batch.header;
        if header.base_offset < expected || header.last_offset_delta < 0 {
            return Err(StorageError::UnexpectedOffset { expected, got: header.base_offset });
        }
        self.check_size(batch)
    }

    /// Appends batches that were checked, by one write. The answer is how many bytes of them: fewer where a new segment
    /// is due before one of them.
    fn append_run(
        &mut self,
        run: &[u8],
        now_ms: i64,
        appended: &mut Option<AppendInfo>,
    ) -> Result<usize, StorageError> {
        let first = Batch::parse(run)?;
        self.roll_if_needed(&first.header, to_u64(first.bytes.len()), now_ms)?;
        let position = self.write(run, &[])?;
        let noted = self.note_run(run, position, now_ms, appended);
        let end = self.active.size();
        if end < position.saturating_add(to_u64(run.len())) {
            let file = self.shared.guard(self.active.file())?;
            self.shared.guard_all(wipe_behind(&file, &self.active.path(), end))?;
        }
        noted.map(|()| usize::try_from(end.saturating_sub(position)).unwrap_or(usize::MAX))
    }

    /// Takes note of batches that were written at `position`, up to one before which a new segment is due.
    fn note_run(
        &mut self,
        run: &[u8],
        mut position: u64,
        now_ms: i64,
        appended: &mut Option<AppendInfo>,
    ) -> Result<(), StorageError> {
        for (index, batch) in Batches::new(run).enumerate() {
            let batch = batch?;
            let (header, len) = (&batch.header, to_u64(batch.bytes.len()));
            if index > 0 && self.needs_roll(header, len, now_ms)? {
                return Ok(());
            }
            self.note(header, batch.bytes, position)?;
            self.publish(header, position);
            position = position.saturating_add(len);
            let first = appended.map_or(header.base_offset, |info| info.base_offset);
            *appended = Some(self.info(header, first, header.last_offset(), header.max_timestamp, false));
        }
        Ok(())
    }

    fn check_size(&self, batch: &Batch<'_>) -> Result<(), StorageError> {
        let (declared, available) = (batch.header.size_in_bytes(), batch.bytes.len());
        if declared != available {
            return Err(RecordsError::LengthMismatch { declared, available }.into());
        }
        let (size, limit) = (to_u64(available), u64::from(self.config.segment_bytes));
        if size > limit {
            return Err(StorageError::BatchTooLarge { size, limit });
        }
        Ok(())
    }

    fn info(
        &self,
        header: &BatchHeader,
        base_offset: i64,
        last_offset: i64,
        timestamp: i64,
        duplicate: bool,
    ) -> AppendInfo {
        let log_append_time =
            if header.timestamp_type() == TimestampType::LogAppendTime { timestamp } else { -1 };
        let log_start_offset = self.log_start_offset();
        AppendInfo { base_offset, last_offset, log_append_time, log_start_offset, duplicate }
    }

    /// Writes behind the end of the active segment. The answer is the position.
    fn write(&mut self, head: &[u8], rest: &[u8]) -> Result<u64, StorageError> {
        let file = self.shared.guard(self.active.file())?;
        let position = self.active.size();
        let len = to_u64(head.len()).saturating_add(to_u64(rest.len()));
        let disk = self.shared.disk.get();
        if disk.is_none_or(|disk| disk.has_ample_room()) {
            let at_least = if self.config.preallocate { u64::from(self.config.segment_bytes) } else { 0 };
            let ahead = self.preallocation.reserve(&file, position, len, at_least);
            disk.inspect(|disk| disk.take_room(ahead));
        }
        disk.inspect(|disk| disk.take_room(len));
        let Err(error) = fs::write_at(&file, position, head, rest) else { return Ok(position) };
        let full = is_full(&error);
        let error = StorageError::io("append to", self.active.path(), error);
        if !full {
            self.shared.poison(&error);
        }
        // A part of the batch may be in the file.
        self.shared.guard_all(wipe_behind(&file, &self.active.path(), position))?;
        Err(error)
    }

    /// Indexes, epochs and producers take note of a batch that is written.
    fn note(&mut self, header: &BatchHeader, bytes: &[u8], position: u64) -> Result<(), StorageError> {
        let segment = &self.active;
        if let Some(indexed) = indexed_batch(segment.base_offset, header, position) {
            let interval = self.config.index_interval_bytes;
            let flushed = segment.with_index(|index| {
                index.add(indexed, interval);
                if index.pending() < PENDING_INDEX_ENTRIES {
                    return Ok(());
                }
                index.flush(segment.dir(), segment.base_offset)
            });
            // With a full disk the entries wait on: the batch itself is in the log.
            if let Err(error) = self.shared.guard(flushed)
                && !error.leaves_log_intact()
            {
                return Err(error);
            }
        }
        self.clock.note(position, header.max_timestamp);
        self.note_epoch(header.partition_leader_epoch, header.base_offset)?;
        self.note_producer(header, bytes)?;
        self.snapshots.written(to_u64(header.size_in_bytes()));
        Ok(())
    }

    fn note_producer(&mut self, header: &BatchHeader, bytes: &[u8]) -> Result<(), StorageError> {
        if !header.has_producer_id() {
            return Ok(());
        }
        if header.is_control() {
            let Some(marker) = marker_of(bytes) else { return Ok(()) };
            if let Some(ended) = self.producers.end(header, marker) {
                self.shared.show_end(&ended, &self.producers);
                return self.note_aborted(&ended);
            }
            return Ok(());
        }
        self.producers.update(header, header.base_offset);
        if header.is_transactional() {
            self.shared.show_open(&self.producers);
        }
        Ok(())
    }

    /// With a full disk the entry waits on: the marker itself is in the log.
    fn note_aborted(&self, ended: &EndedTransaction) -> Result<(), StorageError> {
        let Some(aborted) = ended.aborted else { return Ok(()) };
        match self.shared.guard(self.active.add_aborted(aborted)) {
            Err(error) if !error.leaves_log_intact() => Err(error),
            _ => Ok(()),
        }
    }

    /// Notes the first offset of a leader epoch, and writes the checkpoint if that is news.
    pub(super) fn note_epoch(&mut self, epoch: i32, start_offset: i64) -> Result<(), StorageError> {
        let known = |epochs: &LeaderEpochs| {
            !epochs.is_dirty() && epochs.latest().is_some_and(|last| last.epoch == epoch)
        };
        if known(&self.shared.epochs.read()) {
            return Ok(());
        }
        self.shared.epochs.write().assign(epoch, start_offset);
        self.shared.write_epochs(self.config.epoch_durability())
    }

    /// Lets readers see the batch.
    fn publish(&mut self, header: &BatchHeader, position: u64) {
        self.active.set_size(position.saturating_add(to_u64(header.size_in_bytes())));
        self.shared.set_log_end_offset(header.next_offset());
        if let Some(disk) = self.shared.disk.get() {
            disk.grown(&self.shared, &self.active);
        }
        if self.snapshots.due() {
            self.take_snapshot(header.next_offset());
        }
    }
}
