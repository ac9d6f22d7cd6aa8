//! One broker per data directory, be it Milena or Apache Kafka: the one takes the lock of the other's kind, too.

use std::{fs::File, path::Path};

use rustix::{
    fs::{FlockOperation, fcntl_lock, flock},
    io::Errno,
};

use crate::{error::StorageError, fs::open_or_create};

/// Holds `.lock` until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    pub(super) fn acquire(dir: &Path) -> Result<DirLock, StorageError> {
        let refused = |source| StorageError::DirNotWritable { path: dir.to_path_buf(), source };
        let file = open_or_create(&dir.join(".lock")).map_err(refused)?;
        let taken = flock(&file, FlockOperation::NonBlockingLockExclusive)
            // Java's locks are of the other kind, which a process does not hold against itself.
            .and_then(|()| fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive));
        match taken {
            Ok(()) => Ok(DirLock { _file: file }),
            Err(Errno::WOULDBLOCK | Errno::ACCESS) => Err(StorageError::DirInUse { path: dir.to_path_buf() }),
            Err(errno) => Err(StorageError::io("lock", dir.join(".lock"), errno.into())),
        }
    }
}
