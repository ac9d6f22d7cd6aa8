//! Single promises of a log, each with its own test.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation
)]

mod support;

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use milena_records::{Batch, BatchBuilder, Compression};
use milena_storage::{
    EpochEnd, Log, LogConfig, OpenMode, Origin, ProducerError, StorageError, TimestampOffset,
};
use support::{
    NOW, append, append_in, batch, built, compressed, idempotent, last_batch, open, placed, read_all,
    scratch, start,
};

fn small_segments() -> Arc<LogConfig> {
    Arc::new(LogConfig { segment_bytes: 1000, index_interval_bytes: 100, ..LogConfig::default() })
}

fn names(dir: &std::path::Path, suffix: &str) -> Vec<String> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = all.filter(|name| name.ends_with(suffix)).collect();
    found.sort();
    found
}

#[test]
fn an_offset_within_a_batch_gives_the_whole_batch() {
    let dir = scratch();
    let mut log = Log::create(dir.path(), None, small_segments(), NOW).unwrap();
    for _ in 0..20 {
        append(&mut log, &batch(NOW, &[b"one", b"two", b"three"])).unwrap();
    }
    let reader = log.reader();
    for offset in 0..60 {
        let slice = reader.read(offset, 1, i64::MAX, true).unwrap();
        assert_eq!(slice.first_batch_base_offset, offset / 3 * 3);
        assert_eq!(last_batch(&slice.bytes).unwrap().last_offset(), offset / 3 * 3 + 2);
    }
    // The high watermark lies within a batch: the batch is not shown.
    assert!(reader.read(3, 1 << 20, 5, true).unwrap().bytes.is_empty());
    assert!(reader.read(60, 1 << 20, 99, true).unwrap().bytes.is_empty());
    assert!(reader.read(0, 1, 99, false).unwrap().bytes.is_empty());
    for offset in [-1, 61] {
        let error = reader.read(offset, 1, 99, true).unwrap_err();
        assert!(matches!(error, StorageError::OffsetOutOfRange { start: 0, end: 60, .. }), "{error}");
    }
}

#[test]
fn a_sequence_is_not_taken_twice_after_a_kill() {
    let dir = scratch();
    let config = small_segments();
    let mut log = Log::create(dir.path(), None, config.clone(), NOW).unwrap();
    let sent: Vec<_> = (0..30).map(|sequence| idempotent(9, 1, sequence, NOW, &[b"value"])).collect();
    let first: Vec<_> = sent.iter().map(|bytes| append(&mut log, bytes).unwrap()).collect();
    drop(log);
    let (mut log, report) = open(dir.path(), &config, start(OpenMode::SameBoot, 0, 0));
    assert!(!report.lost_bytes());
    for (bytes, before) in sent.iter().zip(&first).skip(25) {
        let again = append(&mut log, bytes).unwrap();
        assert!(again.duplicate || before.last_offset < 29, "only the newest batch is told by a snapshot");
        assert_eq!(again.base_offset, before.base_offset);
    }
    let error = append(&mut log, &idempotent(9, 1, 31, NOW, &[b"gap"])).unwrap_err();
    let expected = ProducerError::OutOfOrderSequence { producer_id: 9, expected: 30, got: 31 };
    assert!(matches!(error, StorageError::Producer(found) if found == expected), "{error}");
    assert_eq!(log.log_end_offset(), 30);
    append(&mut log, &idempotent(9, 1, 30, NOW, &[b"next"])).unwrap();
}

#[test]
fn a_forgotten_producer_goes_on_and_what_a_crash_brings_back_takes_nothing_from_it() {
    let config = small_segments();
    for mode in [OpenMode::SameBoot, OpenMode::Recover] {
        let dir = scratch();
        let mut log = Log::create(dir.path(), None, config.clone(), NOW).unwrap();
        let sent: Vec<_> = (0..5).map(|sequence| idempotent(9, 1, sequence, NOW, &[b"value"])).collect();
        sent[..2].iter().for_each(|bytes| assert!(!append(&mut log, bytes).unwrap().duplicate));
        append(&mut log, &batch(NOW, &[b"kept"])).unwrap();
        append(&mut log, &batch(NOW, &[b"truncated"])).unwrap();
        log.delete_records(2).unwrap();
        // A truncation reads the producers anew, from the log start offset on.
        assert_eq!(log.truncate_to(3, NOW).unwrap(), 3);
        assert!(log.producers().is_empty());
        sent[2..4].iter().for_each(|bytes| assert!(!append(&mut log, bytes).unwrap().duplicate));
        drop(log);
        // No checkpoint tells of the deletion.
        let (mut log, report) = open(dir.path(), &config, start(mode, 0, 0));
        assert!(!report.lost_bytes() && log.log_start_offset() == 0);
        for (bytes, offset) in sent.iter().zip([0, 1, 3, 4]) {
            let again = append(&mut log, bytes).unwrap();
            assert!(again.duplicate && again.base_offset == offset, "{mode:?}: {again:?}");
        }
        let next = append(&mut log, &sent[4]).unwrap();
        assert!(!next.duplicate && next.base_offset == 5, "{mode:?}: {next:?}");
    }
}

#[test]
fn what_a_power_cut_took_is_stored_when_its_producer_sends_it_again() {
    let config = small_segments();
    for recovery_point in [0, 3] {
        let dir = scratch();
        let mut log = Log::create(dir.path(), None, config.clone(), NOW).unwrap();
        let sent: Vec<_> = (0..3).map(|sequence| idempotent(9, 1, sequence, NOW, &[b"value"])).collect();
        sent.iter().for_each(|bytes| assert!(!append(&mut log, bytes).unwrap().duplicate));
        // A snapshot tells of all three, and survives.
        log.close_clean().unwrap();
        assert_eq!(names(dir.path(), ".snapshot"), ["00000000000000000003.snapshot"]);
        drop(log);
        let segment = dir.path().join("00000000000000000000.log");
        let left = sent[0].len() + sent[1].len();
        fs::File::options().write(true).open(segment).unwrap().set_len(left as u64).unwrap();
        let (mut log, _) = open(dir.path(), &config, start(OpenMode::Recover, recovery_point, 0));
        assert_eq!(log.log_end_offset(), 2);
        assert!(append(&mut log, &sent[1]).unwrap().duplicate);
        let again = append(&mut log, &sent[2]).unwrap();
        assert!(!again.duplicate && again.base_offset == 2, "{again:?}");
    }
}

#[test]
fn segments_roll_by_size_and_time_as_in_kafka() {
    let dir = scratch();
    let config = Arc::new(LogConfig { segment_bytes: 1000, segment_ms: 60_000, ..LogConfig::default() });
    let mut log = Log::create(dir.path(), None, config, NOW).unwrap();
    let size = batch(NOW, &[&[0; 200]]).len();
    for _ in 0..1000 / size + 1 {
        append(&mut log, &batch(NOW, &[&[0; 200]])).unwrap();
    }
    assert_eq!(names(dir.path(), ".log").len(), 2);
    // Record time counts, from the first batch of the segment on.
    append(&mut log, &batch(NOW + 60_000, &[b"in time"])).unwrap();
    assert_eq!(names(dir.path(), ".log").len(), 2);
    append(&mut log, &batch(NOW + 60_001, &[b"late"])).unwrap();
    assert_eq!(names(dir.path(), ".log").len(), 3);
    // Each sealed segment has its indexes, each new one a snapshot at its start.
    assert_eq!(names(dir.path(), ".timeindex").len(), 2);
    assert_eq!(names(dir.path(), ".snapshot").len(), 2);
    let error = append(&mut log, &batch(NOW, &[&[0; 1000]])).unwrap_err();
    assert!(matches!(error, StorageError::BatchTooLarge { limit: 1000, .. }), "{error}");
}

#[test]
fn retention_by_time_reaches_the_active_segment_but_not_beyond_the_high_watermark() {
    let dir = scratch();
    let config = Arc::new(LogConfig { segment_bytes: 1000, retention_ms: 1000, ..LogConfig::default() });
    let mut log = Log::create(dir.path(), None, config, NOW).unwrap();
    for _ in 0..30 {
        append(&mut log, &batch(NOW, &[&[0; 100]])).unwrap();
    }
    assert_eq!(log.retention(NOW + 1000, 30).unwrap().segments(), 0);
    let bases: Vec<i64> = names(dir.path(), ".log").iter().map(|name| name[..20].parse().unwrap()).collect();
    let garbage = log.retention(NOW + 1001, bases[2]).unwrap();
    assert_eq!((garbage.segments(), log.log_start_offset()), (2, bases[2]));
    assert!(!names(dir.path(), ".deleted").is_empty());
    garbage.remove().unwrap();
    log.retention(NOW + 1001, 30).unwrap().remove().unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.size_in_bytes()), (30, 30, 0));
    assert_eq!(names(dir.path(), ".log").len(), 1);
    assert!(names(dir.path(), ".deleted").is_empty());
    append(&mut log, &batch(NOW, &[b"on it goes"])).unwrap();
    assert_eq!(last_batch(&read_all(&log, 30, 100)).unwrap().base_offset, 30);
}

#[test]
fn damage_behind_the_tail_is_told_to_readers_and_never_served() {
    let dir = scratch();
    let config = Arc::new(LogConfig::default());
    let mut log = Log::create(dir.path(), None, config.clone(), NOW).unwrap();
    for _ in 0..10 {
        append(&mut log, &batch(NOW, &[b"precious"])).unwrap();
    }
    let point = log.close_clean().unwrap();
    let path = dir.path().join("00000000000000000000.log");
    let at = fs::metadata(&path).unwrap().len() / 2 - 4;
    fs::File::options().write(true).open(&path).unwrap().write_all_at(b"?", at).unwrap();
    let (log, report) = open(dir.path(), &config, start(OpenMode::Clean, point, 0));
    assert!(!report.lost_bytes());
    assert_eq!(log.log_end_offset(), 10);
    let reader = log.reader();
    assert!(!reader.read(0, 100, 10, true).unwrap().bytes.is_empty());
    let error = reader.read(0, 1 << 20, 10, true).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    assert!(!reader.read(9, 1 << 20, 10, true).unwrap().bytes.is_empty());
}

#[test]
fn a_wrong_index_is_noticed_and_built_anew() {
    let dir = scratch();
    let config = small_segments();
    let mut log = Log::create(dir.path(), None, config.clone(), NOW).unwrap();
    for _ in 0..40 {
        append(&mut log, &batch(NOW, &[b"value"])).unwrap();
    }
    let expected = read_all(&log, 0, 1 << 20);
    let point = log.close_clean().unwrap();
    for name in names(dir.path(), ".index") {
        // Entries that rise, as entries should, and point at no batch.
        let wrong: Vec<u8> =
            (0..3u32).flat_map(|n| [n.to_be_bytes(), (n * 7 + 1).to_be_bytes()].concat()).collect();
        fs::write(dir.path().join(name), wrong).unwrap();
    }
    let (log, report) = open(dir.path(), &config, start(OpenMode::Clean, point, 0));
    assert!(!report.lost_bytes(), "{report:?}");
    for offset in (0..40).rev() {
        let slice = log.reader().read(offset, 1, 40, true).unwrap();
        assert_eq!(last_batch(&slice.bytes).unwrap().base_offset, offset);
    }
    assert_eq!(read_all(&log, 0, 1 << 20), expected);
}

#[test]
fn offsets_are_found_by_time_in_compressed_batches_too() {
    let dir = scratch();
    let mut log = Log::create(dir.path(), None, small_segments(), NOW).unwrap();
    for (codec, at) in [Compression::None, Compression::Zstd, Compression::Lz4].into_iter().zip(0..) {
        let bytes = compressed(codec, NOW + at * 100, &[&[1; 300], &[2; 300], &[3; 300]]);
        append_in(&mut log, &bytes, 5).unwrap();
    }
    let reader = log.reader();
    let found = |offset, timestamp| Some(TimestampOffset { offset, timestamp, leader_epoch: Some(5) });
    assert_eq!(reader.offset_for_timestamp(0).unwrap(), found(0, NOW));
    assert_eq!(reader.offset_for_timestamp(NOW + 101).unwrap(), found(4, NOW + 101));
    assert_eq!(reader.offset_for_timestamp(NOW + 103).unwrap(), found(6, NOW + 200));
    assert_eq!(reader.offset_for_timestamp(NOW + 203).unwrap(), None);
    assert_eq!(reader.max_timestamp().unwrap(), found(8, NOW + 202));
    log.delete_records(5).unwrap();
    assert_eq!(reader.offset_for_timestamp(0).unwrap(), found(5, NOW + 102));
    assert_eq!(reader.earliest(), TimestampOffset { offset: 5, timestamp: -1, leader_epoch: Some(5) });
    assert_eq!(reader.latest().offset, 9);
}

#[test]
fn a_follower_takes_offsets_and_epochs_as_they_come() {
    let dir = scratch();
    let mut log = Log::create(dir.path(), None, small_segments(), NOW).unwrap();
    // Compaction has left gaps.
    let sent = [placed(&batch(NOW, &[b"a"]), 3, 1), placed(&batch(NOW, &[b"b"]), 9, 4)].concat();
    let info = log.append_as_follower(&sent, NOW).unwrap().unwrap();
    assert_eq!((info.base_offset, info.last_offset, log.log_end_offset()), (3, 9, 10));
    assert_eq!(read_all(&log, 0, 1 << 20), sent);
    assert_eq!(log.epoch_end_offset(2), Some(EpochEnd { epoch: 1, end_offset: 9 }));
    let error = log.append_as_follower(&sent, NOW).unwrap_err();
    assert!(matches!(error, StorageError::UnexpectedOffset { expected: 10, got: 3 }), "{error}");
    let mut damaged = placed(&batch(NOW, &[b"c"]), 10, 4);
    *damaged.last_mut().unwrap() ^= 1;
    assert!(matches!(log.append_as_follower(&damaged, NOW), Err(StorageError::Records(_))));
    assert_eq!(log.append_as_follower(&sent[..40], NOW).unwrap(), None);
    assert_eq!(log.log_end_offset(), 10);
}

/// What a leader sends goes to a follower's segments as it would batch by batch, whatever is wrong behind it.
#[test]
fn many_batches_at_once_are_as_many_one_by_one() {
    let old = NOW - 10_000_000;
    let config = Arc::new(LogConfig {
        segment_bytes: 1000,
        segment_ms: 60_000,
        index_interval_bytes: 100,
        index_size_max_bytes: 64,
        ..LogConfig::default()
    });
    // Segments end because they are full, because their index is, and because of their age.
    let batches: Vec<Vec<u8>> = (0..60)
        .map(|index: u8| {
            let value = vec![index; if index < 30 { 10 } else { usize::from(index) * 7 }];
            let at = if index % 20 == 19 { old } else { NOW };
            placed(&batch(at, &[&value]), i64::from(index), i32::from(index / 25))
        })
        .collect();
    let (one, all) = (scratch(), scratch());
    let mut log = Log::create(one.path(), None, config.clone(), NOW).unwrap();
    for batch in &batches {
        log.append_as_follower(batch, NOW).unwrap();
    }
    drop(log);
    let mut log = Log::create(all.path(), None, config.clone(), NOW).unwrap();
    let mut damaged = batches[59].clone();
    *damaged.last_mut().unwrap() ^= 1;
    let sent = [batches[..59].concat(), damaged].concat();
    assert!(matches!(log.append_as_follower(&sent, NOW), Err(StorageError::Records(_))));
    assert_eq!(log.log_end_offset(), 59, "what came before the bad one is there");
    log.append_as_follower(&batches[59], NOW).unwrap();
    drop(log);
    let names = |dir: &Path| names(dir, ".log");
    assert!(names(one.path()).len() > 5);
    assert_eq!(names(all.path()), names(one.path()));
    for name in names(one.path()) {
        assert_eq!(fs::read(all.path().join(&name)).unwrap(), fs::read(one.path().join(&name)).unwrap());
    }
    let (log, report) = open(all.path(), &config, start(OpenMode::Recover, 0, 0));
    assert!(!report.lost_bytes());
    assert_eq!(read_all(&log, 0, 300), batches.concat());
}

#[test]
fn offsets_far_apart_go_to_segments_of_their_own() {
    let dir = scratch();
    let config = Arc::new(LogConfig::default());
    let mut log = Log::create(dir.path(), None, config.clone(), NOW).unwrap();
    let far = i64::from(i32::MAX) + 17;
    let sent = [placed(&batch(NOW, &[b"near"]), 0, 0), placed(&batch(NOW, &[b"far"]), far, 0)].concat();
    log.append_as_follower(&sent, NOW).unwrap();
    assert_eq!(names(dir.path(), ".log").len(), 2);
    drop(log);
    let (log, report) = open(dir.path(), &config, start(OpenMode::Recover, 0, 0));
    assert!(!report.lost_bytes());
    assert_eq!((log.log_end_offset(), read_all(&log, 0, 10)), (far + 1, sent));
}

#[test]
fn a_transaction_holds_the_stable_offset_across_a_kill() {
    let dir = scratch();
    let config = small_segments();
    let mut log = Log::create(dir.path(), None, config.clone(), NOW).unwrap();
    append(&mut log, &batch(NOW, &[b"before"])).unwrap();
    append(&mut log, &built(BatchBuilder::new(0).producer(5, 0, 0).transactional(), NOW, &[b"in"])).unwrap();
    assert_eq!(log.producers().first_undecided_offset(), Some(1));
    drop(log);
    let (mut log, _) = open(dir.path(), &config, start(OpenMode::SameBoot, 0, 0));
    assert_eq!(log.producers().first_undecided_offset(), Some(1));
    let mut marker = BatchBuilder::new(0).producer(5, 0, -1).transactional().control();
    marker.append(NOW, Some(&[0, 0, 0, 1]), Some(&[0, 0, 0, 0, 0, 8]), &[]).unwrap();
    let marker = marker.build().unwrap();
    log.append(&Batch::parse(&marker).unwrap(), Origin::Coordinator, 0, NOW).unwrap();
    assert_eq!(log.producers().first_undecided_offset(), None);
    assert_eq!(log.producers().active().next().unwrap().coordinator_epoch, 8);
    drop(log);
    let (log, _) = open(dir.path(), &config, start(OpenMode::Recover, 0, 0));
    assert_eq!(log.producers().first_undecided_offset(), None);
}

#[test]
fn a_log_that_is_closed_or_deleted_takes_nothing() {
    let dir = scratch();
    let mut log = Log::create(dir.path(), None, small_segments(), NOW).unwrap();
    let bytes = batch(NOW, &[b"value"]);
    append(&mut log, &bytes).unwrap();
    log.close_clean().unwrap();
    assert!(matches!(append(&mut log, &bytes), Err(StorageError::Closed { .. })));
    assert!(!log.reader().read(0, 1, 1, true).unwrap().bytes.is_empty());
    log.delete();
    assert!(matches!(log.reader().read(0, 1, 1, true), Err(StorageError::Deleted { .. })));
}

#[test]
fn readers_see_whole_batches_in_order_while_the_log_grows_and_shrinks() {
    let dir = scratch();
    let config = Arc::new(LogConfig {
        segment_bytes: 20_000,
        index_interval_bytes: 200,
        retention_bytes: 60_000,
        ..LogConfig::default()
    });
    let mut log = Log::create(dir.path(), None, config, NOW).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (reader, done) = (log.reader(), done.clone());
            thread::spawn(move || {
                let (mut next, mut seen) = (0, 0u64);
                while !done.load(Ordering::Acquire) || next < reader.log_end_offset() {
                    match reader.read(next, 5000, i64::MAX, true) {
                        Ok(slice) => {
                            for batch in milena_records::Batches::new(&slice.bytes) {
                                let batch = batch.unwrap();
                                batch.verify_crc().unwrap();
                                assert_eq!(batch.header.base_offset, next);
                                next = batch.header.next_offset();
                                seen += 1;
                            }
                        }
                        Err(StorageError::OffsetOutOfRange { start, .. }) => next = next.max(start),
                        Err(error) => panic!("{error}"),
                    }
                }
                seen
            })
        })
        .collect();
    for round in 0..3000 {
        append(&mut log, &batch(NOW + round, &[b"some value", &[b'x'; 100]])).unwrap();
        if round % 100 == 0 {
            log.retention(NOW, log.log_end_offset()).unwrap().remove().unwrap();
            log.close_idle_files();
        }
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
}

#[test]
fn logs_that_nobody_uses_hold_no_file() {
    let open_files = |dir: &std::path::Path| {
        let links =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.filter(|target| target.starts_with(dir)).count()
    };
    let dir = scratch();
    let path = dir.path().canonicalize().unwrap();
    let config = small_segments();
    let mut log = Log::create(&path, None, config.clone(), NOW).unwrap();
    assert_eq!(open_files(&path), 0);
    for _ in 0..30 {
        append(&mut log, &batch(NOW, &[&[0; 100]])).unwrap();
    }
    log.close_idle_files();
    log.close_idle_files();
    assert_eq!(open_files(&path), 0);
    append(&mut log, &batch(NOW, &[b"it goes on"])).unwrap();
    drop(log);
    let (log, _) = open(&path, &config, start(OpenMode::Recover, 0, 0));
    assert_eq!(open_files(&path), 0);
    assert_eq!(last_batch(&read_all(&log, 0, 1000)).unwrap().base_offset, 30);
}
