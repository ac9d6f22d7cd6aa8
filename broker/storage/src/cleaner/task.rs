//! A cleaning under way.

use std::{collections::HashMap, sync::Arc};

use super::{
    Cleaned, CleanerLimits, Group, Meter, Pace,
    candidate::index_bytes,
    filter::{Filter, Kept, note_keys},
    offset_map::OffsetMap,
    stopped,
    transactions::{Aborted, Met},
    writer::Writer,
};
use crate::{
    config::LogConfig,
    epochs,
    error::StorageError,
    fs::{self, Durability, not_synced},
    log::{Shared, marker_of},
    producer::LastRecord,
    segment::{Scan, Segment, file_name},
    transactions::AbortedTransaction,
};

/// A cleaning that can run without the log's lock.
#[derive(Debug)]
#[must_use = "nothing is cleaned before it has run"]
pub struct CleanTask {
    pub(super) shared: Arc<Shared>,
    pub(super) config: Arc<LogConfig>,
    /// Sealed segments from the start of the log on.
    pub(super) sources: Vec<Arc<Segment>>,
    /// Base offset of the segment behind them.
    pub(super) sources_end: i64,
    pub(super) high_watermark: i64,
    /// Records below it have been cleaned before.
    pub(super) first_dirty: i64,
    pub(super) last_records: HashMap<i64, LastRecord>,
    pub(super) now_ms: i64,
    pub(super) truncations: u64,
}

/// What the first pass learned.
struct Learned {
    map: OffsetMap,
    /// Keys of records from here on are not in it.
    end: i64,
    aborted: Option<Aborted>,
    /// The last offset of each producer's newest batch up to `end`.
    settled: HashMap<i64, i64>,
}

impl CleanTask {
    /// Writes the new segments, durably, under names that the log does not read.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] where a source is; [`StorageError::CleaningStopped`] where `pace` ended it, or a
    /// transaction's marker is not replicated yet; a file cannot be read or written. The log is as before.
    pub fn run(self, limits: &CleanerLimits, pace: &dyn Pace) -> Result<Cleaned, StorageError> {
        let mut groups = Vec::new();
        let done = self.clean(limits, pace, &mut groups);
        if let Err(error) = &done {
            for source in &self.sources {
                fs::remove(&self.shared.dir.join(file_name(source.base_offset, "log.cleaned")))?;
            }
            // Whoever deletes or closes a log meanwhile may take its files away; that is no failure of the disk.
            self.shared.check_writable()?;
            if error.is_failed_disk() {
                self.shared.poison(error);
            }
        }
        let (first_dirty, stats) = done?;
        Ok(Cleaned { groups, first_dirty: Some(first_dirty), truncations: self.truncations, stats })
    }

    fn clean(
        &self,
        limits: &CleanerLimits,
        pace: &dyn Pace,
        groups: &mut Vec<Group>,
    ) -> Result<(i64, super::CleanStats), StorageError> {
        self.sync_sources()?;
        let mut meter = Meter { shared: &self.shared, pace, stats: Default::default(), uncharged: 0 };
        let Learned { map, end, aborted, mut settled } = self.learn(limits, &mut meter)?;
        self.settle_others(&mut settled)?;
        if end == self.first_dirty {
            return Err(stopped(
                &self.shared,
                "log.cleaner.dedupe.buffer.size has no room for the keys of one batch",
            ));
        }
        let (keys, room) = map.usage();
        meter.stats.map_percent = keys.saturating_mul(100).checked_div(room).unwrap_or(0);
        meter.stats.complete = end == self.sources_end;
        let mut filter = Filter {
            map: &map,
            end,
            upper_bound: self.sources_end,
            now_ms: self.now_ms,
            delete_retention_ms: self.config.delete_retention_ms,
            aborted,
            last_records: &self.last_records,
            settled: &settled,
            met: Met::default(),
            ends: Vec::new(),
            stay: Vec::new(),
        };
        for sources in self.grouped(end) {
            groups.extend(self.clean_group(sources, &mut filter, limits, &mut meter)?);
        }
        Ok((end, meter.stats))
    }

    /// A record goes because there is a newer one, which must then be as durable as it was. So must what else only
    /// it tells: which epoch wrote it.
    fn sync_sources(&self) -> Result<(), StorageError> {
        let epochs = self.shared.epochs.write().take_unsynced();
        if let Some(content) = epochs {
            let stored = epochs::store(&self.shared.dir, &content, Durability::Machine);
            stored.inspect_err(|_| self.shared.epochs.write().mark_dirty())?;
        }
        let point = *self.shared.recovery_point.lock();
        let ends = self.sources.iter().skip(1).map(|next| next.base_offset).chain([self.sources_end]);
        for (segment, _) in self.sources.iter().zip(ends).filter(|(_, end)| *end > point) {
            let file = segment.file()?;
            self.shared.guard_all(fs::sync_data(&file).map_err(not_synced("sync", &segment.path())))?;
        }
        Ok(())
    }

    /// Adds to `settled` the newest batch of producers that have one behind the sources, and none that is dirty in them.
    /// What is behind, a truncation or a power cut may take: then they are known by this one.
    fn settle_others(&self, settled: &mut HashMap<i64, i64>) -> Result<(), StorageError> {
        let behind = |last: &LastRecord| last.last_data_offset.is_some_and(|at| at >= self.sources_end);
        let mut others: HashMap<i64, i64> = self
            .last_records
            .iter()
            .filter(|(id, last)| behind(last) && !settled.contains_key(id))
            .map(|(id, _)| (*id, -1))
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        for segment in self.sources.iter().take_while(|segment| segment.base_offset < self.first_dirty) {
            let mut scan = segment.scan(0, segment.size())?;
            while let Some(batch) = scan.next_header()? {
                if let Some(newest) = others.get_mut(&batch.header.producer_id)
                    && !batch.header.is_control()
                {
                    *newest = batch.header.last_offset();
                }
            }
        }
        settled.extend(others);
        Ok(())
    }

    /// The newest offset of each key from the first dirty offset on, as far as there is room for keys.
    fn learn(&self, limits: &CleanerLimits, meter: &mut Meter<'_>) -> Result<Learned, StorageError> {
        let records = usize::try_from(self.sources_end.saturating_sub(self.first_dirty)).unwrap_or(0);
        let map = OffsetMap::new(limits.map_bytes, limits.map_load_percent, records);
        let mut learned = Learned { map, end: self.first_dirty, aborted: None, settled: HashMap::new() };
        let ends = self.sources.iter().skip(1).map(|next| next.base_offset).chain([self.sources_end]);
        for (segment, end) in self.sources.iter().zip(ends).filter(|(_, end)| *end > self.first_dirty) {
            let mut scan = self.scan(segment, segment.position_before(self.first_dirty)?, limits)?;
            while let Some((scanned, bytes)) = scan.next_verified()? {
                meter.read(bytes.len())?;
                if scanned.header.last_offset() < self.first_dirty {
                    continue;
                }
                if learned.aborted.is_none() && scanned.header.is_transactional() {
                    learned.aborted = Some(self.aborted(meter)?);
                }
                if note_keys(bytes, self.first_dirty, learned.aborted.as_ref(), &mut learned.map).is_err() {
                    // What is in the map serves for the records below.
                    return Ok(learned);
                }
                learned.end = scanned.header.next_offset();
                if scanned.header.has_producer_id() && !scanned.header.is_control() {
                    learned.settled.insert(scanned.header.producer_id, scanned.header.last_offset());
                }
            }
            scan.finish()?;
            learned.end = end;
        }
        Ok(learned)
    }

    fn scan(&self, segment: &Segment, from: u64, limits: &CleanerLimits) -> Result<Scan, StorageError> {
        let chunk = u32::try_from(limits.io_bytes).unwrap_or(u32::MAX);
        Ok(segment.scan(from, segment.size())?.chunk(chunk))
    }

    /// The aborted transactions of the whole log. Markers may lie behind what is cleaned; those that are not
    /// replicated yet may be taken back, and end nothing.
    fn aborted(&self, meter: &mut Meter<'_>) -> Result<Aborted, StorageError> {
        let mut aborted = Aborted::default();
        for segment in self.shared.segments().iter() {
            let size = segment.size();
            let mut scan = segment.scan(0, size)?;
            while let Some(batch) = scan.next_header()? {
                if batch.header.base_offset >= self.high_watermark {
                    break;
                }
                meter.read(milena_records::HEADER_LEN)?;
                let marker = match batch.header.is_control() {
                    true => marker_of(&segment.read_batch(&batch)?),
                    false => None,
                };
                aborted.note(&batch.header, marker.map(|marker| marker.commit));
            }
        }
        match aborted.first_open() {
            Some(first) if first < self.sources_end => {
                Err(stopped(&self.shared, "the end of a transaction is not replicated yet"))
            }
            _ => Ok(aborted),
        }
    }

    /// Neighbours that are small enough become one segment.
    fn grouped(&self, end: i64) -> Vec<Vec<Arc<Segment>>> {
        let mut groups: Vec<Vec<Arc<Segment>>> = Vec::new();
        let (mut bytes, mut indexed) = (0u64, 0u64);
        let ends = self.sources.iter().skip(1).map(|next| next.base_offset).chain([self.sources_end]);
        for (segment, segment_end) in self.sources.iter().zip(ends) {
            if segment.base_offset >= end {
                break;
            }
            let index = index_bytes(segment);
            bytes = bytes.saturating_add(segment.size());
            indexed = indexed.saturating_add(index);
            // Offsets are indexed relative to the first.
            let near =
                |first: &Arc<Segment>| segment_end.saturating_sub(first.base_offset) <= i64::from(i32::MAX);
            let small = bytes <= u64::from(self.config.segment_bytes)
                && indexed <= u64::from(self.config.index_size_max_bytes);
            match groups.last_mut() {
                Some(group) if small && group.first().is_some_and(near) => group.push(segment.clone()),
                _ => {
                    (bytes, indexed) = (segment.size(), index);
                    groups.push(vec![segment.clone()]);
                }
            }
        }
        groups
    }

    /// None where nothing would change. A file is begun with the first change.
    fn clean_group(
        &self,
        sources: Vec<Arc<Segment>>,
        filter: &mut Filter<'_>,
        limits: &CleanerLimits,
        meter: &mut Meter<'_>,
    ) -> Result<Option<Group>, StorageError> {
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else { return Ok(None) };
        let base_offset = first.base_offset;
        let interval = self.config.index_interval_bytes;
        filter.ends.clear();
        let next = self.sources.iter().find(|segment| segment.base_offset > last.base_offset);
        filter.upper_bound = next.map_or(self.sources_end, |segment| segment.base_offset);
        let create = || Writer::create(&self.shared, base_offset, interval, limits.io_bytes);
        let mut writer = if sources.len() > 1 { Some(create()?) } else { None };
        for segment in &sources {
            let mut scan = self.scan(segment, 0, limits)?;
            while let Some((scanned, bytes)) = scan.next_verified()? {
                meter.read(bytes.len())?;
                if filter.aborted.is_none()
                    && (scanned.header.is_transactional() || scanned.header.is_control())
                {
                    filter.aborted = Some(self.aborted(meter)?);
                }
                let kept = filter
                    .batch(bytes)
                    .map_err(|error| segment.corrupt(scanned.position, error.to_string()))?;
                if writer.is_none() && kept != Kept::All {
                    let mut begun = create()?;
                    self.copy(segment, scanned.position, &mut begun, limits, meter)?;
                    writer = Some(begun);
                }
                let Some(writer) = &mut writer else { continue };
                match kept {
                    Kept::All => writer.put(bytes, meter)?,
                    Kept::Some(batch) => writer.put(&batch, meter)?,
                    Kept::None => {}
                }
            }
            scan.finish()?;
        }
        let Some(writer) = writer else { return Ok(None) };
        let finished = writer.finish(last.modified_ms()?, meter)?;
        // The log's first segment stays, be it empty: compaction does not move the log start offset.
        let is_first = self.sources.first().is_some_and(|first| first.base_offset == base_offset);
        let replacement = Some(finished).filter(|(size, _)| *size > 0 || is_first);
        if replacement.is_none() {
            fs::remove(&self.shared.dir.join(file_name(base_offset, "log.cleaned")))?;
        }
        Ok(Some(Group { aborted: aborted_by(&sources, &filter.ends)?, sources, replacement }))
    }

    /// What stays as it is before the first change of a segment.
    fn copy(
        &self,
        segment: &Segment,
        to: u64,
        writer: &mut Writer,
        limits: &CleanerLimits,
        meter: &mut Meter<'_>,
    ) -> Result<(), StorageError> {
        let mut scan = self.scan(segment, 0, limits)?;
        while let Some((scanned, bytes)) = scan.next_verified()? {
            if scanned.position >= to {
                return Ok(());
            }
            meter.read(bytes.len())?;
            writer.put(bytes, meter)?;
        }
        scan.finish()
    }
}

/// The aborted transactions that end with these markers: readers that are still in the old segments need them. The
/// others have no data any more.
fn aborted_by(sources: &[Arc<Segment>], markers: &[i64]) -> Result<Vec<AbortedTransaction>, StorageError> {
    let mut needed = Vec::new();
    for source in sources {
        let entries = source.aborted()?;
        needed.extend(entries.iter().filter(|entry| markers.binary_search(&entry.last_offset).is_ok()));
    }
    Ok(needed)
}
