//! Rolling, retention and space, as topic settings call for them. A test that draws numbers prints its seed.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]

mod support;

use std::{os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Duration};

use milena_records::BatchBuilder;
use milena_storage::{Log, LogConfig, OpenMode, StorageError};
use support::{NOW, append, append_in, batch, last_batch, open, read_all, scratch, start};

/// Base offsets of the segments.
fn bases(dir: &Path) -> Vec<i64> {
    let files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut bases: Vec<i64> =
        files.filter(|name| name.ends_with(".log")).map(|name| name[..20].parse().unwrap()).collect();
    bases.sort_unstable();
    bases
}

fn create(dir: &Path, config: LogConfig) -> Log {
    Log::create(dir, None, Arc::new(config), NOW).unwrap()
}

/// Batches of one record and 162 bytes, at these times.
fn filled(dir: &Path, config: LogConfig, times: impl IntoIterator<Item = i64>) -> Log {
    let mut log = create(dir, config);
    for time in times {
        append(&mut log, &batch(time, &[&[0; 90]])).unwrap();
    }
    log
}

#[test]
fn a_full_index_begins_a_segment() {
    let dir = scratch();
    // Every batch gets an entry; eight bytes each, and room for one more must be left.
    let config = LogConfig { index_interval_bytes: 0, index_size_max_bytes: 80, ..LogConfig::default() };
    let log = filled(dir.path(), config, (0..40).map(|at| NOW + at));
    let found = bases(dir.path());
    assert!((3..10).contains(&found.len()), "{found:?}");
    for base in found.iter().rev().skip(1) {
        for (suffix, most) in [("index", 80), ("timeindex", 80)] {
            let size = std::fs::metadata(dir.path().join(format!("{base:020}.{suffix}"))).unwrap().len();
            assert!((1..=most).contains(&size), "{base}.{suffix}: {size}");
        }
    }
    assert_eq!(last_batch(&read_all(&log, 0, 1 << 20)).unwrap().last_offset(), 39);
}

#[test]
fn jitter_takes_a_part_of_the_time_off_that_stays_the_same() {
    let dir = scratch();
    let config = LogConfig { segment_ms: 10_000, segment_jitter_ms: 4_000, ..LogConfig::default() };
    let mut lives = Vec::new();
    let mut log = create(dir.path(), config);
    let mut began = NOW;
    append(&mut log, &batch(began, &[b"first"])).unwrap();
    for time in (NOW..).step_by(100) {
        let before = bases(dir.path()).len();
        append(&mut log, &batch(time, &[b"next"])).unwrap();
        if bases(dir.path()).len() > before {
            lives.push(time - began);
            began = time;
        }
        if lives.len() == 12 {
            break;
        }
    }
    assert!(lives.iter().all(|life| (6_000..=10_100).contains(life)), "{lives:?}");
    assert!(lives.iter().any(|life| *life != lives[0]), "each segment has its own: {lives:?}");
}

#[test]
fn a_compacted_log_rolls_after_its_compaction_lag() {
    for (compact, segments) in [(false, 1), (true, 2)] {
        let dir = scratch();
        let config = LogConfig {
            cleanup_compact: compact,
            segment_ms: 60_000,
            max_compaction_lag_ms: 1_000,
            ..LogConfig::default()
        };
        filled(dir.path(), config, [NOW, NOW + 1_000, NOW + 1_001]);
        assert_eq!(bases(dir.path()).len(), segments);
    }
}

#[test]
fn retention_by_size_leaves_at_least_what_was_asked_for() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut state = seed;
    for _ in 0..30 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let limit = i64::try_from(state >> 52).unwrap() * 3;
        let dir = scratch();
        let config = LogConfig { segment_bytes: 700, retention_bytes: limit, ..LogConfig::default() };
        let mut log = filled(dir.path(), config, (0..50).map(|at| NOW + at));
        let before = log.size_in_bytes();
        log.retention(NOW, log.log_end_offset()).unwrap().remove().unwrap();
        let (left, limit) = (log.size_in_bytes(), u64::try_from(limit).unwrap());
        assert!(left >= limit.min(before), "seed {seed}: {left} of {before} are left, {limit} were to be");
        let next =
            std::fs::metadata(dir.path().join(format!("{:020}.log", log.log_start_offset()))).unwrap().len();
        assert!(left < limit + next.max(1), "seed {seed}: {left} are left, of which {next} could go");
        assert_eq!(bases(dir.path())[0], log.log_start_offset());
    }
}

#[test]
fn retention_goes_by_the_largest_time_of_a_segment() {
    let dir = scratch();
    let config = LogConfig { segment_bytes: 500, retention_ms: 1_000, ..LogConfig::default() };
    // Three batches a segment. The second segment has one young record, which also keeps the older third.
    let old = NOW - 5_000;
    let times = [old, old, old, old, NOW, old, old, old, old, old];
    let mut log = filled(dir.path(), config.clone(), times);
    assert_eq!(bases(dir.path()), [0, 3, 6, 9]);
    log.retention(NOW + 500, 10).unwrap().remove().unwrap();
    assert_eq!(bases(dir.path()), [3, 6, 9]);
    log.retention(NOW + 1_001, 10).unwrap().remove().unwrap();
    // All is old: the active one is sealed, and goes too.
    assert_eq!((bases(dir.path()), log.log_start_offset()), (vec![10], 10));

    // Records without a time: when their file was written.
    let dir = scratch();
    let mut log = create(dir.path(), config);
    for _ in 0..4 {
        let mut builder = BatchBuilder::new(0);
        builder.append(-1, Some(b"key"), Some(&[0; 90]), &[]).unwrap();
        append(&mut log, &builder.build().unwrap()).unwrap();
    }
    let written = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let written = i64::try_from(written).unwrap();
    assert_eq!(log.retention(written, 4).unwrap().segments(), 0);
    assert_eq!(log.retention(written + 1_500, 4).unwrap().segments(), 2);
}

#[test]
fn what_no_policy_deletes_goes_by_request_alone() {
    for compact in [true, false] {
        let dir = scratch();
        let config = LogConfig {
            segment_bytes: 500,
            retention_ms: 1,
            retention_bytes: 1,
            cleanup_delete: false,
            cleanup_compact: compact,
            ..LogConfig::default()
        };
        let mut log = filled(dir.path(), config.clone(), (0..10).map(|at| NOW + at));
        log.retention(NOW + 1_000_000, 10).unwrap().remove().unwrap();
        assert_eq!(bases(dir.path()), [0, 3, 6, 9]);

        // DeleteRecords within a segment: what is below cannot be read, whole segments below go.
        assert_eq!(log.delete_records(7).unwrap(), 7);
        assert_eq!(log.delete_records(2).unwrap(), 7, "it never goes back");
        let error = log.delete_records(11).unwrap_err();
        assert!(matches!(error, StorageError::OffsetOutOfRange { offset: 11, end: 10, .. }), "{error}");
        assert!(log.reader().read(6, 100, 10, true).is_err());
        log.retention(NOW, 10).unwrap().remove().unwrap();
        assert_eq!(bases(dir.path()), [6, 9]);
        let point = log.close_clean().unwrap();
        let (log, _) = open(dir.path(), &Arc::new(config), start(OpenMode::Clean, point, 7));
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (7, 10));
        assert!(log.reader().read(6, 100, 10, true).is_err());
        assert_eq!(last_batch(&read_all(&log, 7, 1 << 20)).unwrap().last_offset(), 9);
    }
}

#[test]
fn deletion_forgets_the_leader_epochs_below() {
    let dir = scratch();
    let mut log = create(dir.path(), LogConfig { segment_bytes: 500, ..LogConfig::default() });
    for epoch in 0..9 {
        append_in(&mut log, &batch(NOW, &[&[0; 90]]), epoch / 2).unwrap();
    }
    log.delete_records(5).unwrap();
    assert_eq!(log.epoch_end_offset(1).map(|end| end.end_offset), Some(5));
    assert_eq!(log.epoch_end_offset(4).map(|end| end.end_offset), Some(9));
}

#[test]
fn a_segment_takes_its_space_at_once_where_it_is_to() {
    let dir = scratch();
    let config = LogConfig { segment_bytes: 8 << 20, preallocate: true, ..LogConfig::default() };
    let mut log = create(dir.path(), config.clone());
    let taken = |base: i64| {
        let file = std::fs::metadata(dir.path().join(format!("{base:020}.log"))).unwrap();
        (file.len(), file.blocks() * 512)
    };
    append(&mut log, &batch(NOW, &[b"first"])).unwrap();
    let (len, space) = taken(0);
    assert!(len < 100 && space >= 8 << 20, "{len} {space}");
    log.roll(NOW).unwrap();
    assert!(taken(0).1 < 1 << 20, "what is not used is given back");
    log.set_config(Arc::new(LogConfig { preallocate: false, ..config }));
    append(&mut log, &batch(NOW, &[b"second"])).unwrap();
    assert!(taken(1).1 < 1 << 20);
    assert_eq!(log.config().file_delete_delay, Duration::from_secs(60));
}
