//! Files of segments that a log no longer has.

use std::{path::PathBuf, time::Duration};

use milena_storage::{Garbage, remove_directory};
use tokio::task::spawn_blocking;
use tracing::warn;

/// Removes files after a while (`file.delete.delay.ms`): readers may still be in them.
pub fn remove_after(garbage: Garbage, delay: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        let removed = spawn_blocking(move || garbage.remove()).await;
        if let Ok(Err(error)) = removed {
            warn!(%error, "files of deleted segments stay until the next start");
        }
    });
}

/// Removes the directory of a deleted partition. Large files take their time, and nobody waits for it.
pub fn remove_directory_later(path: PathBuf) {
    spawn_blocking(move || {
        if let Err(error) = remove_directory(&path) {
            warn!(%error, "the next start removes it");
        }
    });
}
