//! Flushes in the background: who waits for the disk waits together, and a directory that failed stays out of service.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use milena_storage::{Log, LogConfig, LogDir, Origin, Owner, StorageError, TopicPartition, ids};
use support::{NOW, append, batch, placed, read_all};

const OWNER: Owner<'_> = Owner { cluster_id: None, node_id: 0 };

fn logs(dir: &LogDir, count: i32, config: LogConfig) -> Vec<Log> {
    let config = Arc::new(config);
    let create = |index| {
        let tp = TopicPartition::new("sample", index);
        dir.create_log(&tp, ids::random(), config.clone(), NOW).unwrap()
    };
    (0..count).map(create).collect()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn broken(path: &std::path::Path) -> StorageError {
    StorageError::Io { action: "sync", path: path.to_path_buf(), source: io::Error::from_raw_os_error(5) }
}

#[test]
fn logs_that_wait_for_the_disk_are_synced_together() {
    let folder = tempfile::tempdir().unwrap();
    let dir = LogDir::open(folder.path(), OWNER).unwrap();
    for count in [1, 60] {
        let config = LogConfig { flush_messages: 1, ..LogConfig::default() };
        let sub = folder.path().join(format!("{count}"));
        let dir_of_logs = if count == 1 { &dir } else { &LogDir::open(&sub, OWNER).unwrap() };
        let mut logs = logs(dir_of_logs, count, config);
        let told = Arc::new(AtomicUsize::new(0));
        for log in &logs {
            let told = told.clone();
            log.on_flush(move || {
                told.fetch_add(1, Ordering::SeqCst);
            });
        }
        for round in 1..=5i64 {
            for log in &mut logs {
                append(log, &batch(NOW, &[b"one"])).unwrap();
            }
            wait_until("everything is on disk", || logs.iter().all(|log| log.durable_end() == round));
            assert!(logs.iter().all(|log| log.recovery_point() == round));
        }
        wait_until("everybody is told", || told.load(Ordering::SeqCst) >= logs.len());
    }
}

#[test]
fn flush_messages_counts_and_flush_ms_waits() {
    let folder = tempfile::tempdir().unwrap();
    let dir = LogDir::open(folder.path(), OWNER).unwrap();
    let mut counted = logs(&dir, 1, LogConfig { flush_messages: 3, ..LogConfig::default() }).remove(0);
    for end in 1..=2 {
        append(&mut counted, &batch(NOW, &[b"one"])).unwrap();
        assert_eq!((counted.durable_end(), counted.recovery_point()), (end, 0), "two may be unflushed");
    }
    append(&mut counted, &batch(NOW, &[b"one"])).unwrap();
    wait_until("the third asks for a flush", || counted.recovery_point() == 3);

    let tp = TopicPartition::new("timed", 0);
    let config = Arc::new(LogConfig { flush_ms: 300, ..LogConfig::default() });
    let mut timed = dir.create_log(&tp, ids::random(), config, NOW).unwrap();
    let begun = Instant::now();
    append(&mut timed, &batch(NOW, &[b"one"])).unwrap();
    assert_eq!(timed.durable_end(), 1, "flush.ms makes nobody wait");
    wait_until("its time comes", || timed.recovery_point() == 1);
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());

    // An hour, and then not so long after all.
    timed.set_config(Arc::new(LogConfig { flush_ms: 3_600_000, ..LogConfig::default() }));
    append(&mut timed, &batch(NOW, &[b"two"])).unwrap();
    timed.set_config(Arc::new(LogConfig { flush_ms: 50, ..LogConfig::default() }));
    wait_until("the shorter time comes", || timed.recovery_point() == 2);
}

#[test]
fn a_sealed_segment_goes_to_disk() {
    let folder = tempfile::tempdir().unwrap();
    let dir = LogDir::open(folder.path(), OWNER).unwrap();
    let mut log = logs(&dir, 1, LogConfig::default()).remove(0);
    append(&mut log, &batch(NOW, &[b"one"])).unwrap();
    assert_eq!(log.recovery_point(), 0);
    log.flush_sealed();
    log.roll(NOW).unwrap();
    log.flush_sealed();
    wait_until("the recovery point follows", || log.recovery_point() == 1);
}

#[test]
fn a_directory_that_failed_takes_nothing_any_more_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let dir = LogDir::open(folder.path(), OWNER).unwrap();
    let mut logs = logs(&dir, 3, LogConfig { flush_messages: 1, ..LogConfig::default() });
    let bytes = batch(NOW, &[b"before"]);
    append(&mut logs[0], &bytes).unwrap();
    wait_until("it is on disk", || logs[0].durable_end() == 1);
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    dir.on_failure(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });

    dir.fail(&StorageError::DiskFull { path: folder.path().to_path_buf() });
    assert_eq!(dir.failure(), None, "a full disk is no failed one");
    dir.fail(&broken(folder.path()));
    dir.fail(&broken(folder.path()));
    assert_eq!(told.load(Ordering::SeqCst), 1, "told once");
    let why = dir.failure().unwrap();
    assert!(why.contains("cannot sync") && why.contains("os error 5"), "{why}");
    for log in &mut logs {
        let error = append(log, &batch(NOW, &[b"after"])).unwrap_err();
        assert!(matches!(error, StorageError::DirOffline { .. }), "{error}");
        assert!(log.close_clean().is_err());
    }
    assert_eq!(read_all(&logs[0], 0, 1 << 20), placed(&bytes, 0, 0), "what is there can be read");
    assert!(dir.mark_clean_shutdown(1).is_err());
    drop((logs, dir));
    assert_ne!(LogDir::open(folder.path(), OWNER).unwrap().open_mode(), milena_storage::OpenMode::Clean);
}

#[test]
fn what_is_reserved_is_for_the_broker_itself() {
    let folder = tempfile::tempdir().unwrap();
    let dir = LogDir::open(folder.path(), OWNER).unwrap();
    let mut log = logs(&dir, 1, LogConfig::default()).remove(0);
    let free = i64::try_from(dir.space().unwrap().free).unwrap();
    dir.look_for_room(free + (1 << 30));
    let bytes = batch(NOW, &[b"one"]);
    let error = append(&mut log, &bytes).unwrap_err();
    assert!(matches!(error, StorageError::Reserved { .. }) && dir.is_full(), "{error}");
    assert!(error.to_string().contains("log.dir.reserved.bytes keeps"), "{error}");
    let parsed = milena_records::Batch::parse(&bytes).unwrap();
    log.append(&parsed, Origin::Coordinator, 0, NOW).unwrap();
    assert_eq!((log.log_end_offset(), dir.failure()), (1, None), "a coordinator's batch is taken");
    dir.look_for_room(0);
    append(&mut log, &bytes).unwrap();
}
