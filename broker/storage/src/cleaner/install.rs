//! Putting cleaned segments in the place of their sources, so that a crash at any moment leaves one or the other.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use super::{Cleaned, Group};
use crate::{
    error::StorageError,
    fs,
    index::{IndexTable, OffsetEntry, TimeEntry},
    log::{Garbage, Log},
    segment::{Segment, file_name},
};

impl Log {
    /// Puts cleaned segments in place. Where the sources have changed meanwhile, the work was in vain, and that is
    /// no error.
    ///
    /// # Errors
    /// Files cannot be renamed; the log takes no more writes then.
    pub fn install(&mut self, cleaned: Cleaned) -> Result<Garbage, StorageError> {
        self.shared.check_writable()?;
        let mut garbage = Garbage::default();
        if self.shared.truncations() != cleaned.truncations {
            return self.discard(&cleaned.groups).map(|()| garbage);
        }
        if let Some(last) = cleaned.groups.last().and_then(|group| group.sources.last()) {
            // One from within what is cleaned may know a transaction whose end is about to go: who went on from it
            // would take the transaction for open.
            self.forget_snapshots_within(last.base_offset)?;
        }
        for mut group in cleaned.groups {
            let segments = self.shared.segments();
            let at = group
                .sources
                .first()
                .and_then(|first| segments.iter().position(|have| Arc::ptr_eq(have, first)));
            let Some(at) = at else {
                // Retention was faster.
                self.discard(&[group])?;
                continue;
            };
            if group.replacement.is_some()
                && let Some(first) = group.sources.first()
            {
                // The new segment keeps the index of the first one.
                self.shared.guard(first.replace_aborted(std::mem::take(&mut group.aborted)))?;
                // From here on the new segment counts: the next start finishes what is left undone.
                let swap = self.shared.dir.join(file_name(group.base(), "log.swap"));
                fs::rename(&swap.with_extension("cleaned"), &swap)?;
            }
            let shared = self.shared.clone();
            shared.guard_all(self.replace(group, at, &mut garbage))?;
        }
        self.first_dirty = cleaned.first_dirty.unwrap_or(self.first_dirty);
        Ok(garbage)
    }

    fn discard(&self, groups: &[Group]) -> Result<(), StorageError> {
        groups
            .iter()
            .map(|group| self.shared.dir.join(file_name(group.base(), "log.cleaned")))
            .try_for_each(|path| fs::remove(&path))
    }

    fn replace(&mut self, group: Group, at: usize, garbage: &mut Garbage) -> Result<(), StorageError> {
        let dir = self.shared.dir.clone();
        let base = group.base();
        let path = |suffix| dir.join(file_name(base, suffix));
        fs::sync_dir(&dir)?;
        // Oldest first: a tombstone must not go before what it deletes.
        for source in &group.sources {
            source.mark_removed();
            let stays = group.replacement.is_some() && source.base_offset == base;
            garbage.take(&dir, source.base_offset, stays)?;
        }
        let replacement = match group.replacement {
            None => None,
            Some((size, mut index)) => {
                fs::rename(&path("log.swap"), &path("log"))?;
                index.add_time_entry();
                index.flush(&dir, base)?;
                IndexTable::<OffsetEntry>::ensure_file(&dir, base)?;
                IndexTable::<TimeEntry>::ensure_file(&dir, base)?;
                // No flush comes by here any more.
                IndexTable::<OffsetEntry>::sync(&dir, base)?;
                IndexTable::<TimeEntry>::sync(&dir, base)?;
                Some(Arc::new(Segment::adopt(&dir, base, size, index)))
            }
        };
        let mut segments = self.shared.segments().to_vec();
        segments.splice(at..at.saturating_add(group.sources.len()), replacement);
        self.shared.set_segments(segments);
        self.shared.dir_changed.store(true, Ordering::Release);
        Ok(())
    }
}

/// Finishes what a crash interrupted: puts `.swap` segments in the place of those that they cover. `logs` are the
/// segments of the directory, base offset to size.
pub(crate) fn adopt_swaps(
    dir: &Arc<Path>,
    swaps: &[i64],
    logs: &mut BTreeMap<i64, u64>,
) -> Result<(), StorageError> {
    for &base in swaps {
        let swap = dir.join(file_name(base, "log.swap"));
        let size = std::fs::metadata(&swap).map_err(fs::failed("stat", &swap))?.len();
        // It was synced before it got its name. Damage is found as in any other segment, when it is read.
        let mut scan = Segment::scan_file(&swap, base, size)?;
        // An empty one takes the place of its first source at least.
        let mut end = base.saturating_add(1);
        while let Some(batch) = scan.next_header()? {
            end = batch.header.next_offset();
        }
        let covered: Vec<i64> = logs.range(base..end).map(|(&covered, _)| covered).collect();
        // The first source may be gone already, and its indexes not yet.
        for source in covered.into_iter().chain([base]) {
            logs.remove(&source);
            for suffix in ["log", "index", "timeindex", "txnindex"] {
                // That of the first is the new segment's already.
                if source != base || suffix != "txnindex" {
                    fs::remove(&dir.join(file_name(source, suffix)))?;
                }
            }
        }
        fs::rename(&swap, &dir.join(file_name(base, "log")))?;
        logs.insert(base, size);
    }
    Ok(())
}
