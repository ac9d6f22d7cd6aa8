//! One index: entries in a file, and the newest ones in memory until there are enough of them for a write.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::entry::IndexEntry;
use crate::{
    error::StorageError,
    fs::{self, Access, failed},
    num::{to_u64, to_usize},
    segment::file_name,
};

/// Below so many entries the search reads them all with one call.
const BLOCK_ENTRIES: u32 = 512;

/// The entries of one index file.
#[derive(Debug)]
pub(crate) struct IndexTable<E> {
    in_file: u32,
    pending: Vec<E>,
    last: Option<E>,
}

/// What memory knows of a lookup.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lookup<E> {
    /// The entry.
    Found(E),
    /// It is among so many entries of the file, if there is one.
    InFile(u32),
}

impl<E: IndexEntry> IndexTable<E> {
    /// No entries, no file.
    pub(crate) fn new() -> IndexTable<E> {
        IndexTable { in_file: 0, pending: Vec::new(), last: None }
    }

    fn path(dir: &Path, base_offset: i64) -> PathBuf {
        dir.join(file_name(base_offset, E::SUFFIX))
    }

    /// The table of a file. None: it is missing or its size is that of no table.
    pub(crate) fn load(dir: &Path, base_offset: i64) -> Result<Option<IndexTable<E>>, StorageError> {
        let path = Self::path(dir, base_offset);
        let Some(file) = fs::open_existing(&path)? else { return Ok(None) };
        let len = file.metadata().map_err(failed("stat", &path))?.len();
        let entry_len = to_u64(E::LEN);
        let Ok(in_file) = u32::try_from(len.checked_div(entry_len).unwrap_or(0)) else { return Ok(None) };
        if u64::from(in_file).saturating_mul(entry_len) != len {
            return Ok(None);
        }
        let mut table = IndexTable { in_file, pending: Vec::new(), last: None };
        if let Some(slot) = in_file.checked_sub(1) {
            table.last = Self::read(&file, &path, slot, 1)?.first().copied();
        }
        Ok(Some(table))
    }

    fn read(file: &File, path: &Path, slot: u32, count: u32) -> Result<Vec<E>, StorageError> {
        let entry_len = to_u64(E::LEN);
        let mut bytes = Vec::new();
        let len = E::LEN.saturating_mul(to_usize(count));
        fs::read_at(file, u64::from(slot).saturating_mul(entry_len), len, &mut bytes)
            .map_err(failed("read", path))?;
        Ok(bytes.chunks_exact(E::LEN).filter_map(E::decode).collect())
    }

    /// The newest entry.
    pub(crate) fn last(&self) -> Option<E> {
        self.last
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        to_usize(self.in_file).saturating_add(self.pending.len())
    }

    /// Bytes of all entries.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.in_file).saturating_add(to_u64(self.pending.len())).saturating_mul(to_u64(E::LEN))
    }

    /// Entries that are not in the file yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Adds an entry in memory.
    pub(crate) fn push(&mut self, entry: E) {
        self.pending.push(entry);
        self.last = Some(entry);
    }

    /// Writes what is pending. After an error it is still pending.
    pub(crate) fn flush(&mut self, dir: &Path, base_offset: i64) -> Result<(), StorageError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let path = Self::path(dir, base_offset);
        let mut bytes = Vec::with_capacity(E::LEN.saturating_mul(self.pending.len()));
        self.pending.iter().for_each(|entry| entry.encode(&mut bytes));
        let file = fs::open_or_create(&path).map_err(failed("open", &path))?;
        let position = u64::from(self.in_file).saturating_mul(to_u64(E::LEN));
        if self.in_file == 0 {
            // What is in the file already is left over from another segment of the same name.
            fs::set_len(&file, 0).map_err(failed("truncate", &path))?;
        }
        if let Err(error) = fs::write_at(&file, position, &bytes, &[]) {
            // What got there may be truncated before it is written again.
            fs::set_len(&file, position).map_err(failed("truncate", &path))?;
            return Err(StorageError::io("write", &path, error));
        }
        self.in_file = self.in_file.saturating_add(u32::try_from(self.pending.len()).unwrap_or(u32::MAX));
        self.pending = Vec::new();
        Ok(())
    }

    /// Makes the file, if it is missing, with no entry.
    pub(crate) fn ensure_file(dir: &Path, base_offset: i64) -> Result<(), StorageError> {
        let path = Self::path(dir, base_offset);
        fs::open_or_create(&path).map(drop).map_err(failed("create", &path))
    }

    /// The newest entry for which `holds` is true, as far as memory tells. `holds` is true for the oldest entries and
    /// false for the rest.
    pub(crate) fn last_pending(&self, holds: impl Fn(&E) -> bool) -> Lookup<E> {
        let pending = self.pending.partition_point(holds);
        match pending.checked_sub(1).and_then(|i| self.pending.get(i)) {
            Some(entry) => Lookup::Found(*entry),
            None => Lookup::InFile(self.in_file),
        }
    }

    /// The newest entry for which `holds` is true.
    pub(crate) fn last_where(
        &self,
        dir: &Path,
        base_offset: i64,
        holds: impl Fn(&E) -> bool,
    ) -> Result<Option<E>, StorageError> {
        match self.last_pending(&holds) {
            Lookup::Found(entry) => Ok(Some(entry)),
            Lookup::InFile(count) => {
                Ok(Self::last_in_file(dir, base_offset, count, holds)?.map(|(_, entry)| entry))
            }
        }
    }

    /// As [`IndexTable::last_where`] among the first `count` entries of the file, with its slot.
    pub(crate) fn last_in_file(
        dir: &Path,
        base_offset: i64,
        count: u32,
        holds: impl Fn(&E) -> bool,
    ) -> Result<Option<(u32, E)>, StorageError> {
        if count == 0 {
            return Ok(None);
        }
        let path = Self::path(dir, base_offset);
        let file = fs::open(&path, Access::Read).map_err(failed("open", &path))?;
        let (mut low, mut high) = (0u32, count);
        while high.saturating_sub(low) > BLOCK_ENTRIES {
            let middle = low.midpoint(high);
            match Self::read(&file, &path, middle, 1)?.first() {
                Some(entry) if holds(entry) => low = middle,
                _ => high = middle,
            }
        }
        let block = Self::read(&file, &path, low, high.saturating_sub(low))?;
        let found = block.partition_point(&holds).checked_sub(1);
        Ok(found.and_then(|i| {
            let slot = low.saturating_add(u32::try_from(i).ok()?);
            Some((slot, *block.get(i)?))
        }))
    }

    /// All entries, oldest first.
    pub(crate) fn entries(&self, dir: &Path, base_offset: i64) -> Result<Vec<E>, StorageError> {
        let mut entries = Vec::new();
        if self.in_file > 0 {
            let path = Self::path(dir, base_offset);
            let file = fs::open(&path, Access::Read).map_err(failed("open", &path))?;
            entries = Self::read(&file, &path, 0, self.in_file)?;
        }
        entries.extend_from_slice(&self.pending);
        Ok(entries)
    }

    /// The oldest entry for which `holds` is false.
    pub(crate) fn first_where_not(
        &self,
        dir: &Path,
        base_offset: i64,
        holds: impl Fn(&E) -> bool,
    ) -> Result<Option<E>, StorageError> {
        let pending = self.pending.partition_point(&holds);
        if pending > 0 || self.in_file == 0 {
            return Ok(self.pending.get(pending).copied());
        }
        let last = Self::last_in_file(dir, base_offset, self.in_file, holds)?;
        let next = last.map_or(0, |(slot, _)| slot.saturating_add(1));
        if next >= self.in_file {
            return Ok(self.pending.first().copied());
        }
        let path = Self::path(dir, base_offset);
        let file = fs::open(&path, Access::Read).map_err(failed("open", &path))?;
        Ok(Self::read(&file, &path, next, 1)?.first().copied())
    }

    /// Keeps the oldest entries, those for which `holds` is true.
    pub(crate) fn truncate(
        &mut self,
        dir: &Path,
        base_offset: i64,
        holds: impl Fn(&E) -> bool,
    ) -> Result<(), StorageError> {
        let pending = self.pending.partition_point(&holds);
        self.pending.truncate(pending);
        if pending > 0 {
            self.last = self.pending.last().copied();
            return Ok(());
        }
        let kept = Self::last_in_file(dir, base_offset, self.in_file, holds)?;
        let in_file = kept.map_or(0, |(slot, _)| slot.saturating_add(1));
        if in_file < self.in_file {
            let path = Self::path(dir, base_offset);
            let file = fs::open_or_create(&path).map_err(failed("open", &path))?;
            fs::set_len(&file, u64::from(in_file).saturating_mul(to_u64(E::LEN)))
                .map_err(failed("truncate", &path))?;
        }
        self.in_file = in_file;
        self.last = kept.map(|(_, entry)| entry);
        Ok(())
    }

    /// Makes the file durable, if there is one.
    pub(crate) fn sync(dir: &Path, base_offset: i64) -> Result<(), StorageError> {
        fs::sync_existing(&Self::path(dir, base_offset))
    }
}

#[cfg(test)]
mod tests;
