//! Compaction: of all records with the same key the newest one stays (`cleanup.policy=compact`).
//!
//! A cleaning has three parts, of which only the first and the last hold up appends: [`Log::clean_task`] takes the
//! sealed segments, [`CleanTask::run`] writes new ones beside them, [`Log::install`] puts these in their place.
//!
//! Batches of transactions and control batches stay as they are: whether their records count is not known here.

mod install;
mod offset_map;
mod rewrite;

use std::{collections::HashSet, fs::File, path::PathBuf, sync::Arc};

use crate::{
    config::LogConfig,
    error::StorageError,
    fs::{self, Access, failed},
    index::SegmentIndex,
    log::{Log, Shared},
    num::to_u64,
    segment::{IndexBuilder, Scanned, Segment, file_name},
};

use offset_map::OffsetMap;
use rewrite::{Kept, Survivors};

pub(crate) use install::adopt_swaps;

/// Kafka's default of `min.cleanable.dirty.ratio`, in percent: a log of which less is uncleaned can wait.
const MIN_DIRTY_PERCENT: u64 = 50;
/// Bytes collected before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// A cleaning that can run without the log's lock.
#[derive(Debug)]
#[must_use = "nothing is cleaned before it has run"]
pub struct CleanTask {
    shared: Arc<Shared>,
    config: Arc<LogConfig>,
    /// Sealed segments from the start of the log on.
    sources: Vec<Arc<Segment>>,
    /// Base offset of the segment behind them.
    sources_end: i64,
    /// Records below it have been cleaned before.
    first_dirty: i64,
    /// The newest batch of each producer, by its last offset: it stays, so that the producer is known again.
    newest_batches: HashSet<i64>,
    now_ms: i64,
    truncations: u64,
}

/// New segments, written but not in their place yet.
#[derive(Debug)]
#[must_use = "the old segments stay until it is installed"]
pub struct Cleaned {
    groups: Vec<Group>,
    /// The next cleaning begins to look for new keys there.
    first_dirty: i64,
    truncations: u64,
}

/// Segments that one new segment replaces.
#[derive(Debug)]
struct Group {
    sources: Vec<Arc<Segment>>,
    /// The new segment's size and indexes; none where no record was left.
    replacement: Option<(u64, SegmentIndex)>,
}

impl Log {
    /// What can be cleaned: sealed segments below `high_watermark` and below every open transaction, old enough for
    /// `min.compaction.lag.ms`. None where too little of the log is uncleaned to be worth it.
    ///
    /// # Errors
    /// An index cannot be read, or the log takes no writes.
    pub fn clean_task(&self, now_ms: i64, high_watermark: i64) -> Result<Option<CleanTask>, StorageError> {
        self.shared.check_writable()?;
        if !self.config.cleanup_compact {
            return Ok(None);
        }
        let bound = self.producers.first_undecided_offset().unwrap_or(i64::MAX).min(high_watermark);
        let newest = now_ms.saturating_sub(self.config.min_compaction_lag_ms);
        let segments = self.shared.segments();
        let (mut sources, mut sources_end) = (Vec::new(), 0);
        let (mut clean, mut dirty) = (0u64, 0u64);
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            if next.base_offset > bound || segment.max_timestamp()?.timestamp > newest {
                break;
            }
            let part = if next.base_offset > self.first_dirty { &mut dirty } else { &mut clean };
            *part = part.saturating_add(segment.size());
            sources.push(segment.clone());
            sources_end = next.base_offset;
        }
        let enough =
            dirty.saturating_mul(100) >= clean.saturating_add(dirty).saturating_mul(MIN_DIRTY_PERCENT);
        if dirty == 0 || !enough {
            return Ok(None);
        }
        Ok(Some(CleanTask {
            shared: self.shared.clone(),
            config: self.config.clone(),
            sources,
            sources_end,
            first_dirty: self.first_dirty,
            newest_batches: self.producers.newest_batches().collect(),
            now_ms,
            truncations: self.shared.truncations(),
        }))
    }
}

impl CleanTask {
    /// Writes the new segments, durably, under names that the log does not read.
    ///
    /// # Errors
    /// A source is corrupt, or a file cannot be read or written. The log is as before.
    pub fn run(self) -> Result<Cleaned, StorageError> {
        let (map, end) = self.newest_offsets()?;
        let survivors = Survivors {
            map: &map,
            first_dirty: self.first_dirty,
            tombstones_from: self.now_ms.saturating_sub(self.config.delete_retention_ms),
            newest_batches: &self.newest_batches,
        };
        let mut groups = Vec::new();
        for sources in self.grouped(end) {
            if let Some(group) = self.clean_group(sources, &survivors)? {
                groups.push(group);
            }
        }
        Ok(Cleaned { groups, first_dirty: end, truncations: self.truncations })
    }

    /// The newest offset of each key from the first dirty offset on, and how far that goes.
    fn newest_offsets(&self) -> Result<(OffsetMap, i64), StorageError> {
        let mut map = OffsetMap::new();
        let mut end = self.first_dirty;
        for segment in &self.sources {
            let mut scan = segment.scan(0, segment.size())?;
            while let Some((scanned, bytes)) = scan.next_verified()? {
                if scanned.header.last_offset() < self.first_dirty {
                    continue;
                }
                if !rewrite::note_keys(bytes, &mut map) {
                    // The map is full. What is in it serves for the records below.
                    return Ok((map, end));
                }
                end = scanned.header.next_offset();
            }
            scan.finish()?;
        }
        Ok((map, end))
    }

    /// Neighbours that are small enough become one segment.
    fn grouped(&self, end: i64) -> Vec<Vec<Arc<Segment>>> {
        let mut groups: Vec<Vec<Arc<Segment>>> = Vec::new();
        let mut bytes = 0u64;
        let ends = self.sources.iter().skip(1).map(|next| next.base_offset).chain([self.sources_end]);
        for (segment, segment_end) in self.sources.iter().zip(ends) {
            if segment.base_offset >= end {
                break;
            }
            bytes = bytes.saturating_add(segment.size());
            // Offsets are indexed relative to the first.
            let near =
                |first: &Arc<Segment>| segment_end.saturating_sub(first.base_offset) <= i64::from(i32::MAX);
            let small = bytes <= u64::from(self.config.segment_bytes);
            match groups.last_mut() {
                Some(group) if small && group.first().is_some_and(near) => group.push(segment.clone()),
                _ => {
                    bytes = segment.size();
                    groups.push(vec![segment.clone()]);
                }
            }
        }
        groups
    }

    /// None where nothing would change.
    fn clean_group(
        &self,
        sources: Vec<Arc<Segment>>,
        survivors: &Survivors<'_>,
    ) -> Result<Option<Group>, StorageError> {
        let Some(base_offset) = sources.first().map(|segment| segment.base_offset) else { return Ok(None) };
        let mut writer = Writer::create(&self.shared, base_offset, self.config.index_interval_bytes)?;
        let mut changed = sources.len() > 1;
        for segment in &sources {
            let mut scan = segment.scan(0, segment.size())?;
            while let Some((scanned, bytes)) = scan.next_verified()? {
                match survivors
                    .of(bytes)
                    .map_err(|error| segment.corrupt(scanned.position, error.to_string()))?
                {
                    Kept::All => writer.put(bytes)?,
                    Kept::Some(batch) => {
                        changed = true;
                        writer.put(&batch)?;
                    }
                    Kept::None => changed = true,
                }
            }
            scan.finish()?;
        }
        let path = writer.path.clone();
        // The log's first segment stays, be it empty: compaction does not move the log start offset.
        let first = self.sources.first().is_some_and(|first| first.base_offset == base_offset);
        let replacement = Some(writer.finish()?).filter(|(size, _)| *size > 0 || first);
        if !changed || replacement.is_none() {
            fs::remove(&path)?;
        }
        Ok(changed.then_some(Group { sources, replacement }))
    }
}

/// The file of a new segment.
struct Writer {
    file: File,
    path: PathBuf,
    index: IndexBuilder,
    buffer: Vec<u8>,
    written: u64,
}

impl Writer {
    fn create(shared: &Shared, base_offset: i64, interval: u32) -> Result<Writer, StorageError> {
        let path = shared.dir.join(file_name(base_offset, "log.cleaned"));
        let file = fs::open(&path, Access::Replace).map_err(failed("create", &path))?;
        let index = IndexBuilder::new(base_offset, interval, SegmentIndex::new());
        Ok(Writer { file, path, index, buffer: Vec::new(), written: 0 })
    }

    fn put(&mut self, batch: &[u8]) -> Result<(), StorageError> {
        let position = self.written.saturating_add(to_u64(self.buffer.len()));
        let header = milena_records::BatchHeader::parse(batch)?;
        if !self.index.add(&Scanned { position, header }) {
            let reason = format!("offset {} is too far from the first", header.last_offset());
            return Err(StorageError::Corrupt { path: self.path.clone(), position, reason });
        }
        self.buffer.extend_from_slice(batch);
        if self.buffer.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StorageError> {
        fs::write_at(&self.file, self.written, &self.buffer, &[]).map_err(failed("write", &self.path))?;
        self.written = self.written.saturating_add(to_u64(self.buffer.len()));
        self.buffer.clear();
        Ok(())
    }

    /// Size and indexes.
    fn finish(mut self) -> Result<(u64, SegmentIndex), StorageError> {
        self.write()?;
        fs::sync_all(&self.file).map_err(failed("sync", &self.path))?;
        Ok((self.written, self.index.into_index()))
    }
}
