//! What logs need from time to time: retention, checkpoints, and an orderly end.

use std::{sync::Arc, time::Duration};

use milena_storage::{Log, LogDir, LogDirs, StorageError, TopicPartition};
use tracing::{error, info, warn};

use super::{Partition, cleaner::Cleaner, garbage::remove_after};
use crate::{clock, node::Broker};

/// When what was done last.
#[derive(Default)]
pub struct Housekeeping {
    since_retention: Duration,
    since_checkpoint: Duration,
    cleaner: Cleaner,
}

impl Housekeeping {
    /// Does what is due; `passed` is the time since the last look.
    pub fn look(&mut self, dirs: &LogDirs, broker: &Broker, passed: Duration) {
        let config = broker.config();
        for dir in dirs.in_service() {
            dir.look_for_room(config.log_dir_reserved);
            dir.limit_write_back(u64::try_from(config.write_back_in_flight).unwrap_or(0));
        }
        let full = dirs.in_service().filter(|dir| dir.is_full()).count();
        broker.metrics.full_log_directories.set(i64::try_from(full).unwrap_or(i64::MAX));
        self.since_retention += passed;
        self.since_checkpoint = self.since_checkpoint.saturating_add(passed);
        let view = broker.view();
        let damaged = view.hosted.replicas().filter(|replica| replica.is_damaged()).count();
        broker.metrics.damaged_replicas.set(i64::try_from(damaged).unwrap_or(i64::MAX));
        self.cleaner.look(&view.hosted, &config, &broker.metrics.cleaner, passed);
        if self.since_retention >= config.retention_check {
            self.since_retention = Duration::ZERO;
            view.hosted.replicas().for_each(retain);
        }
        if self.since_checkpoint >= config.recovery_checkpoint {
            self.since_checkpoint = Duration::ZERO;
            let all: Vec<Arc<Partition>> = view.hosted.replicas().cloned().collect();
            for dir in dirs.in_service() {
                if let Err(error) = checkpoint(dir, &all) {
                    error!(%error, "checkpoints cannot be written; starts take longer until they can");
                    dir.fail(&error);
                }
            }
        }
    }

    /// A replica is gone: checkpoints are due, which are written whole and from the replicas that there are.
    pub fn replica_is_gone(&mut self) {
        self.since_checkpoint = Duration::MAX;
    }

    /// Closes all logs of a directory in order. The mark of a clean stop, which follows, makes them durable.
    ///
    /// # Errors
    /// Something could not be written.
    pub fn close(&mut self, dir: &LogDir, all: &[Arc<Partition>]) -> Result<(), StorageError> {
        self.cleaner.stop();
        let cleaned = cleaned_to(dir, all);
        let mut points = Vec::with_capacity(all.len());
        for replica in all.iter().filter(|replica| replica.lies_in(dir)) {
            if let Some(mut log) = replica.take_log() {
                points.push((name(replica), log.close_clean()?));
            }
        }
        dir.write_recovery_points(points.iter().map(|(tp, point)| (tp, *point)))?;
        write_offsets(dir, all, &cleaned)
    }
}

fn name(replica: &Partition) -> TopicPartition {
    TopicPartition::new(replica.topic.clone(), replica.index)
}

fn retain(replica: &Arc<Partition>) {
    let (now_ms, high_watermark) = (clock::now_ms(), replica.high_watermark());
    let done = replica.with_log(|log| {
        log.expire_producers(now_ms);
        log.close_idle_files();
        log.retention(now_ms, high_watermark)
    });
    match done {
        Some(Ok(garbage)) if garbage.segments() > 0 => {
            info!(partition = %replica.name(), segments = garbage.segments(), "segments beyond retention go");
            remove_after(garbage, replica.config().log.file_delete_delay);
        }
        Some(Err(error)) => warn!(partition = %replica.name(), %error, "retention failed"),
        Some(Ok(_)) | None => {}
    }
}

fn checkpoint(dir: &LogDir, all: &[Arc<Partition>]) -> Result<(), StorageError> {
    let point = |log: &mut Log| {
        log.flush_sealed();
        log.recovery_point()
    };
    let points: Vec<(TopicPartition, i64)> = all
        .iter()
        .filter(|replica| replica.lies_in(dir))
        .filter_map(|replica| Some((name(replica), replica.with_log(point)?)))
        .collect();
    dir.write_recovery_points(points.iter().map(|(tp, point)| (tp, *point)))?;
    write_offsets(dir, all, &cleaned_to(dir, all))
}

/// How far each compacted log of a directory has been compacted.
fn cleaned_to(dir: &LogDir, all: &[Arc<Partition>]) -> Vec<(TopicPartition, i64)> {
    let here = all.iter().filter(|replica| replica.lies_in(dir));
    here.filter_map(|replica| Some((name(replica), replica.cleaned_to()?))).collect()
}

fn write_offsets(
    dir: &LogDir,
    all: &[Arc<Partition>],
    cleaned: &[(TopicPartition, i64)],
) -> Result<(), StorageError> {
    let collect = |offset: fn(&Partition) -> i64| -> Vec<(TopicPartition, i64)> {
        let here = all.iter().filter(|replica| replica.lies_in(dir));
        here.map(|replica| (name(replica), offset(replica))).collect()
    };
    let starts = collect(|replica| replica.reader().log_start_offset());
    dir.write_log_start_offsets(starts.iter().map(|(tp, offset)| (tp, *offset)))?;
    dir.write_cleaner_offsets(cleaned.iter().map(|(tp, offset)| (tp, *offset)))?;
    let watermarks = collect(Partition::high_watermark);
    dir.write_high_watermarks(watermarks.iter().map(|(tp, offset)| (tp, *offset)))
}
