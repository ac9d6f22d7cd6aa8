//! Producer snapshots of a log: taken at every roll, at a clean close, and now and then between.

use std::{collections::BTreeSet, path::Path};

use super::Log;
use crate::{error::StorageError, fs, segment::file_name};

/// So much of a log is replayed at most to know its producers after a crash.
const INTERVAL_BYTES: u64 = 64 << 20;

/// Which snapshots there are.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    offsets: BTreeSet<i64>,
    bytes_since: u64,
}

impl Snapshots {
    /// The snapshots that were found on disk.
    pub(super) fn new(offsets: BTreeSet<i64>) -> Snapshots {
        Snapshots { offsets, bytes_since: 0 }
    }

    /// Notes bytes appended, or replayed at open.
    pub(super) fn written(&mut self, bytes: u64) {
        self.bytes_since = self.bytes_since.saturating_add(bytes);
    }

    /// Whether it is time for another one.
    pub(super) fn due(&self) -> bool {
        self.bytes_since >= INTERVAL_BYTES
    }

    /// The newest one.
    pub(super) fn latest(&self) -> Option<i64> {
        self.offsets.last().copied()
    }

    /// Whether there is one at that offset.
    pub(super) fn contains(&self, offset: i64) -> bool {
        self.offsets.contains(&offset)
    }

    /// Removes snapshots by their offset.
    pub(super) fn remove_where(
        &mut self,
        dir: &Path,
        gone: impl Fn(i64) -> bool,
    ) -> Result<(), StorageError> {
        let offsets: Vec<i64> = self.offsets.iter().copied().filter(|offset| gone(*offset)).collect();
        for offset in offsets {
            fs::remove(&path(dir, offset))?;
            self.offsets.remove(&offset);
        }
        Ok(())
    }
}

/// Path of the snapshot at an offset.
pub(super) fn path(dir: &Path, offset: i64) -> std::path::PathBuf {
    dir.join(file_name(offset, "snapshot"))
}

impl Log {
    /// Removes the snapshots up to the end of the segment at `base_offset`.
    pub(crate) fn forget_snapshots_within(&mut self, base_offset: i64) -> Result<(), StorageError> {
        let segments = self.shared.segments();
        let next = segments.iter().map(|segment| segment.base_offset).find(|base| *base > base_offset);
        let end = next.unwrap_or(self.log_end_offset());
        let dir = self.shared.dir.clone();
        self.snapshots.remove_where(&dir, |offset| offset < end)
    }

    /// Takes a snapshot at `offset`, the log's end. One that cannot be written, or that a power cut takes, costs time
    /// at the next start and nothing else: its checksum tells, and an older one is used. So it is written in
    /// place, not synced, and a failure is no error.
    pub(super) fn take_snapshot(&mut self, offset: i64) {
        self.snapshots.bytes_since = 0;
        let dir = self.shared.dir.clone();
        // The next start finds aborted transactions again only behind the newest snapshot.
        let written = self.active.write_aborted().and_then(|()| {
            let path = path(&dir, offset);
            fs::write(&path, &self.producers.to_snapshot()).map_err(fs::failed("write", &path))
        });
        if let Err(error) = written {
            tracing::warn!(log = %dir.display(), %error, "no producer snapshot");
            return;
        }
        self.snapshots.offsets.insert(offset);
        // As Kafka, keep those at which segments begin: a truncation may go back to them.
        let segments = self.shared.segments();
        let at_segment = |at| segments.binary_search_by_key(&at, |segment| segment.base_offset).is_ok();
        let tidied = self.snapshots.remove_where(&dir, |at| at != offset && !at_segment(at));
        if let Err(error) = tidied {
            tracing::warn!(log = %dir.display(), %error, "old producer snapshots stay");
        }
    }
}
