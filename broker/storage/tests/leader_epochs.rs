//! Leader epochs in batches, which no checksum covers, after damage and after power cuts.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_wrap)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use milena_storage::{Log, LogConfig, OpenMode};
use support::{NOW, append_in, batch, open, scratch, start};

const SECTOR: usize = 512;
/// Bytes of a batch's header.
const HEADER: usize = 61;
/// Where it has the leader epoch.
const EPOCH: usize = 12;

fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig::default())
}

/// A log that was flushed, with one record in each of these leader epochs; the answer is where each begins.
fn written(dir: &Path, epochs: &[i32]) -> Vec<usize> {
    let mut log = Log::create(dir, None, config(), NOW).unwrap();
    let mut positions = Vec::new();
    for (number, epoch) in epochs.iter().enumerate() {
        positions.push(usize::try_from(log.size_in_bytes()).unwrap());
        append_in(&mut log, &batch(NOW + number as i64, &[b"value"]), *epoch).unwrap();
    }
    log.flush().unwrap();
    positions
}

fn change(dir: &Path, position: usize, bytes: &[u8]) {
    let mut content = fs::read(segment(dir)).unwrap();
    content[position..position + bytes.len()].copy_from_slice(bytes);
    fs::write(segment(dir), content).unwrap();
}

fn segment(dir: &Path) -> PathBuf {
    dir.join("00000000000000000000.log")
}

/// The log's end and what was wrong, after a start that looks at everything.
fn reopened(dir: &Path, mode: OpenMode) -> (i64, Option<String>) {
    let (log, report) = open(dir, &config(), start(mode, 0, 0));
    (log.log_end_offset(), report.reason)
}

#[test]
fn an_epoch_that_goes_back_is_cut_like_a_bad_checksum() {
    for mode in [OpenMode::SameBoot, OpenMode::Recover] {
        let dir = scratch();
        let path = dir.path().join("sample-0");
        let positions = written(&path, &[0, 0, 1, 1, 1]);
        change(&path, positions[3] + EPOCH, &0_i32.to_be_bytes());
        let (end, reason) = reopened(&path, mode);
        assert_eq!((end, reason.as_deref()), (3, Some("leader epoch 0 behind 1")), "{mode:?}");
    }
}

#[test]
fn an_epoch_that_the_batch_alone_or_the_checkpoint_alone_knows_costs_nothing() {
    let dir = scratch();
    let path = dir.path().join("sample-0");
    let positions = written(&path, &[0, 0, 1, 1, 1]);
    change(&path, positions[1] + EPOCH, &77_i32.to_be_bytes());
    assert_eq!(
        reopened(&path, OpenMode::Recover),
        (5, None),
        "damage of one batch must not take those behind it"
    );
    for checkpoint in ["0\n2\n0 0\n9 2\n", "0\n1\n9 0\n", "0\n0\n"] {
        fs::write(path.join("leader-epoch-checkpoint"), checkpoint).unwrap();
        assert_eq!(reopened(&path, OpenMode::Recover), (5, None), "{checkpoint:?} is older than the log");
    }
}

/// Of a header over the boundary of two sectors either half may be what a power cut leaves, of a batch that is the first
/// of its epoch: then nothing but the header itself tells.
#[test]
fn no_sector_takes_a_leader_epoch_alone() {
    for before in 1..HEADER {
        for lost in [0, SECTOR] {
            let dir = scratch();
            let path = dir.path().join("sample-0");
            let mut log = Log::create(&path, None, config(), NOW).unwrap();
            let empty = batch(NOW, &[&[b'x'; 200]]).len() - 200;
            append_in(&mut log, &batch(NOW, &[&vec![b'x'; SECTOR - before - empty]]), 0).unwrap();
            let begins = usize::try_from(log.size_in_bytes()).unwrap();
            assert_eq!(begins, SECTOR - before, "the header begins so many bytes before the boundary");
            append_in(&mut log, &batch(NOW, &[b"value"]), 0x0101_0101).unwrap();
            let ends = usize::try_from(log.size_in_bytes()).unwrap();
            drop(log);
            fs::remove_file(path.join("leader-epoch-checkpoint")).unwrap();
            let gone = if lost == 0 { begins..SECTOR } else { SECTOR..ends };
            let zeros = fs::read(segment(&path)).unwrap()[gone.clone()].iter().all(|byte| *byte == 0);
            change(&path, gone.start, &vec![0; gone.len()]);
            let (end, reason) = reopened(&path, OpenMode::Recover);
            // The first bytes of a small offset are zeros anyway.
            assert_eq!(zeros, lost == 0 && before < 8);
            assert_eq!(
                (end, reason.is_some()),
                if zeros { (2, false) } else { (1, true) },
                "{gone:?}: {reason:?}"
            );
        }
    }
}
