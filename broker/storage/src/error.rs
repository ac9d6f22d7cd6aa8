//! What can go wrong with a log on disk.

use std::{io, path::PathBuf};

use milena_records::RecordsError;

use crate::producer::ProducerError;

/// Errors of this crate. Messages name the file and the wrong value.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused; not a full disk, which is [`StorageError::DiskFull`].
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Another process holds the lock of the data directory.
    #[error("data directory {path} is in use by another broker")]
    DirInUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory cannot be made or written.
    #[error("data directory {path} is not writable: {source}")]
    DirNotWritable {
        /// The data directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// `meta.properties` or another small file of the data directory does not say what it must.
    #[error("{path}: {reason}")]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The data directory belongs to another broker or another cluster.
    #[error("data directory {path} belongs to {what} {stored}, not to {given}")]
    WrongOwner {
        /// The data directory.
        path: PathBuf,
        /// `cluster` or `broker`.
        what: &'static str,
        /// As stored on disk.
        stored: String,
        /// As this broker was started.
        given: String,
    },
    /// The offset is not between the log start offset and the log end offset.
    #[error("offset {offset} is out of range: the log is [{start}, {end})")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: i64,
        /// Log start offset.
        start: i64,
        /// Log end offset.
        end: i64,
    },
    /// No room to write. The log is as it was before, and an append may succeed once there is room again.
    #[error("no space left to write {path}")]
    DiskFull {
        /// The file that cannot grow.
        path: PathBuf,
    },
    /// A write or an fsync failed before: what is on disk is not known any more, so nothing is written.
    #[error("the log {path} takes no more writes: {reason}")]
    Poisoned {
        /// The log's directory.
        path: PathBuf,
        /// The first failure.
        reason: String,
    },
    /// What is on disk is not what was written.
    #[error("{path} is corrupt at byte {position}: {reason}")]
    Corrupt {
        /// The segment file.
        path: PathBuf,
        /// Position of the bad batch in the file.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The log's directory is out of service: a write or a sync in it failed.
    #[error("log directory {path} is out of service: {reason}")]
    DirOffline {
        /// The data directory.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
    /// What is free is reserved for the broker's own needs.
    #[error(
        "log directory {path} is full: {free} bytes were free when last looked at, and log.dir.reserved.bytes keeps \
         {reserved}; delete topics or records, or add space"
    )]
    Reserved {
        /// The data directory.
        path: PathBuf,
        /// Bytes that were free.
        free: u64,
        /// Bytes that are kept.
        reserved: u64,
    },
    /// The log was closed in order; what is appended now would not be found by the next start.
    #[error("the log {path} is closed")]
    Closed {
        /// The log's directory.
        path: PathBuf,
    },
    /// A cleaning of the log ended early: it was told to, or has to wait. The log is as before.
    #[error("the cleaning of {path} was given up: {reason}")]
    CleaningStopped {
        /// The log's directory.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// The log was deleted.
    #[error("the log {path} was deleted")]
    Deleted {
        /// Where it was.
        path: PathBuf,
    },
    /// A producer's epoch or sequence does not follow from what it wrote before.
    #[error(transparent)]
    Producer(#[from] ProducerError),
    /// A batch with a preset offset does not follow the log's end.
    #[error("batch has base offset {got}, the log ends at {expected}")]
    UnexpectedOffset {
        /// Log end offset.
        expected: i64,
        /// Base offset of the batch.
        got: i64,
    },
    /// The batch is larger than a segment may be.
    #[error("batch of {size} bytes is larger than a segment of {limit}")]
    BatchTooLarge {
        /// Bytes of the batch.
        size: u64,
        /// `segment.bytes`.
        limit: u64,
    },
    /// Bytes given to the log are no record batch.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

impl StorageError {
    /// An I/O error, or [`StorageError::DiskFull`] where the file cannot grow.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> StorageError {
        let path = path.into();
        if is_full(&source) {
            StorageError::DiskFull { path }
        } else {
            StorageError::Io { action, path, source }
        }
    }
}

impl StorageError {
    /// A sync that failed, whatever the reason: a file system that allocates late, or has a quota, may find only then
    /// that there is no room, and drops what it had taken.
    pub(crate) fn not_synced(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: io::Error,
    ) -> StorageError {
        StorageError::Io { action, path: path.into(), source }
    }

    /// Whether there was no room, be it found late.
    pub(crate) fn says_full(&self) -> bool {
        match self {
            StorageError::DiskFull { .. } => true,
            StorageError::Io { source, .. } => is_full(source),
            _ => false,
        }
    }

    /// Whether a read failed because the disk did. A file that is gone may have been taken away.
    pub(crate) fn is_failed_read(&self) -> bool {
        let gone = |source: &io::Error| source.kind() == io::ErrorKind::NotFound;
        self.is_failed_disk() && !matches!(self, StorageError::Io { source, .. } if gone(source))
    }

    /// Whether nothing was written, and the same may succeed later: no room on disk, no file descriptor, no memory.
    pub(crate) fn leaves_log_intact(&self) -> bool {
        use rustix::io::Errno;
        match self {
            StorageError::DiskFull { .. } | StorageError::Reserved { .. } | StorageError::Deleted { .. } => {
                true
            }
            StorageError::Io { source, .. } => {
                matches!(Errno::from_io_error(source), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
            }
            _ => false,
        }
    }
}

impl StorageError {
    /// Whether the operating system failed at a file for another reason than a lack of room, descriptors or memory:
    /// after that nothing in the directory can be relied on.
    pub(crate) fn is_failed_disk(&self) -> bool {
        matches!(self, StorageError::Io { .. }) && !self.leaves_log_intact()
    }
}

/// Whether an error says that a file cannot grow: disk full, quota, or file size limit.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG))
}
