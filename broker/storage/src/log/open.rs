//! Making a log, and opening one that is on disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use uuid::Uuid;

use super::{
    Log,
    preallocation::Preallocation,
    recover::{Confirmed, Depth, recover_segment},
    replay::{Range, load_producers},
    retention::remove_files,
    roll::RollClock,
    shared::{Offsets, Shared},
    snapshots::Snapshots,
};
use crate::{
    cleaner::adopt_swaps,
    config::LogConfig,
    epochs::LeaderEpochs,
    error::StorageError,
    fs::{self, failed},
    metadata,
    producer::ProducerState,
    segment::{Segment, SegmentFile, file_name, parse_file_name},
};

/// How much of a log can be relied on when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It was closed in order: nothing is verified.
    Clean,
    /// The process died, the operating system did not: all that was written is there, but the last write may be
    /// torn. The tail is verified.
    SameBoot,
    /// The machine went down: everything behind the recovery point is verified.
    Recover,
}

/// What checkpoints say of a log that is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogStart {
    /// How much can be relied on.
    pub mode: OpenMode,
    /// Everything below it is on disk (`recovery-point-offset-checkpoint`).
    pub recovery_point: i64,
    /// Records below it were deleted (`log-start-offset-checkpoint`).
    pub log_start_offset: i64,
    /// Apache Kafka may have compacted the log: it leaves gaps between the last record of a segment and the next segment,
    /// which say nothing of records that are missing.
    pub may_have_gaps: bool,
}

/// What opening a log had to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Log end offset after it.
    pub log_end_offset: i64,
    /// Bytes whose checksums were verified.
    pub verified_bytes: u64,
    /// Bytes cut from the segment in which the first bad batch was.
    pub truncated_bytes: u64,
    /// Segments behind that, removed.
    pub removed_segments: usize,
    /// What was wrong with the first bad batch.
    pub reason: Option<String>,
    /// The cut took what had been on disk for sure: not a torn write, but damage.
    pub below_recovery_point: bool,
}

impl RecoveryReport {
    /// Whether anything was cut.
    pub fn lost_bytes(&self) -> bool {
        self.truncated_bytes > 0 || self.removed_segments > 0
    }
}

impl Log {
    /// Makes an empty log in `dir`, which is made too. It survives the process; the first flush makes it survive
    /// the machine.
    ///
    /// # Errors
    /// The directory has a log already, or cannot be written.
    pub fn create(
        dir: &Path,
        topic_id: Option<Uuid>,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<Log, StorageError> {
        fs::create_dir_all(dir).map_err(failed("create directory", dir))?;
        if !Listing::read(dir)?.logs.is_empty() {
            let reason = "there is a log already".to_owned();
            return Err(StorageError::BadFile { path: dir.to_path_buf(), reason });
        }
        if let Some(id) = topic_id {
            metadata::write(dir, id)?;
        }
        let dir: Arc<Path> = Arc::from(dir);
        let segments = vec![Arc::new(Segment::create(&dir, 0)?)];
        segments.iter().for_each(|segment| segment.close_file());
        let offsets = Offsets { log_start: 0, log_end: 0, recovery_point: 0 };
        let shared = Shared::new(dir, segments, offsets, LeaderEpochs::default());
        Log::over(shared, config, topic_id, ProducerState::default(), Snapshots::default(), now_ms)
    }

    fn over(
        shared: Shared,
        config: Arc<LogConfig>,
        topic_id: Option<Uuid>,
        producers: ProducerState,
        snapshots: Snapshots,
        now_ms: i64,
    ) -> Result<Log, StorageError> {
        let Some(active) = shared.segments().last().cloned() else {
            let reason = "no segment".to_owned();
            return Err(StorageError::BadFile { path: shared.dir.to_path_buf(), reason });
        };
        let clock = RollClock::new(now_ms);
        let preallocation = Preallocation::new(active.size());
        let first_dirty = shared.log_start_offset();
        let shared = Arc::new(shared);
        Ok(Log { first_dirty, shared, config, topic_id, active, producers, snapshots, clock, preallocation })
    }

    /// Opens the log in `dir`; one without segments begins at the log start offset.
    ///
    /// # Errors
    /// Files cannot be read or written. Damage is no error: what is behind it is cut and reported.
    pub fn open(
        dir: &Path,
        config: Arc<LogConfig>,
        mut start: LogStart,
        now_ms: i64,
    ) -> Result<(Log, RecoveryReport), StorageError> {
        let dir: Arc<Path> = Arc::from(dir);
        let topic_id = metadata::read(&dir)?;
        let mut listing = Listing::read(&dir)?;
        adopt_swaps(&dir, &listing.swaps, &mut listing.logs)?;
        listing.remove_leftovers(&dir)?;
        let mut segments: Vec<Arc<Segment>> = listing
            .logs
            .iter()
            .map(|(&base_offset, &size)| Arc::new(Segment::existing(&dir, base_offset, size)))
            .collect();
        for segment in segments.iter().filter(|segment| !listing.indexes.contains(&segment.base_offset)) {
            segment.note_no_index_files();
        }
        let (mut epochs, mut report) = recover(&dir, &mut segments, &config, &mut start)?;
        let mut snapshots = Snapshots::new(listing.snapshots);
        if segments.is_empty() {
            // What producers wrote last is among what is gone.
            snapshots.remove_where(&dir, |_| true)?;
            segments.push(Arc::new(Segment::create(&dir, start.log_start_offset)?));
            report.log_end_offset = start.log_start_offset;
        }
        let first_base = segments.first().map_or(0, |segment| segment.base_offset);
        let offsets = Offsets {
            log_start: start.log_start_offset.max(first_base),
            log_end: report.log_end_offset,
            recovery_point: match start.mode {
                OpenMode::Clean => report.log_end_offset,
                _ => start.recovery_point.clamp(0, report.log_end_offset),
            },
        };
        // An epoch that began at the log's end has no record to tell of it; after a clean stop the checkpoint is believed.
        let keeps_last = i64::from(start.mode == OpenMode::Clean);
        epochs.truncate_from_end(offsets.log_end.saturating_add(keeps_last));
        epochs.truncate_from_start(start.log_start_offset);
        let range = Range { log_start: offsets.log_start, log_end: offsets.log_end };
        if start.mode == OpenMode::Recover {
            // A snapshot may have survived what a power cut took of the transaction index.
            snapshots.remove_where(&dir, |offset| offset > offsets.recovery_point)?;
        }
        if (start.mode == OpenMode::Recover || report.lost_bytes())
            && let Some(last) = segments.last()
        {
            last.cut_aborted(offsets.log_end)?;
        }
        let of_lost_records = snapshots.latest().is_some_and(|at| at > offsets.log_end);
        let producers = load_producers(&dir, &segments, &mut snapshots, range, &config, now_ms)?;
        if of_lost_records {
            // They must not come back once there are other records.
            fs::sync_dir(&dir)?;
        }
        // 10,000 logs that were looked over must not hold 10,000 files.
        segments.iter().for_each(|segment| segment.close_file());
        let shared = Shared::new(dir, segments, offsets, epochs);
        shared.set_undecided(&producers);
        // The next start may look at less than this one did.
        shared.write_epochs(config.epoch_durability())?;
        Ok((Log::over(shared, config, topic_id, producers, snapshots, now_ms)?, report))
    }
}

/// Brings segments and leader epochs to the end of the last whole batch. No segment may be left.
fn recover(
    dir: &Arc<Path>,
    segments: &mut Vec<Arc<Segment>>,
    config: &LogConfig,
    start: &mut LogStart,
) -> Result<(LeaderEpochs, RecoveryReport), StorageError> {
    let mut report = RecoveryReport::default();
    let stored = LeaderEpochs::load(dir, start.mode == OpenMode::Clean)?;
    let unknown = stored.as_ref().is_none_or(|stored| stored.entries().is_empty());
    let last = segments.len().saturating_sub(1);
    let (first, depth) = match start.mode {
        OpenMode::Clean => (last, Depth::Headers),
        OpenMode::SameBoot => (last, Depth::Tail),
        OpenMode::Recover => {
            // Of one that ends at the recovery point the records are on disk, but its indexes may not be.
            let above = segments.partition_point(|segment| segment.base_offset < start.recovery_point);
            (above.saturating_sub(1), Depth::Whole)
        }
    };
    let log_start = segments.first().map_or(0, |segment| segment.base_offset).max(start.log_start_offset);
    let mut epochs = known_epochs(stored, segments.get(..first).unwrap_or_default(), log_start)?;
    let stored = epochs.clone();
    if unknown && depth != Depth::Whole {
        // Of a part of the last segment nothing else would tell.
        let last: Vec<_> =
            segments.get(first..).into_iter().flatten().filter(|last| last.size() > 0).cloned().collect();
        epochs_of(&last)?.entries().iter().for_each(|entry| epochs.assign(entry.epoch, entry.start_offset));
    }
    let mut confirmed = Confirmed::new(&stored);
    let mut at = first;
    while let Some(segment) = segments.get(at).cloned() {
        let found =
            recover_segment(&segment, depth, config.index_interval_bytes, &mut confirmed, &mut epochs)?;
        report.log_end_offset = found.next_offset;
        report.verified_bytes = report.verified_bytes.saturating_add(found.verified_bytes);
        at = at.saturating_add(1);
        let lost = segments.get(at).and_then(|next| lost_end(found.next_offset, next.base_offset, *start));
        if let Some((bytes, reason)) = found.cut.or(lost.map(|reason| (0, reason))) {
            report.truncated_bytes = bytes;
            report.reason = Some(reason);
            report.below_recovery_point = found.next_offset < start.recovery_point;
            break;
        }
    }
    for gone in segments.split_off(at.min(segments.len())).into_iter().rev() {
        remove_files(dir, gone.base_offset)?;
        report.removed_segments = report.removed_segments.saturating_add(1);
    }
    if start.mode != OpenMode::Recover
        && !report.lost_bytes()
        && report.log_end_offset < start.log_start_offset
        && let Some(first) = segments.first()
    {
        // Nothing is missing, so nobody can have deleted so much.
        let (wrong, end) = (start.log_start_offset, report.log_end_offset);
        tracing::error!(log = %dir.display(), wrong, end, "DAMAGE: the log start offset in the checkpoint is behind the log's end; going on without it");
        start.log_start_offset = first.base_offset;
    }
    if !segments.is_empty() && report.log_end_offset < start.log_start_offset {
        // Files are missing, or damage went further than deletions: nothing is left that may be read.
        for gone in segments.drain(..).rev() {
            remove_files(dir, gone.base_offset)?;
            report.removed_segments = report.removed_segments.saturating_add(usize::from(gone.size() > 0));
        }
        epochs.clear();
    }
    if report.lost_bytes() {
        tracing::warn!(
            log = %dir.display(),
            log_end_offset = report.log_end_offset,
            truncated_bytes = report.truncated_bytes,
            removed_segments = report.removed_segments,
            reason = report.reason.as_deref().unwrap_or("the log ends below its start offset"),
            "cut the end of a log"
        );
        fs::sync_dir(dir)?;
    }
    Ok((epochs, report))
}

/// What is wrong where a segment that ends at `end` is followed by one that begins at `next`. Files reach the disk in
/// any order, so that a power cut may take the last batches of a segment, and none of the next one.
fn lost_end(end: i64, next: i64, start: LogStart) -> Option<String> {
    // A segment begins where the one before ends, unless offsets are too far apart for one (`Log::roll_if_needed`).
    let missing = next.saturating_sub(end);
    let lost = start.mode == OpenMode::Recover
        && !start.may_have_gaps
        && next > start.recovery_point
        && (1..=i64::from(i32::MAX)).contains(&missing);
    lost.then(|| format!("the segment ends at offset {end}, the next one begins at {next}"))
}

/// Leader epochs as the checkpoint tells them, and the batches where it does not. The last segments,
/// which are looked over anyway, are not among `segments`.
fn known_epochs(
    stored: Option<LeaderEpochs>,
    segments: &[Arc<Segment>],
    log_start: i64,
) -> Result<LeaderEpochs, StorageError> {
    let stored = stored.unwrap_or_default();
    let Some(first) = stored.entries().first().map(|entry| entry.start_offset) else {
        return epochs_of(segments);
    };
    if first <= log_start {
        return Ok(stored);
    }
    // Records were deleted, the checkpoint forgot their epochs, and then a crash took the deletion back.
    let back = segments.iter().take_while(|segment| segment.base_offset < first).cloned().collect::<Vec<_>>();
    let mut epochs = epochs_of(&back)?;
    stored.entries().iter().for_each(|entry| epochs.assign(entry.epoch, entry.start_offset));
    Ok(epochs)
}

/// Leader epochs as the batches tell them.
fn epochs_of(segments: &[Arc<Segment>]) -> Result<LeaderEpochs, StorageError> {
    let mut epochs = LeaderEpochs::default();
    for segment in segments {
        let mut scan = segment.scan(0, segment.size())?;
        while let Some(batch) = scan.next_header()? {
            epochs.assign(batch.header.partition_leader_epoch, batch.header.base_offset);
        }
    }
    Ok(epochs)
}

/// The files of a log's directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Base offset to size.
    pub(super) logs: BTreeMap<i64, u64>,
    snapshots: BTreeSet<i64>,
    indexes: BTreeSet<i64>,
    swaps: Vec<i64>,
    garbage: Vec<std::path::PathBuf>,
}

impl Listing {
    pub(super) fn read(dir: &Path) -> Result<Listing, StorageError> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(dir)? {
            let entry = entry.map_err(failed("list", dir))?;
            let name = entry.file_name();
            match parse_file_name(&name.to_string_lossy()) {
                SegmentFile::Log(offset) => {
                    let size = entry.metadata().map_err(failed("stat", &entry.path()))?.len();
                    listing.logs.insert(offset, size);
                }
                SegmentFile::Snapshot(offset) => {
                    listing.snapshots.insert(offset);
                }
                SegmentFile::Index(offset) => {
                    listing.indexes.insert(offset);
                }
                SegmentFile::Garbage => listing.garbage.push(entry.path()),
                SegmentFile::Swap(offset) => listing.swaps.push(offset),
                SegmentFile::Other => {}
            }
        }
        Ok(listing)
    }

    /// Removes what an interrupted deletion, cleaning or checkpoint left.
    fn remove_leftovers(&self, dir: &Path) -> Result<(), StorageError> {
        for path in &self.garbage {
            fs::remove(path)?;
        }
        for orphan in self.indexes.iter().filter(|offset| !self.logs.contains_key(offset)) {
            for suffix in ["index", "timeindex", "txnindex"] {
                fs::remove(&dir.join(file_name(*orphan, suffix)))?;
            }
        }
        Ok(())
    }
}
