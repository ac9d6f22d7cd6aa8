//! Every decoder of what lies in a data directory, fed with files that are nearly right: none panics, none takes
//! memory or time for what is not there, and no read gives a batch whose checksum is wrong.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/mutate.rs"]
mod mutate;
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use milena_records::{BatchBuilder, Batches};
use milena_storage::{LogConfig, LogDir, Origin, Owner, ProducerState, StorageError, TopicPartition};
use mutate::{Random, cases, mutate};
use support::{NOW, append, batch, built, idempotent, scratch};
use uuid::Uuid;

const OWNER: Owner<'_> = Owner { cluster_id: None, node_id: 3 };

fn tp() -> TopicPartition {
    TopicPartition::new("mutants", 0)
}

fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig { segment_bytes: 700, index_interval_bytes: 0, ..LogConfig::default() })
}

/// A directory that was stopped in order, with everything in it that there can be.
fn sample() -> Vec<(PathBuf, Vec<u8>)> {
    let scratch = scratch();
    let root = scratch.path();
    let dir = LogDir::open(root, OWNER).unwrap();
    let mut log = dir.create_log(&tp(), Uuid::from_u128(5), config(), NOW).unwrap();
    for round in 0..8 {
        append(&mut log, &batch(NOW + round, &[b"plain", &[b'x'; 60]])).unwrap();
        let sequence = i32::try_from(round).unwrap();
        append(&mut log, &idempotent(4, 0, sequence, NOW + round, &[b"idempotent"])).unwrap();
        let transactional = BatchBuilder::new(0).producer(5, 0, sequence).transactional();
        append(&mut log, &built(transactional, NOW, &[b"within"])).unwrap();
        let mut marker = BatchBuilder::new(0).producer(5, 0, -1).transactional().control();
        marker.append(NOW, Some(&[0, 0, 0, 0]), Some(&[0, 0, 0, 0, 0, 8]), &[]).unwrap();
        let marker = marker.build().unwrap();
        log.append(&milena_records::Batch::parse(&marker).unwrap(), Origin::Coordinator, 0, NOW).unwrap();
        log.assign_epoch(sequence).unwrap();
    }
    log.flush().unwrap();
    log.close_clean().unwrap();
    dir.write_recovery_points([(&tp(), log.recovery_point())].into_iter()).unwrap();
    dir.write_log_start_offsets([(&tp(), 3)].into_iter()).unwrap();
    dir.write_high_watermarks([(&tp(), 6)].into_iter()).unwrap();
    dir.mark_clean_shutdown(1).unwrap();
    drop((log, dir));
    let mut files = Vec::new();
    collect(root, root, &mut files);
    assert!(files.len() > 15, "{}", files.len());
    files
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
    files.sort();
}

/// Opens the directory and reads all of it, in whatever mode the files call for.
fn use_it(root: &Path) -> Result<(), StorageError> {
    let dir = LogDir::open(root, OWNER)?;
    let (mut log, _) = dir.open_log(&tp(), config(), NOW)?;
    let reader = log.reader();
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let Ok(slice) = reader.read(offset, 300, i64::MAX, true) else { break };
        let Some(last) = Batches::new(&slice.bytes).last() else { break };
        for batch in Batches::new(&slice.bytes) {
            batch.unwrap().verify_crc().unwrap();
        }
        assert!(last.as_ref().unwrap().header.next_offset() > offset);
        offset = last.unwrap().header.next_offset();
    }
    for time in [0, NOW + 3, i64::MAX] {
        let _ = reader.offset_for_timestamp(time);
    }
    let _ = reader.max_timestamp();
    let _ = log.epoch_end_offset(3);
    let end = log.log_end_offset();
    let appended = append(&mut log, &batch(NOW, &[b"goes on"]));
    assert!(appended.is_err() || log.log_end_offset() == end + 1);
    let middle = log.log_start_offset().midpoint(end);
    let _ = log.truncate_to(middle, NOW);
    let _ = log.flush();
    Ok(())
}

#[test]
fn files_that_are_nearly_right() {
    let files = sample();
    let scratch = scratch();
    cases(1000, 1000, |random: &mut Random| {
        let root = scratch.path().join("data");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join(tp().to_string())).unwrap();
        let damaged = random.below(files.len());
        let in_order = random.below(3) > 0;
        for (at, (path, content)) in files.iter().enumerate() {
            let content = if at == damaged { mutate(random, content) } else { content.clone() };
            // Some files lie there under a name that calls for other work.
            let path = match random.below(200) {
                0 => path.with_extension("log.swap"),
                1 => path.with_extension("log.cleaned"),
                _ => path.clone(),
            };
            if in_order || !path.ends_with(".kafka_cleanshutdown") {
                fs::write(root.join(path), content).unwrap();
            }
        }
        if let Err(error) = use_it(&root) {
            assert!(error.to_string().contains(root.to_str().unwrap()), "{error}");
        }
    });
}

#[test]
fn producer_snapshots_with_a_right_checksum() {
    let mut snapshots =
        sample().into_iter().filter(|(path, _)| path.extension().is_some_and(|is| is == "snapshot"));
    let (_, snapshot) = snapshots.next_back().unwrap();
    cases(20_000, 20_000, |random| {
        let mut bytes = mutate(random, &snapshot);
        if bytes.len() > 6 {
            let crc = milena_records::crc32c(&bytes[6..]);
            bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        }
        if let Some(state) = ProducerState::from_snapshot(&bytes, NOW, i64::MAX) {
            let again = ProducerState::from_snapshot(&state.to_snapshot(), NOW, i64::MAX).unwrap();
            assert_eq!(again.len(), state.len());
            assert_eq!(again.first_undecided_offset(), state.first_undecided_offset());
        }
    });
}
