//! `sync-failed`: a sync failed in this directory, and nobody has looked it over since.
//!
//! After a failed sync the kernel takes pages for clean that never got to the disk: what the next process reads on the
//! same boot need not be there after a power cut. The file is empty and not synced, for on another boot it says nothing.

use std::path::Path;

use crate::{error::StorageError, fs};

const FILE_NAME: &str = "sync-failed";

/// The next start does not rely on what memory has of the files.
pub(super) fn note(dir: &Path) {
    if let Err(error) = fs::open_or_create(&dir.join(FILE_NAME)) {
        tracing::error!(dir = %dir.display(), %error, "a failed sync cannot be noted: restart the machine before the broker");
    }
}

pub(super) fn is_noted(dir: &Path) -> bool {
    dir.join(FILE_NAME).exists()
}

/// All logs are looked over.
pub(super) fn forget(dir: &Path) -> Result<(), StorageError> {
    if is_noted(dir) { fs::remove(&dir.join(FILE_NAME)) } else { Ok(()) }
}
