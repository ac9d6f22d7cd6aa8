//! Taking records off the end of a log, as a follower that has to agree with its leader.

use std::sync::Arc;

use super::{
    Log,
    open::Listing,
    preallocation::Preallocation,
    replay::{Range, load_producers},
    retention::remove_files,
    roll::RollClock,
};
use crate::{
    epochs,
    error::StorageError,
    fs::{self, Durability, failed, not_synced},
    num::to_u32,
    segment::Segment,
};

impl Log {
    /// Removes all records from `offset` on, durably. Of a batch that contains it, nothing is left. The answer is
    /// the new log end offset.
    ///
    /// # Errors
    /// Files cannot be cut: the log takes no more writes then.
    pub fn truncate_to(&mut self, offset: i64, now_ms: i64) -> Result<i64, StorageError> {
        self.shared.check_writable()?;
        if offset >= self.log_end_offset() {
            return Ok(self.log_end_offset());
        }
        if offset < self.log_start_offset() {
            self.truncate_fully_and_start_at(offset.max(0), now_ms)?;
            return Ok(self.log_end_offset());
        }
        let segments = self.shared.segments();
        let above = segments.partition_point(|segment| segment.base_offset <= offset).max(1);
        let Some(active) = segments.get(above.saturating_sub(1)).cloned() else {
            return Ok(self.log_end_offset());
        };
        let cut = self.shared.guard(cut_position(&active, offset))?;
        self.shared.lower_recovery_point(cut.1)?;
        let shared = self.shared.clone();
        shared.guard_all(self.cut_to(offset, cut, above, now_ms))
    }

    /// Keeps the first `kept` segments, the last of them up to the position and offset of `cut`.
    fn cut_to(
        &mut self,
        offset: i64,
        (position, end): (u64, i64),
        kept: usize,
        now_ms: i64,
    ) -> Result<i64, StorageError> {
        let segments = self.shared.segments();
        let (kept, gone) = segments.split_at(kept.min(segments.len()));
        let Some(active) = kept.last().cloned() else { return Ok(self.log_end_offset()) };
        let log_start = self.log_start_offset();
        if end < log_start {
            // The batch lies across the log start offset: without it nothing is left that may be read.
            self.start_anew(log_start, now_ms)?;
            return Ok(log_start);
        }
        // Readers first stop seeing what goes; a read under way notices the count and begins anew.
        self.shared.set_log_end_offset(end);
        self.shared.count_truncation();
        self.shared.tail.clear();
        self.shared.set_segments(kept.to_vec());
        // The oldest first: what a crash leaves then ends where it did, and does not begin again below its start.
        for segment in gone.iter() {
            segment.mark_removed();
            remove_files(&self.shared.dir, segment.base_offset)?;
        }
        cut_segment(&active, offset, position)?;
        active.cut_aborted(end)?;
        self.shared.count_truncation();
        self.preallocation = Preallocation::new(active.size());
        self.active = active;
        self.clock = RollClock::new(now_ms);
        self.first_dirty = end.min(self.first_dirty);
        self.shared.epochs.write().truncate_from_end(end);
        self.settle(Range { log_start: self.log_start_offset(), log_end: end }, now_ms)?;
        Ok(end)
    }

    /// Removes all records; the next one gets `offset`.
    ///
    /// # Errors
    /// Files cannot be removed or made; the log takes no more writes then.
    pub fn truncate_fully_and_start_at(&mut self, offset: i64, now_ms: i64) -> Result<(), StorageError> {
        self.shared.check_writable()?;
        self.shared.lower_recovery_point(self.log_start_offset().min(offset))?;
        let shared = self.shared.clone();
        shared.guard_all(self.start_anew(offset, now_ms))
    }

    fn start_anew(&mut self, offset: i64, now_ms: i64) -> Result<(), StorageError> {
        let gone = self.shared.segments();
        self.shared.count_truncation();
        self.shared.tail.clear();
        // The oldest first: what a crash leaves then ends where it did, and does not begin again below its start.
        gone.iter().for_each(|segment| segment.mark_removed());
        // All that there are: one whose deletion failed is in no list any more, and a recovery would take what follows
        // on it for the part behind a gap.
        for base_offset in Listing::read(&self.shared.dir)?.logs.into_keys() {
            remove_files(&self.shared.dir, base_offset)?;
        }
        let active = Arc::new(Segment::create(&self.shared.dir, offset)?);
        self.shared.set_segments(vec![active.clone()]);
        self.shared.set_log_start_offset(offset);
        self.shared.set_log_end_offset(offset);
        self.shared.count_truncation();
        self.preallocation = Preallocation::new(active.size());
        self.active = active;
        self.clock = RollClock::new(now_ms);
        self.first_dirty = offset.min(self.first_dirty);
        self.shared.epochs.write().clear();
        self.snapshots.remove_where(&self.shared.dir, |_| true)?;
        self.settle(Range { log_start: offset, log_end: offset }, now_ms)
    }

    /// Producers and leader epochs at the new end; all of it durable, for a follower must not fetch before.
    fn settle(&mut self, range: Range, now_ms: i64) -> Result<(), StorageError> {
        let segments = self.shared.segments();
        self.producers =
            load_producers(&self.shared.dir, &segments, &mut self.snapshots, range, &self.config, now_ms)?;
        self.shared.set_undecided(&self.producers);
        if let Some(segment) = segments.last() {
            segment.sync_aborted()?;
        }
        let content = {
            let mut epochs = self.shared.epochs.write();
            epochs.take_changes();
            epochs::content(&epochs)
        };
        match epochs::store(&self.shared.dir, &content, Durability::Machine) {
            // The batches tell their epochs, too.
            Err(error) if error.leaves_log_intact() => self.shared.epochs.write().mark_dirty(),
            other => other?,
        }
        fs::sync_dir(&self.shared.dir)
    }
}

/// Where the batch that contains `offset`, or the first one above it, begins, and the log's end without it.
fn cut_position(segment: &Segment, offset: i64) -> Result<(u64, i64), StorageError> {
    let mut scan = segment.scan(segment.position_before(offset)?, segment.size())?;
    while let Some(batch) = scan.next_header()? {
        if batch.header.last_offset() >= offset {
            return Ok((batch.position, offset.min(batch.header.base_offset.max(segment.base_offset))));
        }
    }
    Ok((scan.position(), offset))
}

fn cut_segment(segment: &Segment, offset: i64, position: u64) -> Result<(), StorageError> {
    let relative = i32::try_from(offset.saturating_sub(segment.base_offset)).unwrap_or(i32::MAX);
    segment.set_size(position);
    segment
        .with_index(|index| index.truncate(segment.dir(), segment.base_offset, relative, to_u32(position)))?;
    segment.find_max_timestamp()?;
    let path = segment.path();
    let file = segment.file()?;
    fs::set_len(&file, position).map_err(failed("truncate", &path))?;
    fs::sync_all(&file).map_err(not_synced("sync", &path))
}

#[cfg(test)]
mod tests {
    use milena_records::{Batch, BatchBuilder};
    use rustix::io::Errno;

    use super::*;
    use crate::{
        LogStart, OpenMode, Origin,
        config::LogConfig,
        fs::faulty::{Failure, Op, Plan, mount},
    };

    fn append(log: &mut Log) {
        let mut batch = BatchBuilder::new(0);
        batch.append(0, None, Some(b"value"), &[]).unwrap();
        log.append(&Batch::parse(&batch.build().unwrap()).unwrap(), Origin::Client, 0, 0).unwrap();
    }

    /// Segments whose deletion failed leave no gap, at which a recovery would cut what was flushed.
    #[test]
    fn what_a_failed_deletion_left_costs_nothing_at_a_power_cut() {
        for emptied in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let dir = root.path().join("log");
            let disk = mount(root.path(), 1);
            let config = Arc::new(LogConfig::default());
            let mut log = Log::create(&dir, None, config.clone(), 0).unwrap();
            for _ in 0..4 {
                append(&mut log);
                log.roll(0).unwrap();
            }
            log.delete_records(1).unwrap();
            let failure = Some(Failure { op: Op::Rename, after: 0, errno: Errno::NOSPC });
            disk.disk(|disk| disk.plan(Plan { failure, ..Plan::default() }));
            log.retention(0, 4).unwrap_err();
            disk.disk(|disk| disk.plan(Plan::default()));
            if emptied {
                log.truncate_fully_and_start_at(9, 0).unwrap();
            } else {
                log.delete_records(3).unwrap();
                log.retention(0, 4).unwrap().remove().unwrap();
            }
            append(&mut log);
            let end = log.flush().unwrap();
            drop(log);
            disk.disk(|disk| disk.power_cut());
            let start = LogStart {
                mode: OpenMode::Recover,
                recovery_point: 0,
                log_start_offset: 0,
                may_have_gaps: false,
            };
            let (log, report) = Log::open(&dir, config, start, 0).unwrap();
            assert_eq!(log.log_end_offset(), end, "emptied {emptied}: {report:?}");
        }
    }
}
