//! Transactions in a log: the last stable offset, and the index of those that were aborted.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::{path::Path, sync::Arc};

use milena_storage::{Log, LogConfig, OpenMode};
use support::{NOW, abort, append, batch, commit, in_transaction, open, scratch, start};

fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig { segment_bytes: 1_000, ..LogConfig::default() })
}

fn create(dir: &Path) -> Log {
    Log::create(dir, None, config(), NOW).unwrap()
}

/// First offsets of aborted transactions within a range.
fn aborted(log: &Log, from: i64, to: i64) -> Vec<i64> {
    let found = log.reader().aborted(from, to).unwrap();
    found.iter().map(|aborted| aborted.first_offset).collect()
}

/// Twenty transactions of three records and a marker each, over several segments; every second one is aborted.
fn twenty(log: &mut Log) {
    for number in 0..20i32 {
        append(log, &in_transaction(7, number * 3, &[b"a", b"b", &[b'c'; 100]])).unwrap();
        append(log, &if number % 2 == 0 { commit(7) } else { abort(7) }).unwrap();
    }
}

#[test]
fn what_is_undecided_is_not_stable() {
    let dir = scratch();
    let mut log = create(&dir.path().join("sample-0"));
    let reader = log.reader();
    append(&mut log, &batch(NOW, &[b"before"])).unwrap();
    assert_eq!(reader.last_stable_offset(1), 1);
    append(&mut log, &in_transaction(1, 0, &[b"a"])).unwrap();
    append(&mut log, &in_transaction(2, 0, &[b"b"])).unwrap();
    assert_eq!(reader.last_stable_offset(3), 1, "the older one is open");
    append(&mut log, &abort(1)).unwrap();
    assert_eq!(reader.last_stable_offset(4), 2, "the younger one is");
    append(&mut log, &commit(2)).unwrap();
    assert_eq!(reader.last_stable_offset(4), 2, "its end may still be lost");
    assert_eq!(reader.last_stable_offset(5), 5);
    assert_eq!(aborted(&log, 0, 5), [1]);
    let entry = reader.aborted(0, 5).unwrap()[0];
    assert_eq!((entry.producer_id, entry.last_offset, entry.last_stable_offset), (1, 3, 2));
}

#[test]
fn aborted_transactions_are_found_over_segments_and_restarts() {
    let dir = scratch();
    let path = dir.path().join("sample-0");
    let mut log = create(&path);
    twenty(&mut log);
    let all: Vec<i64> = (0..20).filter(|number| number % 2 == 1).map(|number| number * 4).collect();
    assert_eq!(aborted(&log, 0, 80), all);
    assert_eq!(aborted(&log, 5, 6), [4]);
    assert_eq!(aborted(&log, 8, 12), Vec::<i64>::new());
    assert_eq!(aborted(&log, 70, 80), [68, 76]);
    let near = log.reader().aborted_in_read(0, 500, 80).unwrap();
    assert!((1..5).contains(&near.len()), "of what a read of 500 bytes can reach: {near:?}");
    append(&mut log, &in_transaction(9, 0, &[b"open"])).unwrap();
    log.close_clean().unwrap();
    for mode in [OpenMode::Clean, OpenMode::SameBoot, OpenMode::Recover] {
        let (log, _) = open(&path, &config(), start(mode, 0, 0));
        assert_eq!(aborted(&log, 0, 81), all, "{mode:?}");
        assert_eq!(log.reader().last_stable_offset(81), 80, "{mode:?}");
    }
}

#[test]
fn entries_that_a_power_cut_took_are_found_in_the_log() {
    let dir = scratch();
    let path = dir.path().join("sample-0");
    let mut log = create(&path);
    twenty(&mut log);
    let all = aborted(&log, 0, 80);
    let flushed = 40;
    drop(log);
    for (number, entry) in std::fs::read_dir(&path).unwrap().enumerate() {
        let file = entry.unwrap().path();
        let base = file.file_stem().unwrap().to_string_lossy().parse().unwrap_or(0);
        if file.extension().is_some_and(|kind| kind == "txnindex") && base > flushed {
            // Gone, or torn.
            if number % 2 == 0 { std::fs::remove_file(&file) } else { std::fs::write(&file, [0; 40]) }
                .unwrap();
        }
    }
    let (log, report) = open(&path, &config(), start(OpenMode::Recover, flushed, 0));
    assert_eq!((report.log_end_offset, report.lost_bytes()), (80, false));
    assert_eq!(aborted(&log, 0, 80), all);
}

#[test]
fn a_cut_takes_the_entries_with_it() {
    let dir = scratch();
    let path = dir.path().join("sample-0");
    let mut log = create(&path);
    twenty(&mut log);
    // The marker of the transaction that began at 28 goes: it is open again, and ends otherwise.
    log.truncate_to(31, NOW).unwrap();
    assert_eq!(log.reader().last_stable_offset(31), 28);
    append(&mut log, &commit(7)).unwrap();
    assert_eq!(aborted(&log, 0, 80), [4, 12, 20]);
    log.close_clean().unwrap();
    let (log, _) = open(&path, &config(), start(OpenMode::Clean, 0, 0));
    assert_eq!(aborted(&log, 0, 80), [4, 12, 20]);
}
