//! What comes from the disk: real files in a folder, opened as a start of the broker opens them.

use std::{path::Path, sync::Arc};

use milena_broker::fuzzing;
use milena_records::{Batch, BatchBuilder};
use milena_storage::{
    Log, LogConfig, LogDir, LogStart, OpenMode, Origin, Owner, StorageError, TopicPartition, node_id,
};

use crate::{files, repair};

/// The time of all tests, in milliseconds.
pub const NOW: i64 = 1_700_000_000_000;

/// Files of a log, with the letter that stands for each.
pub const LOG_FILES: &[(u8, &str)] = &[
    (b'l', "00000000000000000000.log"),
    (b'L', "00000000000000000005.log"),
    (b'i', "00000000000000000000.index"),
    (b'I', "00000000000000000005.index"),
    (b't', "00000000000000000000.timeindex"),
    (b'T', "00000000000000000005.timeindex"),
    (b'x', "00000000000000000000.txnindex"),
    (b'X', "00000000000000000005.txnindex"),
    (b's', "00000000000000000005.snapshot"),
    (b'S', "00000000000000000009.snapshot"),
    (b'e', "leader-epoch-checkpoint"),
    (b'p', "partition.metadata"),
];

/// Settings that make small logs have everything that large ones have.
pub fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig { index_interval_bytes: 64, segment_bytes: 4096, ..LogConfig::default() })
}

/// One log. The first byte says how it is opened, and whether checksums are made right; the files follow.
pub fn log(input: &[u8]) {
    let Some((flags, rest)) = input.split_first() else { return };
    let folder = files::scratch();
    for (kind, content) in files::split(rest) {
        let Some((_, name)) = LOG_FILES.iter().find(|(letter, _)| *letter == kind) else { continue };
        let mut content = content.to_vec();
        match kind {
            b'l' | b'L' if flags & 1 > 0 => repair::batches(&mut content),
            b's' | b'S' if flags & 1 > 0 => repair::snapshot(&mut content),
            _ => {}
        }
        files::put(&folder.path().join(name), &content);
    }
    let mode = match flags >> 1 & 3 {
        0 => OpenMode::Clean,
        1 => OpenMode::SameBoot,
        _ => OpenMode::Recover,
    };
    let recovery_point = if flags & 8 > 0 { 5 } else { 0 };
    let log_start_offset = if flags & 16 > 0 { 3 } else { 0 };
    let start = LogStart { mode, recovery_point, log_start_offset, may_have_gaps: flags & 32 > 0 };
    let Ok((mut log, _)) = Log::open(folder.path(), config(), start, NOW) else { return };
    read(&log, mode);
    // What was found can be gone on from.
    let _ = log.truncate_to(log.log_end_offset().saturating_sub(1), NOW);
    write(&mut log, mode);
}

/// Asks a log all that requests ask. What a start has verified can be read to its end.
fn read(log: &Log, mode: OpenMode) {
    let reader = log.reader();
    let (mut offset, end) = (log.log_start_offset(), log.log_end_offset());
    assert!(offset <= end, "a log that begins at {offset} ends at {end}");
    while offset < end {
        let slice = match reader.read(offset, 4096, i64::MAX, true) {
            Ok(slice) => slice,
            Err(error) => {
                // Segments that overlap, which nothing but a forged checksum makes, are found when they are read.
                let told = matches!(error, StorageError::Corrupt { .. });
                assert!(told || mode != OpenMode::Recover, "{offset} of a log that was recovered: {error}");
                break;
            }
        };
        let last = milena_records::Batches::new(&slice.bytes).map_while(Result::ok).last();
        let Some(last) = last else { break };
        if last.header.next_offset() <= offset {
            // Offsets that fall under a right checksum are forged, too; only a look at all of it finds them.
            assert!(mode != OpenMode::Recover, "a read at {offset} went back");
            break;
        }
        offset = last.header.next_offset();
    }
    for asked in [0, 1, 4, 5, end, end.saturating_add(1), i64::MAX, -1] {
        let _ = reader.read(asked, 1, asked, false);
        let _ = reader.locate(asked, 4096, i64::MAX, true);
        let _ = reader.aborted(0, asked);
        let _ = log.epoch_at(asked);
        let _ = reader.offset_for_timestamp(asked);
    }
    let _ = (reader.offset_for_timestamp(NOW), reader.max_timestamp(), reader.last_stable_offset(end));
    for epoch in [-1, 0, 1, i32::MAX] {
        let _ = log.epoch_end_offset(epoch);
    }
}

/// Appends, and finds it again after a clean stop.
#[allow(clippy::expect_used)]
fn write(log: &mut Log, mode: OpenMode) {
    let end = log.log_end_offset();
    let mut builder = BatchBuilder::new(0);
    let built = builder.append(NOW, Some(b"key"), Some(b"value"), &[]).and_then(|()| builder.build());
    let Ok(bytes) = built else { return };
    let epoch = log.latest_epoch().map_or(0, |entry| entry.epoch);
    let Ok(batch) = Batch::parse(&bytes) else { return };
    if log.append(&batch, Origin::Client, epoch, NOW).is_err() || log.close_clean().is_err() {
        return;
    }
    let start = LogStart {
        mode: OpenMode::Clean,
        recovery_point: log.recovery_point(),
        log_start_offset: log.log_start_offset(),
        may_have_gaps: false,
    };
    let dir = log.dir().to_path_buf();
    let (again, _) = Log::open(&dir, config(), start, NOW).expect("a log that was closed does not open");
    if mode == OpenMode::Recover {
        assert_eq!(again.log_end_offset(), log.log_end_offset(), "a clean stop moved the end");
        again.reader().read(end, 4096, i64::MAX, true).expect("what was appended cannot be read");
    }
}

/// Files of a data directory, with the letter that stands for each.
pub const DIRECTORY_FILES: &[(u8, &str)] = &[
    (b'm', "meta.properties"),
    (b'g', "log-generation"),
    (b'r', "recovery-point-offset-checkpoint"),
    (b's', "log-start-offset-checkpoint"),
    (b'h', "replication-offset-checkpoint"),
    (b'c', "cleaner-offset-checkpoint"),
    (b'k', ".kafka_cleanshutdown"),
    (b'f', "sync-failed"),
    (b'p', "sample-0/partition.metadata"),
    (b'e', "sample-0/leader-epoch-checkpoint"),
];

/// A data directory. The files are the input's.
pub fn directory(input: &[u8]) {
    let folder = files::scratch();
    let path = folder.path();
    if std::fs::create_dir(path.join("sample-0")).is_err() {
        return;
    }
    for (kind, content) in files::split(input) {
        if let Some((_, name)) = DIRECTORY_FILES.iter().find(|(letter, _)| *letter == kind) {
            files::put(&path.join(name), content);
        }
    }
    let node_id = node_id(path).ok().flatten().unwrap_or(1);
    for _ in 0..2 {
        if let Err(error) = use_directory(path, node_id) {
            assert!(!error.to_string().is_empty(), "an error without a word");
            return;
        }
    }
}

fn use_directory(path: &Path, node_id: i32) -> Result<(), StorageError> {
    let dir = LogDir::open(path, Owner { cluster_id: None, node_id })?;
    let sample = TopicPartition::new("sample", 0);
    for partition in dir.partitions()? {
        let _ = dir.stored_leader_epoch(&partition.topic_partition);
    }
    let _ = (dir.generation(), dir.open_mode(), dir.high_watermark(&sample), dir.log_start(&sample));
    let (mut log, _) = dir.open_log(&sample, config(), NOW)?;
    log.close_clean()?;
    dir.write_recovery_points([(&sample, log.recovery_point())].into_iter())?;
    dir.mark_recovered()?;
    dir.mark_clean_shutdown(3)
}

/// Files of Kafka's metadata log.
pub const QUORUM_FILES: &[(u8, &str)] =
    &[(b'l', "00000000000000000000.log"), (b'c', "00000000000000000002-0000000001.checkpoint")];

/// The log of Kafka's metadata quorum, with checksums made right.
pub fn quorum(input: &[u8]) {
    let folder = files::scratch();
    for (kind, content) in files::split(input) {
        if let Some((_, name)) = QUORUM_FILES.iter().find(|(letter, _)| *letter == kind) {
            let mut content = content.to_vec();
            repair::batches(&mut content);
            files::put(&folder.path().join(name), &content);
        }
    }
    fuzzing::quorum(folder.path());
}

/// What a broker remembers of the cluster. The first byte says whether the lines get checksums.
pub fn remembered(input: &[u8]) {
    let Some((flags, content)) = input.split_first() else { return };
    let folder = files::scratch();
    let path = folder.path().join("last-known-state");
    let content = if flags & 1 > 0 { repair::lines(content) } else { content.to_vec() };
    files::put(&path, &content);
    fuzzing::remembered(&path);
}
