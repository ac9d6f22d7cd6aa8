//! Damage in the middle of a log: what is broken is never served, what is before and behind it stays readable.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unreachable
)]

mod support;

use std::{os::unix::fs::FileExt, path::Path, sync::Arc};

use milena_storage::{Log, LogConfig, LogReader, OpenMode, StorageError};
use support::{NOW, append, batch, last_batch, open, scratch, start};

const BATCHES: i64 = 100;

fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig { index_interval_bytes: 1000, ..LogConfig::default() })
}

/// A closed log of 100 batches of one record; the answer is where each begins.
fn written(dir: &Path) -> Vec<u64> {
    let mut log = Log::create(dir, None, config(), NOW).unwrap();
    let mut positions = Vec::new();
    for number in 0..BATCHES {
        positions.push(log.size_in_bytes());
        append(&mut log, &batch(NOW + number, &[&[number as u8; 100]])).unwrap();
    }
    log.close_clean().unwrap();
    positions
}

/// Flips a byte of the segment.
fn flip(dir: &Path, position: u64) {
    let path = dir.join("00000000000000000000.log");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ 0x55], position).unwrap();
}

/// Offsets at which a read is refused as corrupt; at every other one, exactly the batch there is found.
fn refused(reader: &LogReader) -> Vec<i64> {
    let refused = |offset: &i64| match reader.read(*offset, 1, i64::MAX, true) {
        Ok(slice) => {
            let found = last_batch(&slice.bytes).unwrap();
            assert_eq!(found.base_offset, *offset);
            assert_eq!(slice.bytes.last(), Some(&0), "the count of headers, which ends the record");
            false
        }
        Err(StorageError::Corrupt { .. }) => true,
        Err(error) => unreachable!("{error}"),
    };
    (0..BATCHES).filter(refused).collect()
}

#[test]
fn a_flipped_bit_in_records_costs_that_batch_alone() {
    let dir = scratch();
    let path = dir.path().join("sample-0");
    let positions = written(&path);
    flip(&path, positions[50] + 90);
    for mode in [OpenMode::Clean, OpenMode::SameBoot] {
        // Of a small log, all is in the tail that a start looks over after a kill.
        let (log, report) = open(&path, &config(), start(mode, BATCHES, 0));
        if mode == OpenMode::Clean {
            assert_eq!(refused(&log.reader()), [50]);
            assert_eq!(refused(&log.reader()), [50], "and again");
        } else {
            assert!(report.lost_bytes() && report.below_recovery_point, "told as damage: {report:?}");
        }
    }
}

#[test]
fn a_broken_frame_costs_what_lies_before_the_next_index_entry() {
    for field in [8, 16, 20] {
        // Length, magic, and the CRC with the last byte of the offset delta for the rest.
        let dir = scratch();
        let path = dir.path().join("sample-0");
        let positions = written(&path);
        flip(&path, positions[50] + field);
        let (log, _) = open(&path, &config(), start(OpenMode::Clean, BATCHES, 0));
        let lost = refused(&log.reader());
        assert!(lost.contains(&50) && lost.len() < 10, "byte {field}: {lost:?}");
        assert_eq!(refused(&log.reader()), lost, "byte {field}, asked again");
        assert_eq!(log.log_end_offset(), BATCHES);
    }
}
