//! `partition.metadata`: which topic a partition's directory belongs to (KIP-516).

use std::path::Path;

use uuid::Uuid;

use crate::{
    error::StorageError,
    fs::{self, failed},
    ids,
};

/// The file's name.
pub(crate) const FILE_NAME: &str = "partition.metadata";

/// The topic id of a partition's directory; none where the file is missing or torn.
pub(crate) fn read(dir: &Path) -> Result<Option<Uuid>, StorageError> {
    let Some(bytes) = fs::read_small(&dir.join(FILE_NAME))? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.split_once(':').filter(|(key, _)| *key == name))
            .map(|(_, value)| value.trim())
    };
    Ok(match field("version") {
        Some("0") => field("topic_id").and_then(ids::decode),
        _ => None,
    })
}

/// Writes the file of a directory that is being made.
pub(crate) fn write(dir: &Path, topic_id: Uuid) -> Result<(), StorageError> {
    let text = format!("version: 0\ntopic_id: {}", ids::encode(topic_id));
    let path = dir.join(FILE_NAME);
    fs::write(&path, text.as_bytes()).map_err(failed("write", &path))
}

/// Makes the file durable, if there is one.
pub(crate) fn sync(dir: &Path) -> Result<(), StorageError> {
    fs::sync_existing(&dir.join(FILE_NAME))
}
