//! `.kafka_cleanshutdown`: there while all logs are closed in order, and no longer (KIP-966).

use std::path::Path;

use crate::{
    error::StorageError,
    fs::{Durability, read_small, remove, sync_dir, write_atomic},
};

const FILE_NAME: &str = ".kafka_cleanshutdown";

pub(super) fn exists(dir: &Path) -> bool {
    dir.join(FILE_NAME).exists()
}

/// The broker epoch in the marker; none where there is no marker, or one that says nothing.
pub(super) fn broker_epoch(dir: &Path) -> Result<Option<i64>, StorageError> {
    let Some(bytes) = read_small(&dir.join(FILE_NAME))? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let value = text.split_once("\"brokerEpoch\":").map(|(_, value)| value.trim_start());
    Ok(value.and_then(|value| value.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok()))
}

/// Removes the marker, durably.
pub(super) fn remove_marker(dir: &Path) -> Result<(), StorageError> {
    remove(&dir.join(FILE_NAME))?;
    // Also where it is gone: the start that removed it may have died before this.
    sync_dir(dir)
}

pub(super) fn write(dir: &Path, broker_epoch: i64) -> Result<(), StorageError> {
    let content = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
    write_atomic(&dir.join(FILE_NAME), content.as_bytes(), Durability::Machine)
}
