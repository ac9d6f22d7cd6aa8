//! What all logs of a data directory share: whether it is in service, and who makes them durable.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use super::{
    room::{Room, Space},
    sync_failed,
};
use crate::{error::StorageError, flusher::Flusher, fs, log::Shared, segment::Segment, writeback::WriteBack};

/// Called once, from whatever thread found the failure.
type Listener = Box<dyn Fn() + Send + Sync>;

/// A data directory as its logs see it.
pub(crate) struct Disk {
    path: PathBuf,
    /// Opened before anything was written: a write-back that failed is told once to each file that was open then.
    root: File,
    /// Its clock begins here.
    opened: Instant,
    failure: OnceLock<String>,
    listener: OnceLock<Listener>,
    flusher: Flusher,
    write_back: WriteBack,
    room: Room,
}

impl Disk {
    pub(crate) fn open(path: &Path) -> Result<Arc<Disk>, StorageError> {
        let root = fs::open_dir(path).map_err(fs::failed("open", path))?;
        let path = path.to_path_buf();
        Ok(Arc::new(Disk {
            path,
            root,
            opened: Instant::now(),
            failure: OnceLock::new(),
            listener: OnceLock::new(),
            flusher: Flusher::default(),
            write_back: WriteBack::default(),
            room: Room::default(),
        }))
    }

    /// Takes the directory out of service, for as long as this process lives. The first reason stays.
    pub(crate) fn fail(&self, reason: &str) {
        if self.failure.set(reason.to_owned()).is_err() {
            return;
        }
        sync_failed::note(&self.path);
        tracing::error!(
            directory = %self.path.display(), reason,
            "LOG DIRECTORY OUT OF SERVICE: its partitions are offline, and it is not tried again before a restart; \
             look at the disk and at the kernel's log, then restart the broker"
        );
        if let Some(listener) = self.listener.get() {
            listener();
        }
    }

    /// Why the directory is out of service.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// An error once the directory is out of service.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match self.failure.get() {
            None => Ok(()),
            Some(reason) => Err(StorageError::DirOffline { path: self.path.clone(), reason: reason.clone() }),
        }
    }

    /// Calls `listener` when the directory fails, at once where it has failed already. The first listener stays.
    pub(crate) fn on_failure(&self, listener: Listener) {
        let listener = self.listener.get_or_init(|| listener);
        if self.failure.get().is_some() {
            listener();
        }
    }

    /// Has a log synced, together with all others for which that is asked.
    pub(crate) fn flush(self: &Arc<Disk>, log: &Arc<Shared>) {
        self.flusher.flush(self, log);
    }

    /// Has a log synced in a while, unless that is to happen sooner anyway.
    pub(crate) fn flush_in(self: &Arc<Disk>, log: &Arc<Shared>, delay: Duration) {
        let due = self.opened.elapsed().saturating_add(delay);
        let due_ms = u64::try_from(due.as_millis()).unwrap_or(u64::MAX);
        if log.flush.due_by(due_ms) {
            return;
        }
        if let Some(at) = self.opened.checked_add(due) {
            self.flusher.flush_at(self, log, at);
        }
    }

    /// Notes that a segment has grown, whose pages are to go to the disk soon.
    pub(crate) fn grown(self: &Arc<Disk>, log: &Arc<Shared>, segment: &Arc<Segment>) {
        self.write_back.grown(self, log, segment);
    }

    /// Nothing is flushed or written back any more.
    pub(crate) fn stop(&self) {
        self.flusher.stop();
        self.write_back.stop();
    }

    pub(crate) fn write_back(&self) -> &WriteBack {
        &self.write_back
    }

    pub(crate) fn flusher(&self) -> &Flusher {
        &self.flusher
    }

    /// Asks the file system for its size.
    pub(crate) fn space(&self) -> Result<Space, StorageError> {
        fs::space(&self.root).map_err(fs::failed("ask for the size of", &self.path))
    }

    /// Asks the file system how much room there is, and says so where clients' records are refused from now on, or
    /// taken again. `reserved` is `log.dir.reserved.bytes`.
    pub(crate) fn look_for_room(&self, reserved: i64) {
        let space = match self.space() {
            Ok(space) => space,
            Err(error) => {
                tracing::warn!(%error, "how much room there is stays unknown");
                return;
            }
        };
        if !self.room.look(space, reserved) {
            return;
        }
        let (free, reserved) = self.room.numbers();
        let directory = self.path.display();
        if self.room.is_full() {
            tracing::error!(
                %directory, free, reserved,
                "DISK FULL: records of clients are refused until more than log.dir.reserved.bytes are free; delete \
                 topics or records, shorten retention, or add space"
            );
        } else {
            tracing::info!(%directory, free, reserved, "there is room: records of clients are taken again");
        }
    }

    /// An error where a client's batch would need what is reserved.
    pub(crate) fn check_room(&self, bytes: usize) -> Result<(), StorageError> {
        if self.room.has(bytes) {
            return Ok(());
        }
        let (free, reserved) = self.room.numbers();
        Err(StorageError::Reserved { path: self.path.clone(), free, reserved })
    }

    /// Notes bytes that were written.
    pub(crate) fn take_room(&self, bytes: u64) {
        self.room.take(bytes);
    }

    /// Whether space may be taken ahead of what is written.
    pub(crate) fn has_ample_room(&self) -> bool {
        self.room.is_ample()
    }

    /// Whether nothing but the reserve is left.
    pub(crate) fn is_full(&self) -> bool {
        self.room.is_full()
    }

    /// Makes everything on the file system durable with one system call, which is cheaper than one for each of many
    /// files. An error is that of any file of the file system since the last call.
    pub(crate) fn sync_all(&self) -> Result<(), StorageError> {
        fs::sync_fs(&self.root, &self.path)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("path", &self.path).field("failure", &self.failure).finish()
    }
}
