//! Compaction in the background: one log at a time, so that it takes one processor and one buffer at most.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use milena_storage::StorageError;
use tokio::task::spawn_blocking;
use tracing::{error, info};

use super::{Hosted, Partition, garbage::remove_after};
use crate::{clock, config::BrokerConfig};

/// Looks for logs to compact from time to time.
#[derive(Default)]
pub struct Cleaner {
    since: Duration,
    busy: Arc<AtomicBool>,
}

impl Cleaner {
    /// Starts a round where one is due and none is under way; `passed` is the time since the last look.
    pub fn look(&mut self, hosted: &Hosted, config: &BrokerConfig, passed: Duration) {
        self.since = self.since.saturating_add(passed);
        if !config.cleaner_enabled || self.since < config.cleaner_backoff {
            return;
        }
        self.since = Duration::ZERO;
        let compacted = |replica: &&Arc<Partition>| replica.config().log.cleanup_compact;
        let logs: Vec<Arc<Partition>> = hosted.replicas().filter(compacted).cloned().collect();
        if logs.is_empty() || self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let busy = self.busy.clone();
        let runtime = tokio::runtime::Handle::current();
        spawn_blocking(move || {
            let _runtime = runtime.enter();
            for replica in &logs {
                if let Err(error) = clean(replica) {
                    error!(partition = %replica.name(), %error, "not compacted; tried again in the next round");
                }
            }
            busy.store(false, Ordering::Release);
        });
    }
}

/// Compacts one log, if enough of it is new. Appends wait only while segments change places.
fn clean(replica: &Arc<Partition>) -> Result<(), StorageError> {
    let (now_ms, high_watermark) = (clock::now_ms(), replica.high_watermark());
    let task = replica.with_log(|log| log.clean_task(now_ms, high_watermark));
    let Some(task) = task.transpose()?.flatten() else { return Ok(()) };
    let before = replica.size_in_bytes();
    let cleaned = task.run()?;
    let Some(garbage) = replica.with_log(|log| log.install(cleaned)).transpose()? else { return Ok(()) };
    info!(partition = %replica.name(), bytes_before = before, bytes_after = replica.size_in_bytes(), "compacted");
    remove_after(garbage, replica.config().log.file_delete_delay);
    Ok(())
}
