//! Bytes in a file behind the log's end: what a write that was refused half way leaves.

use std::{fs::File, path::Path};

use crate::{
    error::StorageError,
    fs::{self, failed, not_synced},
    num::to_u64,
};

/// Zeros written at once.
const CHUNK: u64 = 64 << 10;

/// Takes away what is in the file behind `end`, so that no crash brings it back: the batch that comes there next may be
/// of the same leader epoch, by which replicas could not tell the two apart. It is overwritten, and that is synced,
/// before the file is cut: a process that dies on the way leaves what the next start sees, and cuts itself.
///
/// # Errors
/// It is not known what a crash would leave: the log must take no more writes.
pub(super) fn wipe_behind(file: &File, path: &Path, end: u64) -> Result<(), StorageError> {
    let len = fs::len(file).map_err(failed("stat", path))?;
    if len <= end {
        return Ok(());
    }
    let zeros = vec![0; usize::try_from(CHUNK.min(len.saturating_sub(end))).unwrap_or(0)];
    let mut at = end;
    while at < len {
        let part = usize::try_from(len.saturating_sub(at)).unwrap_or(usize::MAX).min(zeros.len());
        fs::write_at(file, at, zeros.get(..part).unwrap_or_default(), &[]).map_err(failed("wipe", path))?;
        at = at.saturating_add(to_u64(part));
    }
    fs::sync_all(file).map_err(not_synced("sync", path))?;
    fs::set_len(file, end).map_err(failed("cut", path))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use std::sync::Arc;

    use milena_records::{Batch, BatchBuilder, BatchHeader, Batches};
    use rustix::io::Errno;

    use crate::{
        Log, LogConfig, LogStart, OpenMode, Origin, StorageError,
        fs::faulty::{Failure, Mounted, Op, Plan, mount},
    };

    /// Disks, each of which loses something else.
    const DISKS: u64 = 300;
    const EPOCH: i32 = 5;

    fn scratch() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    fn batch(offset: i64, timestamp: i64, value: &str) -> Vec<u8> {
        let mut builder = BatchBuilder::new(0);
        builder.append(timestamp, None, Some(value.as_bytes()), &[]).unwrap();
        let bytes = builder.build().unwrap();
        let header = BatchHeader::parse(&bytes).unwrap();
        let placed = BatchHeader { base_offset: offset, partition_leader_epoch: EPOCH, ..header };
        let mut stored = placed.to_bytes().to_vec();
        stored.extend_from_slice(&bytes[stored.len()..]);
        stored
    }

    fn append(log: &mut Log, value: &str) {
        let bytes = batch(0, 0, value);
        log.append(&Batch::parse(&bytes).unwrap(), Origin::Client, EPOCH, 0).unwrap();
    }

    /// Batches that a disk refuses half way, as many bytes of them as it likes.
    fn refused(log: &mut Log, disk: &Mounted, errno: Errno, dies_after: Option<u64>) -> StorageError {
        let run = [batch(1, 0, "refused 1"), batch(2, 0, "refused 2"), batch(3, 0, "refused 3")].concat();
        let failure = Some(Failure { op: Op::Extend, after: 0, errno });
        disk.disk(|disk| disk.plan(Plan { failure, dies_after, ..Plan::default() }));
        let error = log.append_as_follower(&run, 0).unwrap_err();
        disk.disk(|disk| disk.plan(Plan::default()));
        error
    }

    fn open(root: &std::path::Path, mode: OpenMode, config: &Arc<LogConfig>) -> Log {
        let start = LogStart { mode, recovery_point: 0, log_start_offset: 0, may_have_gaps: false };
        Log::open(&root.join("log"), config.clone(), start, 0).unwrap().0
    }

    /// Base offsets and bytes of all batches.
    fn held(log: &Log) -> Vec<(i64, Vec<u8>)> {
        let (mut all, mut offset) = (Vec::new(), 0);
        while offset < log.log_end_offset() {
            let slice = log.reader().read(offset, 1 << 20, i64::MAX, true).unwrap();
            for batch in Batches::new(&slice.bytes).map(Result::unwrap) {
                assert!(batch.header.base_offset >= offset, "offset {offset} twice");
                offset = batch.header.next_offset();
                all.push((batch.header.base_offset, batch.bytes.to_vec()));
            }
        }
        all
    }

    fn is_beginning_of(found: &[(i64, Vec<u8>)], all: &[(i64, Vec<u8>)]) -> bool {
        found.len() <= all.len() && found == &all[..found.len()]
    }

    /// What was refused is gone for good, whatever of the pages that came there later a power cut takes.
    #[test]
    fn a_power_cut_brings_back_nothing_that_was_refused() {
        for seed in 0..DISKS {
            let root = scratch();
            let disk = mount(root.path(), seed);
            let config = Arc::new(LogConfig::default());
            let mut log = Log::create(&root.path().join("log"), None, config.clone(), 0).unwrap();
            append(&mut log, "flushed");
            log.flush().unwrap();
            assert!(matches!(refused(&mut log, &disk, Errno::NOSPC, None), StorageError::DiskFull { .. }));
            append(&mut log, "written 1");
            let before = held(&log);
            drop(log);
            disk.disk(|disk| disk.power_cut());
            let found = held(&open(root.path(), OpenMode::Recover, &config));
            assert!(!found.is_empty() && is_beginning_of(&found, &before), "disk {seed}: {found:?}");
        }
    }

    /// Nor where the process died while it took that away, or could not: what the next start finds, it keeps.
    #[test]
    fn nor_after_a_death_on_the_way() {
        for (seed, errno) in (0..DISKS).flat_map(|seed| [(seed, Errno::NOSPC), (seed, Errno::IO)]) {
            let root = scratch();
            let disk = mount(root.path(), seed);
            let config = Arc::new(LogConfig::default());
            let mut log = Log::create(&root.path().join("log"), None, config.clone(), 0).unwrap();
            append(&mut log, "flushed");
            log.flush().unwrap();
            // The last ones are beyond the last call.
            refused(&mut log, &disk, errno, Some(1 + seed % 7));
            drop(log);
            disk.disk(|disk| disk.process_death());
            let mut log = open(root.path(), OpenMode::SameBoot, &config);
            append(&mut log, "written 1");
            let before = held(&log);
            drop(log);
            disk.disk(|disk| disk.power_cut());
            let found = held(&open(root.path(), OpenMode::Recover, &config));
            assert!(!found.is_empty() && is_beginning_of(&found, &before), "disk {seed}: {found:?}");
        }
    }

    /// A log whose disk does not take that away takes no more writes.
    #[test]
    fn what_stays_stops_the_log() {
        for op in [Op::Write, Op::Sync, Op::SetLen] {
            let root = scratch();
            let disk = mount(root.path(), 1);
            let mut log =
                Log::create(&root.path().join("log"), None, Arc::new(LogConfig::default()), 0).unwrap();
            append(&mut log, "kept");
            let file = log.active.file().unwrap();
            let end = log.active.size();
            crate::fs::write_at(&file, end, b"left", &[]).unwrap();
            let failure = Some(Failure { op, after: 0, errno: Errno::NOSPC });
            disk.disk(|disk| disk.plan(Plan { failure, ..Plan::default() }));
            let wiped = super::wipe_behind(&file, &log.active.path(), end);
            disk.disk(|disk| disk.plan(Plan::default()));
            log.shared.guard_all(wiped).unwrap_err();
            let bytes = batch(0, 0, "next");
            let next = log.append(&Batch::parse(&bytes).unwrap(), Origin::Client, EPOCH, 0);
            assert!(matches!(next, Err(StorageError::Poisoned { .. })), "{op:?}: {next:?}");
        }
    }

    /// A segment that became too old within what the leader sent is not followed by batches that the next one has, too.
    #[test]
    fn a_segment_that_ends_within_a_run_ends_there() {
        for seed in 0..DISKS {
            let root = scratch();
            let disk = mount(root.path(), seed);
            let config = Arc::new(LogConfig { segment_ms: 100, ..LogConfig::default() });
            let mut log = Log::create(&root.path().join("log"), None, config.clone(), 0).unwrap();
            append(&mut log, "flushed");
            log.flush().unwrap();
            let run = [batch(1, 1, "old 1"), batch(2, 1000, "new 1"), batch(3, 1001, "new 2")].concat();
            log.append_as_follower(&run, 0).unwrap();
            assert_eq!(log.shared.segments().len(), 2);
            let before = held(&log);
            drop(log);
            disk.disk(|disk| disk.power_cut());
            let log = open(root.path(), OpenMode::Recover, &config);
            let found = held(&log);
            assert!(!found.is_empty() && is_beginning_of(&found, &before), "disk {seed}: {found:?}");
            let bytes: usize = found.iter().map(|(_, bytes)| bytes.len()).sum();
            assert_eq!(
                u64::try_from(bytes).unwrap(),
                log.size_in_bytes(),
                "disk {seed}: some are there twice"
            );
        }
    }
}
