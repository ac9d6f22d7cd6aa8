//! One segment: a file of batches and its indexes.

mod aborted;
mod names;
mod rebuild;
mod scan;

pub(crate) use names::{SegmentFile, file_name, parse_file_name};
pub(crate) use rebuild::{IndexBuilder, clear_index_files, indexed_batch, rebuild_index};
pub(crate) use scan::{Scan, ScanEnd, Scanned};

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use aborted::AbortedTable;

use crate::{
    error::StorageError,
    fs::{self, Access, failed},
    index::{IndexEntry, IndexTable, IndexedTimestamp, Lookup, OffsetEntry, SegmentIndex, TimeEntry},
    writeback::WriteBackTurn,
};

/// A segment, shared by the log that writes it and its readers.
#[derive(Debug)]
pub(crate) struct Segment {
    /// No record of the segment has a smaller offset.
    pub(crate) base_offset: i64,
    dir: Arc<Path>,
    /// Bytes that readers may see.
    size: AtomicU64,
    /// Bytes from the start whose checksums were right, or that this process has written.
    verified: AtomicU64,
    /// Opened at first use and closed when idle, so that 10,000 logs do not need 10,000 descriptors.
    file: Mutex<Option<Arc<File>>>,
    used: AtomicBool,
    removed: AtomicBool,
    /// Whether there may be index files. A segment that is too short for an entry has none.
    has_index_files: AtomicBool,
    /// Whether the index was built anew because a lookup was lost: what is lost again is damage of the log.
    repaired: AtomicBool,
    /// Loaded at first use.
    index: Mutex<Option<SegmentIndex>>,
    /// Loaded at first use.
    aborted: Mutex<Option<AbortedTable>>,
    /// How far its pages went to the disk.
    pub(crate) write_back: WriteBackTurn,
}

impl Segment {
    /// A new, empty segment. A file that is there already is emptied.
    pub(crate) fn create(dir: &Arc<Path>, base_offset: i64) -> Result<Segment, StorageError> {
        let path = dir.join(file_name(base_offset, "log"));
        let file = fs::open_or_create(&path).map_err(failed("create", &path))?;
        fs::set_len(&file, 0).map_err(failed("truncate", &path))?;
        let segment = Segment::with(dir, base_offset, 0, Some(SegmentIndex::new()));
        *segment.file.lock() = Some(Arc::new(file));
        Ok(segment)
    }

    /// A segment of that size that is on disk. Nothing is read.
    pub(crate) fn existing(dir: &Arc<Path>, base_offset: i64, size: u64) -> Segment {
        Segment::with(dir, base_offset, size, None)
    }

    /// A segment that this process has just written under another name.
    pub(crate) fn adopt(dir: &Arc<Path>, base_offset: i64, size: u64, index: SegmentIndex) -> Segment {
        let segment = Segment::with(dir, base_offset, size, Some(index));
        segment.set_verified(0, size);
        segment
    }

    fn with(dir: &Arc<Path>, base_offset: i64, size: u64, index: Option<SegmentIndex>) -> Segment {
        Segment {
            base_offset,
            dir: dir.clone(),
            size: AtomicU64::new(size),
            verified: AtomicU64::new(0),
            file: Mutex::new(None),
            used: AtomicBool::new(true),
            removed: AtomicBool::new(false),
            has_index_files: AtomicBool::new(true),
            repaired: AtomicBool::new(false),
            index: Mutex::new(index),
            aborted: Mutex::new(None),
            write_back: WriteBackTurn::after(size),
        }
    }

    /// Notes that there are no index files, for whoever would look for them when the log is opened.
    pub(crate) fn note_no_index_files(&self) {
        self.has_index_files.store(false, Ordering::Relaxed);
    }

    /// As [`Segment::has_index_files`]; from now on there may be.
    pub(crate) fn expect_index_files(&self) -> bool {
        self.has_index_files.swap(true, Ordering::Relaxed)
    }

    /// Whether there may be index files.
    pub(crate) fn has_index_files(&self) -> bool {
        self.has_index_files.load(Ordering::Relaxed)
    }

    /// The log's directory.
    pub(crate) fn dir(&self) -> &Arc<Path> {
        &self.dir
    }

    /// Path of the `.log` file.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(file_name(self.base_offset, "log"))
    }

    /// Bytes of whole batches that are in the file.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// Lets readers see the file up to `size`, which this process wrote or cut.
    pub(crate) fn set_size(&self, size: u64) {
        let old = self.size.swap(size, Ordering::AcqRel);
        if size < old {
            self.verified.fetch_min(size, Ordering::AcqRel);
        } else if self.verified() == old {
            self.verified.store(size, Ordering::Release);
        }
    }

    /// Up to where checksums need no check any more.
    pub(crate) fn verified(&self) -> u64 {
        self.verified.load(Ordering::Acquire)
    }

    /// Notes that the bytes of `from..to` are good.
    pub(crate) fn set_verified(&self, from: u64, to: u64) {
        if from <= self.verified() {
            self.verified.fetch_max(to.min(self.size()), Ordering::AcqRel);
        }
    }

    /// The open `.log` file.
    pub(crate) fn file(&self) -> Result<Arc<File>, StorageError> {
        self.used.store(true, Ordering::Relaxed);
        let mut slot = self.file.lock();
        if let Some(file) = slot.as_ref() {
            return Ok(file.clone());
        }
        let path = self.path();
        let opened = fs::open(&path, Access::Write);
        let file =
            opened.map(Arc::new).map_err(failed("open", &path)).map_err(|error| self.removed_or(error))?;
        *slot = Some(file.clone());
        Ok(file)
    }

    /// Closes the file; the next use opens it again.
    pub(crate) fn close_file(&self) {
        *self.file.lock() = None;
    }

    /// Closes the file if nobody used it since the last call.
    pub(crate) fn close_if_idle(&self) {
        if !self.used.swap(false, Ordering::Relaxed) {
            self.close_file();
            self.forget_aborted();
        }
    }

    /// Tells readers that come late that the file is gone on purpose.
    pub(crate) fn mark_removed(&self) {
        self.removed.store(true, Ordering::Release);
    }

    /// Works on the indexes; they are loaded, and rebuilt where that is needed.
    pub(crate) fn with_index<T>(
        &self,
        work: impl FnOnce(&mut SegmentIndex) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut slot = self.index.lock();
        let index = match &mut *slot {
            Some(index) => index,
            empty => empty.insert(self.load_index().map_err(|error| self.removed_or(error))?),
        };
        work(index).map_err(|error| self.removed_or(error))
    }

    /// What goes wrong with files that were removed on purpose is no error of theirs.
    fn removed_or(&self, error: StorageError) -> StorageError {
        if self.removed.load(Ordering::Acquire) {
            return StorageError::Deleted { path: self.path() };
        }
        error
    }

    fn load_index(&self) -> Result<SegmentIndex, StorageError> {
        if self.size() == 0 {
            return Ok(SegmentIndex::new());
        }
        match SegmentIndex::load(&self.dir, self.base_offset, self.size())? {
            Some(index) => Ok(index),
            None => {
                tracing::warn!(segment = %self.path().display(), "index is missing or corrupt; rebuilding it");
                rebuild_index(self)
            }
        }
    }

    /// Replaces the indexes.
    pub(crate) fn set_index(&self, index: SegmentIndex) {
        self.has_index_files.store(true, Ordering::Relaxed);
        *self.index.lock() = Some(index);
    }

    /// Throws the indexes away and builds them from the log, for they led to a place where no batch begins.
    pub(crate) fn repair_index(&self) -> Result<(), StorageError> {
        let mut slot = self.index.lock();
        let old = match slot.as_ref() {
            Some(index) => index.offsets.entries(&self.dir, self.base_offset)?,
            None => Vec::new(),
        };
        *slot = Some(rebuild::rebuild_index_around_damage(self, &old)?);
        self.repaired.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the indexes were built from the log already.
    pub(crate) fn index_is_repaired(&self) -> bool {
        self.repaired.load(Ordering::Relaxed)
    }

    /// A position at or before the batch that contains `offset`, as near as the index knows.
    pub(crate) fn position_before(&self, offset: i64) -> Result<u64, StorageError> {
        let target = offset.saturating_sub(self.base_offset);
        let holds = |entry: &OffsetEntry| i64::from(entry.relative) <= target;
        let found = self.with_index(|index| Ok(index.offsets.last_pending(holds)))?;
        Ok(self.finish_lookup(found, holds)?.map_or(0, |entry| u64::from(entry.position)))
    }

    /// An offset above all records that lie before `position`, as near as the index knows.
    pub(crate) fn offset_behind(&self, position: u64) -> Result<Option<i64>, StorageError> {
        let before = |entry: &OffsetEntry| u64::from(entry.position) < position;
        let entry =
            self.with_index(|index| index.offsets.first_where_not(&self.dir, self.base_offset, before))?;
        Ok(entry.map(|entry| self.base_offset.saturating_add(i64::from(entry.relative)).saturating_add(1)))
    }

    /// Where a batch begins that lies before `limit` in the file and whose every offset is below `up_to`: the last
    /// one that the index knows, or the start of the segment.
    pub(crate) fn position_of_batch_within(&self, limit: u64, up_to: i64) -> Result<u64, StorageError> {
        let target = up_to.saturating_sub(self.base_offset);
        let holds =
            |entry: &OffsetEntry| u64::from(entry.position) < limit && i64::from(entry.relative) < target;
        let found = self.with_index(|index| Ok(index.offsets.last_pending(holds)))?;
        Ok(self.finish_lookup(found, holds)?.map_or(0, |entry| u64::from(entry.position)))
    }

    /// The part of a lookup that reads a file, for which nobody has to wait.
    fn finish_lookup<E: IndexEntry>(
        &self,
        found: Lookup<E>,
        holds: impl Fn(&E) -> bool,
    ) -> Result<Option<E>, StorageError> {
        match found {
            Lookup::Found(entry) => Ok(Some(entry)),
            Lookup::InFile(count) => IndexTable::last_in_file(&self.dir, self.base_offset, count, holds)
                .map(|found| found.map(|(_, entry)| entry))
                .map_err(|error| self.removed_or(error)),
        }
    }

    /// A position before which no batch from offset `from` on has that timestamp or a later one.
    pub(crate) fn position_before_time(&self, timestamp: i64, from: i64) -> Result<u64, StorageError> {
        let holds = |entry: &TimeEntry| entry.timestamp < timestamp;
        let found = self.with_index(|index| Ok(index.times.last_pending(holds)))?;
        let entry = self.finish_lookup(found, holds)?;
        let offset = entry.map_or(0, |entry| i64::from(entry.relative)).saturating_add(self.base_offset);
        self.position_before(offset.max(from))
    }

    /// The largest timestamp of the segment, and the last offset of the batch that has it.
    pub(crate) fn max_timestamp(&self) -> Result<IndexedTimestamp, StorageError> {
        self.with_index(|index| Ok(index.max_timestamp))
    }

    /// The largest timestamp of the first batch; none in an empty segment.
    pub(crate) fn first_timestamp(&self) -> Result<Option<i64>, StorageError> {
        let first = self.scan(0, self.size())?.chunk(0).next_header()?;
        Ok(first.map(|batch| batch.header.max_timestamp))
    }

    /// After a cut: the largest timestamp behind the last entry of the time index is looked up in the batches.
    pub(crate) fn find_max_timestamp(&self) -> Result<(), StorageError> {
        self.with_index(|index| {
            let known = index.times.last().map_or(-1, |entry| i64::from(entry.relative));
            let entry = index
                .offsets
                .last_where(&self.dir, self.base_offset, |entry| i64::from(entry.relative) <= known)?;
            let start = entry.map_or(0, |entry| u64::from(entry.position));
            let mut scan = self.scan(start, self.size())?;
            while let Some(batch) = scan.next_header()? {
                let relative = i32::try_from(batch.header.last_offset().saturating_sub(self.base_offset));
                if batch.header.max_timestamp > index.max_timestamp.timestamp {
                    let relative = relative.unwrap_or(i32::MAX);
                    index.max_timestamp =
                        IndexedTimestamp { timestamp: batch.header.max_timestamp, relative };
                }
            }
            Ok(())
        })
    }

    /// When the `.log` file was last written, ms since the epoch.
    pub(crate) fn modified_ms(&self) -> Result<i64, StorageError> {
        let path = self.path();
        let modified =
            self.file()?.metadata().and_then(|meta| meta.modified()).map_err(failed("stat", &path))?;
        let age = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    }

    /// The bytes of a batch that a scan has found.
    pub(crate) fn read_batch(&self, batch: &Scanned) -> Result<Vec<u8>, StorageError> {
        let mut bytes = Vec::new();
        let len = batch.header.size_in_bytes();
        fs::read_at(&*self.file()?, batch.position, len, &mut bytes).map_err(failed("read", &self.path()))?;
        Ok(bytes)
    }

    /// A corruption at `position`.
    pub(crate) fn corrupt(&self, position: u64, reason: impl Into<String>) -> StorageError {
        StorageError::Corrupt { path: self.path(), position, reason: reason.into() }
    }

    /// Goes over the batches of a file that is no segment of a log yet.
    pub(crate) fn scan_file(path: &Path, base_offset: i64, size: u64) -> Result<Scan, StorageError> {
        let file = fs::open(path, Access::Read).map_err(failed("open", path))?;
        Ok(Scan::new(Arc::new(file), path.to_path_buf(), base_offset, 0, size))
    }

    /// Goes over the batches of `from..to`.
    pub(crate) fn scan(&self, from: u64, to: u64) -> Result<Scan, StorageError> {
        Ok(Scan::new(self.file()?, self.path(), self.base_offset, from, to))
    }
}
