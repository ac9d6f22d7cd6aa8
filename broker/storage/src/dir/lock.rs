//! One broker per data directory.

use std::{fs::File, path::Path};

use rustix::{
    fs::{FlockOperation, flock},
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
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DirLock { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(StorageError::DirInUse { path: dir.to_path_buf() }),
            Err(errno) => Err(StorageError::io("lock", dir.join(".lock"), errno.into())),
        }
    }
}
