//! Every bit of every file of a small data directory, changed one at a time: the directory opens or is refused with
//! the file's name, what is before the damage stays, and nothing is served that was not appended.
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
    path::{Path, PathBuf},
    sync::Arc,
};

use milena_records::Batches;
use milena_storage::{Log, LogConfig, LogDir, Owner, StorageError, TopicPartition};
use support::{NOW, append_in, batch, idempotent, scratch};
use uuid::Uuid;

const OWNER: Owner<'_> = Owner { cluster_id: Some("cluster"), node_id: 3 };
/// Of a batch, what no checksum covers: base offset, and leader epoch.
const UNCHECKED: [std::ops::Range<usize>; 2] = [0..8, 12..16];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    InOrder,
    Killed,
    PowerCut,
}

/// A directory with a log of two segments, as files.
struct Sample {
    files: Vec<(PathBuf, Vec<u8>)>,
    /// The stored batches, oldest first.
    batches: Vec<Vec<u8>>,
    /// Those of the last segment begin here.
    last_segment: usize,
}

fn tp() -> TopicPartition {
    TopicPartition::new("flips", 0)
}

fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig { index_interval_bytes: 0, ..LogConfig::default() })
}

fn sample(stop: Stop) -> Sample {
    let scratch = scratch();
    let root = scratch.path();
    let dir = LogDir::open(root, OWNER).unwrap();
    let mut log = dir.create_log(&tp(), Uuid::from_u128(5), config(), NOW).unwrap();
    dir.mark_recovered().unwrap();
    let mut batches = Vec::new();
    let mut put = |log: &mut Log, bytes: &[u8], epoch| {
        let info = append_in(log, bytes, epoch).unwrap();
        batches.push(support::placed(bytes, info.base_offset, epoch));
    };
    put(&mut log, &batch(NOW, &[b"a", b"b"]), 0);
    log.roll(NOW).unwrap();
    put(&mut log, &batch(NOW + 5, &[b"c"]), 0);
    put(&mut log, &idempotent(9, 0, 0, NOW + 9, &[b"d", b"e"]), 1);
    put(&mut log, &idempotent(9, 0, 2, NOW + 7, &[b"f"]), 1);
    log.flush().unwrap();
    if stop == Stop::InOrder {
        log.close_clean().unwrap();
    }
    dir.write_recovery_points([(&tp(), log.recovery_point())].into_iter()).unwrap();
    dir.write_log_start_offsets([(&tp(), 0)].into_iter()).unwrap();
    dir.write_high_watermarks([(&tp(), 6)].into_iter()).unwrap();
    if stop == Stop::InOrder {
        dir.mark_clean_shutdown(1).unwrap();
    }
    drop((log, dir));
    let mut files = Vec::new();
    collect(root, root, &mut files);
    for (path, content) in &mut files {
        if stop == Stop::PowerCut && path.ends_with("log-generation") {
            *content = String::from_utf8(content.clone()).unwrap().replace("boot.id=", "boot.id=x").into();
        }
    }
    Sample { files, batches, last_segment: 1 }
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.push((path.strip_prefix(root).unwrap().to_path_buf(), fs::read(&path).unwrap()));
        }
    }
}

/// Opens the directory with one bit changed. An error names a file of it.
fn open(root: &Path, sample: &Sample, file: usize, bit: usize) -> Result<(Log, LogDir), StorageError> {
    let _ = fs::remove_dir_all(root);
    fs::create_dir_all(root.join(tp().to_string())).unwrap();
    for (at, (path, content)) in sample.files.iter().enumerate() {
        let mut content = content.clone();
        if at == file {
            content[bit / 8] ^= 1 << (bit % 8);
        }
        fs::write(root.join(path), content).unwrap();
    }
    let dir = LogDir::open(root, OWNER)?;
    let (log, _) = dir.open_log(&tp(), config(), NOW)?;
    Ok((log, dir))
}

/// All batches that can be read, whatever cannot.
fn readable(log: &Log) -> Vec<Vec<u8>> {
    let (mut offset, mut all) = (log.log_start_offset(), Vec::new());
    while offset < log.log_end_offset() {
        match log.reader().read(offset, 1, i64::MAX, true) {
            Ok(slice) if slice.bytes.is_empty() => break,
            Ok(slice) => {
                let batch = Batches::new(&slice.bytes).next().unwrap().unwrap();
                batch.verify_crc().unwrap();
                assert!(batch.header.last_offset() >= offset, "what is before offset {offset}");
                all.push(batch.bytes.to_vec());
                offset = batch.header.next_offset();
            }
            Err(StorageError::Corrupt { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    all
}

/// Without base offset and leader epoch.
fn checked(batch: &[u8]) -> Vec<u8> {
    let mut batch = batch.to_vec();
    UNCHECKED.into_iter().for_each(|range| batch[range].fill(0));
    batch
}

/// How many batches stay, whatever becomes of the byte; and whether all must be as they were.
fn spared(sample: &Sample, path: &Path, byte: usize) -> (usize, bool) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let Some(base) = name.strip_suffix(".log") else { return (sample.batches.len(), true) };
    let mut at = if base.parse::<i64>().unwrap() == 0 { 0 } else { sample.last_segment };
    let mut end = 0;
    while let Some(batch) = sample.batches.get(at) {
        end += batch.len();
        if byte < end {
            let within = byte + batch.len() - end;
            return (at, !UNCHECKED.iter().any(|range| range.contains(&within)));
        }
        at += 1;
    }
    panic!("{name} is longer than its batches");
}

fn flip_all(stop: Stop) {
    let sample = sample(stop);
    let scratch = scratch();
    let root = scratch.path().join("data");
    let all: Vec<Vec<u8>> = sample.batches.iter().map(|batch| checked(batch)).collect();
    let (mut opened, mut refused) = (0, 0);
    for (file, (path, content)) in sample.files.iter().enumerate() {
        for bit in 0..content.len() * 8 {
            let at = format!("{stop:?}: bit {} of byte {} of {}", bit % 8, bit / 8, path.display());
            let (log, _dir) = match open(&root, &sample, file, bit) {
                Ok(opened) => opened,
                Err(error) => {
                    refused += 1;
                    let text = error.to_string();
                    assert!(text.contains(root.to_str().unwrap()), "{at}: {text}");
                    assert!(!path.ends_with(".log"), "{at}: damage is cut, not refused: {text}");
                    continue;
                }
            };
            opened += 1;
            let (spared, exact) = spared(&sample, path, bit / 8);
            let held: Vec<Vec<u8>> = readable(&log).iter().map(|batch| checked(batch)).collect();
            // Where another log start offset was made of a checkpoint, batches are missing from the start.
            let hidden = all.iter().position(|batch| held.first() == Some(batch)).unwrap_or(all.len());
            let below = if log.log_start_offset() > 0 { hidden } else { 0 };
            assert!(below + held.len() >= spared, "{at}: {} batches, of which {spared} stay", held.len());
            if exact {
                assert!(all.get(below..).unwrap().starts_with(&held), "{at}");
            } else {
                assert_eq!(held.get(..spared), all.get(..spared), "{at}");
                let mut stored = all.iter();
                assert!(held.iter().all(|held| stored.any(|stored| stored == held)), "{at}");
            }
            let _ = log.reader().offset_for_timestamp(NOW + 6);
            let _ = log.reader().max_timestamp();
        }
    }
    assert!(opened > 1000 && refused > 0, "{opened} opened, {refused} refused");
}

#[test]
fn after_a_stop_in_order() {
    flip_all(Stop::InOrder);
}

#[test]
fn after_a_kill() {
    flip_all(Stop::Killed);
}

#[test]
fn after_a_power_cut() {
    flip_all(Stop::PowerCut);
}
