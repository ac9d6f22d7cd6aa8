//! The aborted transactions whose markers lie in a segment, kept in memory while they are in use.

use std::sync::Arc;

use super::Segment;
use crate::{
    error::StorageError,
    transactions::{self, AbortedTransaction},
};

/// The entries of a segment, and how many of them are in its file.
#[derive(Debug, Default)]
pub(super) struct AbortedTable {
    entries: Arc<Vec<AbortedTransaction>>,
    in_file: usize,
    /// The file has changed since it was synced.
    unsynced: bool,
}

impl AbortedTable {
    fn write(&mut self, segment: &Segment) -> Result<(), StorageError> {
        let Some(new) = self.entries.get(self.in_file..).filter(|new| !new.is_empty()) else { return Ok(()) };
        transactions::write(segment.dir(), segment.base_offset, self.in_file, new)?;
        self.in_file = self.entries.len();
        self.unsynced = true;
        Ok(())
    }
}

impl Segment {
    fn with_aborted<T>(
        &self,
        work: impl FnOnce(&mut AbortedTable) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut slot = self.aborted.lock();
        let table = match &mut *slot {
            Some(table) => table,
            empty => {
                let entries = transactions::read(self.dir(), self.base_offset)?;
                let in_file = entries.len();
                empty.insert(AbortedTable { entries: Arc::new(entries), in_file, unsynced: false })
            }
        };
        work(table)
    }

    /// The entries, oldest first.
    pub(crate) fn aborted(&self) -> Result<Arc<Vec<AbortedTransaction>>, StorageError> {
        self.with_aborted(|table| Ok(table.entries.clone()))
    }

    /// Adds an entry, unless it is there already. Where it cannot be written it waits in memory.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn add_aborted(&self, entry: AbortedTransaction) -> Result<(), StorageError> {
        self.with_aborted(|table| {
            if table.entries.last().is_none_or(|last| last.last_offset < entry.last_offset) {
                Arc::make_mut(&mut table.entries).push(entry);
            }
            table.write(self)
        })
    }

    /// Has these entries alone, durably and at once.
    ///
    /// # Errors
    /// The file cannot be written; it is as before.
    pub(crate) fn replace_aborted(&self, entries: Vec<AbortedTransaction>) -> Result<(), StorageError> {
        self.with_aborted(|table| {
            if *table.entries != entries || table.unsynced {
                transactions::replace(self.dir(), self.base_offset, &entries)?;
            }
            let in_file = entries.len();
            *table = AbortedTable { entries: Arc::new(entries), in_file, unsynced: false };
            Ok(())
        })
    }

    /// Drops entries of markers from `offset` on.
    pub(crate) fn cut_aborted(&self, offset: i64) -> Result<(), StorageError> {
        self.with_aborted(|table| {
            let kept = table.entries.partition_point(|entry| entry.last_offset < offset);
            if kept < table.entries.len() {
                Arc::make_mut(&mut table.entries).truncate(kept);
                transactions::write(self.dir(), self.base_offset, kept, &[])?;
                table.in_file = kept;
                table.unsynced = true;
            }
            Ok(())
        })
    }

    /// Writes entries that wait in memory.
    pub(crate) fn write_aborted(&self) -> Result<(), StorageError> {
        match &mut *self.aborted.lock() {
            Some(table) => table.write(self),
            None => Ok(()),
        }
    }

    /// Makes the entries durable. Where none were written this costs nothing.
    pub(crate) fn sync_aborted(&self) -> Result<(), StorageError> {
        let mut slot = self.aborted.lock();
        let Some(table) = slot.as_mut() else { return Ok(()) };
        table.write(self)?;
        if std::mem::take(&mut table.unsynced) {
            transactions::sync(self.dir(), self.base_offset)?;
        }
        Ok(())
    }

    /// Forgets what the file has, for who wants memory back.
    pub(super) fn forget_aborted(&self) {
        let mut slot = self.aborted.lock();
        if slot.as_ref().is_some_and(|table| table.in_file == table.entries.len() && !table.unsynced) {
            *slot = None;
        }
    }
}
