//! The file of a new segment, under a name that the log does not read.

use std::{fs::File, path::PathBuf};

use milena_records::BatchHeader;

use super::Meter;
use crate::{
    error::StorageError,
    fs::{self, Access, failed, write_at},
    index::SegmentIndex,
    log::Shared,
    num::to_u64,
    segment::{IndexBuilder, Scanned, file_name},
};

pub(super) struct Writer {
    file: File,
    path: PathBuf,
    index: IndexBuilder,
    buffer: Vec<u8>,
    buffer_bytes: usize,
    written: u64,
}

impl Writer {
    pub(super) fn create(
        shared: &Shared,
        base_offset: i64,
        index_interval: u32,
        buffer_bytes: usize,
    ) -> Result<Writer, StorageError> {
        let path = shared.dir.join(file_name(base_offset, "log.cleaned"));
        let file = fs::open(&path, Access::Replace).map_err(failed("create", &path))?;
        let index = IndexBuilder::new(base_offset, index_interval, SegmentIndex::new());
        Ok(Writer { file, path, index, buffer: Vec::new(), buffer_bytes, written: 0 })
    }

    pub(super) fn put(&mut self, batch: &[u8], meter: &mut Meter<'_>) -> Result<(), StorageError> {
        let position = self.written.saturating_add(to_u64(self.buffer.len()));
        let header = BatchHeader::parse(batch)?;
        if !self.index.add(&Scanned { position, header }) {
            let reason = format!("offset {} is too far from the first", header.last_offset());
            return Err(StorageError::Corrupt { path: self.path.clone(), position, reason });
        }
        self.buffer.extend_from_slice(batch);
        if self.buffer.len() >= self.buffer_bytes { self.write(meter) } else { Ok(()) }
    }

    fn write(&mut self, meter: &mut Meter<'_>) -> Result<(), StorageError> {
        write_at(&self.file, self.written, &self.buffer, &[]).map_err(failed("write", &self.path))?;
        self.written = self.written.saturating_add(to_u64(self.buffer.len()));
        meter.written(self.buffer.len())?;
        self.buffer.clear();
        Ok(())
    }

    /// Makes the file durable, last modified when its sources were: retention goes by that where records have no
    /// time. The answer is its size, and its indexes.
    pub(super) fn finish(
        mut self,
        modified_ms: i64,
        meter: &mut Meter<'_>,
    ) -> Result<(u64, SegmentIndex), StorageError> {
        self.write(meter)?;
        fs::set_modified(&self.file, modified_ms).map_err(failed("set the time of", &self.path))?;
        fs::sync_all(&self.file).map_err(failed("sync", &self.path))?;
        Ok((self.written, self.index.into_index()))
    }
}
