//! What of a log can be cleaned, and whether it is worth it.

use std::{cmp::Ordering, sync::Arc};

use super::CleanTask;
use crate::{
    error::StorageError,
    fs,
    log::Log,
    segment::{Segment, file_name},
};

/// What a cleaning of a log would find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanable {
    /// Bytes that have been through a cleaning.
    pub clean_bytes: u64,
    /// Bytes that have not, and may now.
    pub dirty_bytes: u64,
    /// How long the oldest of them has waited beyond `max.compaction.lag.ms`; 0 where it has not.
    pub overdue_ms: i64,
    /// `min.cleanable.dirty.ratio` in millionths.
    min_dirty_millionths: u32,
}

impl Cleanable {
    /// Whether enough of the log is new, or something has waited for too long.
    pub fn is_due(&self) -> bool {
        self.dirty_bytes > 0
            && (self.overdue_ms > 0 || self.dirty_millionths() > u64::from(self.min_dirty_millionths))
    }

    /// The part of the log that is new, in millionths.
    pub fn dirty_millionths(&self) -> u64 {
        let total = u128::from(self.clean_bytes).saturating_add(u128::from(self.dirty_bytes));
        let part = u128::from(self.dirty_bytes).saturating_mul(1_000_000).checked_div(total).unwrap_or(0);
        u64::try_from(part).unwrap_or(1_000_000)
    }

    /// Which of two logs needs it more: the one of which the larger part is new.
    pub fn by_need(&self, other: &Cleanable) -> Ordering {
        self.dirty_millionths().cmp(&other.dirty_millionths())
    }
}

/// The segments that a cleaning takes: from the start of the log on.
struct Sources {
    segments: Vec<Arc<Segment>>,
    /// Base offset of the segment behind them.
    end: i64,
    clean_bytes: u64,
    dirty_bytes: u64,
    first_dirty: i64,
}

impl Log {
    /// What a cleaning would find now; none where the log is not compacted.
    ///
    /// # Errors
    /// An index or a segment cannot be read, or the log takes no writes.
    pub fn cleanable(&self, now_ms: i64, high_watermark: i64) -> Result<Option<Cleanable>, StorageError> {
        self.shared.check_writable()?;
        if !self.config.cleanup_compact {
            return Ok(None);
        }
        let sources = self.clean_sources(now_ms, high_watermark)?;
        self.judge(&sources, now_ms).map(Some)
    }

    /// A cleaning of all that may be cleaned: sealed segments below `high_watermark` and below every open
    /// transaction, old enough for `min.compaction.lag.ms`. None where it is not due.
    ///
    /// # Errors
    /// As [`Log::cleanable`].
    pub fn clean_task(&self, now_ms: i64, high_watermark: i64) -> Result<Option<CleanTask>, StorageError> {
        self.shared.check_writable()?;
        if !self.config.cleanup_compact {
            return Ok(None);
        }
        let sources = self.clean_sources(now_ms, high_watermark)?;
        if !self.judge(&sources, now_ms)?.is_due() {
            return Ok(None);
        }
        Ok(Some(CleanTask {
            shared: self.shared.clone(),
            config: self.config.clone(),
            sources: sources.segments,
            sources_end: sources.end,
            high_watermark,
            first_dirty: sources.first_dirty,
            last_records: self.producers.last_records(),
            now_ms,
            truncations: self.shared.truncations(),
        }))
    }

    /// Where the next cleaning begins to look for new keys: what is in `cleaner-offset-checkpoint`.
    pub fn first_dirty_offset(&self) -> i64 {
        let (start, end) = (self.log_start_offset(), self.log_end_offset());
        // Beyond the end: the end was lost, and nobody knows what was cleaned.
        if (start..=end).contains(&self.first_dirty) { self.first_dirty } else { start }
    }

    /// Takes an offset from `cleaner-offset-checkpoint`: what is below it has been cleaned.
    pub fn resume_cleaning_at(&mut self, offset: i64) {
        self.first_dirty = offset;
        self.first_dirty = self.first_dirty_offset();
    }

    /// Seals the active segment of a compacted log where its first record waits for longer than
    /// `max.compaction.lag.ms`: only sealed segments are cleaned, and perhaps nobody appends any more.
    ///
    /// # Errors
    /// As [`Log::roll`].
    pub fn roll_for_compaction(&mut self, now_ms: i64) -> Result<(), StorageError> {
        let lag_ms = self.config.max_compaction_lag_ms;
        if self.config.cleanup_compact && lag_ms < i64::MAX && self.active_waits_since(now_ms)? > lag_ms {
            return self.roll(now_ms);
        }
        Ok(())
    }

    fn clean_sources(&self, now_ms: i64, high_watermark: i64) -> Result<Sources, StorageError> {
        let first_dirty = self.first_dirty_offset();
        let bound = self.shared.last_stable_offset(high_watermark);
        let lag_ms = self.config.min_compaction_lag_ms;
        let youngest = now_ms.saturating_sub(lag_ms);
        let segments = self.shared.segments();
        let mut sources =
            Sources { segments: Vec::new(), end: first_dirty, clean_bytes: 0, dirty_bytes: 0, first_dirty };
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            let dirty = next.base_offset > first_dirty;
            let young = dirty && lag_ms > 0 && segment.max_timestamp()?.timestamp > youngest;
            if next.base_offset > bound || young {
                break;
            }
            let part = if dirty { &mut sources.dirty_bytes } else { &mut sources.clean_bytes };
            *part = part.saturating_add(segment.size());
            sources.segments.push(segment.clone());
            sources.end = next.base_offset;
        }
        Ok(sources)
    }

    fn judge(&self, sources: &Sources, now_ms: i64) -> Result<Cleanable, StorageError> {
        Ok(Cleanable {
            clean_bytes: sources.clean_bytes,
            dirty_bytes: sources.dirty_bytes,
            overdue_ms: self.overdue_ms(sources, now_ms)?,
            min_dirty_millionths: self.config.min_cleanable_dirty_millionths,
        })
    }

    /// How long the oldest batch that may be cleaned has waited beyond `max.compaction.lag.ms`.
    fn overdue_ms(&self, sources: &Sources, now_ms: i64) -> Result<i64, StorageError> {
        let lag_ms = self.config.max_compaction_lag_ms;
        if lag_ms == i64::MAX {
            return Ok(0);
        }
        let mut oldest = i64::MAX;
        let ends = sources.segments.iter().skip(1).map(|next| next.base_offset).chain([sources.end]);
        for (segment, _) in sources.segments.iter().zip(ends).filter(|(_, end)| *end > sources.first_dirty) {
            oldest = oldest.min(segment.first_timestamp()?.filter(|time| *time > 0).unwrap_or(i64::MAX));
        }
        Ok(now_ms.saturating_sub(lag_ms).saturating_sub(oldest).max(0))
    }
}

/// Bytes of a segment's larger index.
pub(super) fn index_bytes(segment: &Segment) -> u64 {
    let size = |suffix| fs::size(&segment.dir().join(file_name(segment.base_offset, suffix)));
    size("index").max(size("timeindex"))
}
