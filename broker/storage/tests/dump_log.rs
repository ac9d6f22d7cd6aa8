//! The files as Kafka's own tool reads them. MILENA_KAFKA_TOOLS names a program that runs `kafka-dump-log.sh` as
//! its verb `dump-log`; without it the test says so, and in CI it fails.
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
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use milena_records::{BatchBuilder, Compression};
use milena_storage::{CleanerLimits, Log, LogConfig};
use support::{NOW, abort, append_in, batch, commit, compressed, idempotent, in_transaction};

fn tool() -> Option<PathBuf> {
    let tool = env::var_os("MILENA_KAFKA_TOOLS").map(PathBuf::from);
    if tool.is_none() {
        assert!(env::var_os("CI").is_none(), "MILENA_KAFKA_TOOLS must be set in CI");
        eprintln!("skipped: MILENA_KAFKA_TOOLS names no Kafka tools");
    }
    tool
}

fn dump(tool: &Path, files: &[PathBuf], arguments: &[&str]) -> String {
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let output = Command::new(tool).args(["dump-log", "--files", &files.join(",")]).args(arguments).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A log of several segments, closed in order.
fn written(dir: &Path) -> Log {
    let config =
        Arc::new(LogConfig { segment_bytes: 20_000, index_interval_bytes: 500, ..LogConfig::default() });
    let mut log = Log::create(dir, Some(milena_storage::ids::random()), config, NOW).unwrap();
    let value = vec![b'v'; 300];
    for (sequence, epoch) in (0..200).zip([0, 0, 1].into_iter().chain(std::iter::repeat(4))) {
        let timestamp = NOW + i64::from(sequence) * 10;
        append_in(&mut log, &idempotent(4711, 2, sequence * 2, timestamp, &[&value, b"second"]), epoch)
            .unwrap();
    }
    let codecs = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (codec, at) in codecs.into_iter().zip(1..) {
        append_in(&mut log, &compressed(codec, NOW + 3000 + at, &[&value, &value]), 4).unwrap();
    }
    for sequence in 0..8 {
        append_in(&mut log, &in_transaction(4712, sequence * 2, &[b"in", &value]), 4).unwrap();
        append_in(&mut log, &if sequence % 2 == 0 { abort(4712) } else { commit(4712) }, 4).unwrap();
    }
    append_in(&mut log, &batch(NOW + 4000, &[b"last"]), 4).unwrap();
    log.close_clean().unwrap();
    log
}

fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        all.filter(|path| path.extension().is_some_and(|ext| ext == suffix)).collect();
    found.sort();
    found
}

#[test]
fn kafka_reads_every_file() {
    let Some(tool) = tool() else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("sample-0");
    let log = written(&dir);
    let logs = files(&dir, "log");
    assert!(logs.len() > 3, "{logs:?}");

    let text = dump(&tool, &logs, &["--print-data-log", "--deep-iteration"]);
    let offsets: Vec<i64> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("| offset: "))
        .map(|rest| rest.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(offsets, (0..log.log_end_offset()).collect::<Vec<i64>>());
    assert!(!text.contains("isvalid: false"), "{text}");
    for wanted in [
        "compresscodec: zstd",
        "producerId: 4711",
        "partitionLeaderEpoch: 4",
        "payload: last",
        "endTxnMarker: ABORT",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing");
    }

    // Without complaints of the tool, which compares each index with its log.
    let indexes: Vec<PathBuf> = [files(&dir, "index"), files(&dir, "timeindex")].concat();
    assert_eq!(indexes.len(), logs.len() * 2);
    let text = dump(&tool, &indexes, &[]);
    assert!(!text.to_lowercase().contains("mismatch") && !text.contains("Found"), "{text}");
    assert!(text.lines().filter(|line| line.starts_with("offset: ")).count() > 20, "{text}");
    assert!(text.lines().filter(|line| line.starts_with("timestamp: ")).count() > 20, "{text}");

    for check in ["--index-sanity-check", "--verify-index-only"] {
        let text = dump(&tool, &indexes, &[check]);
        assert!(!text.to_lowercase().contains("mismatch") && !text.contains("Found"), "{check}: {text}");
    }

    let transactions = files(&dir, "txnindex");
    let text = dump(&tool, &transactions, &[]);
    assert_eq!(text.matches("version: 0 producerId: 4712 ").count(), 4, "{text}");

    let snapshots = files(&dir, "snapshot");
    let text = dump(&tool, snapshots.last().map(std::slice::from_ref).unwrap(), &[]);
    assert!(text.contains("producerId: 4711 producerEpoch: 2"), "{text}");
    assert!(text.contains("firstSequence: 398") && text.contains("lastSequence: 399"), "{text}");
    assert!(text.contains("producerId: 4712") && text.contains("coordinatorEpoch: 3"), "{text}");
}

#[test]
fn kafka_reads_what_compaction_left() {
    let Some(tool) = tool() else { return };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("compacted-0");
    let config = LogConfig {
        segment_bytes: 20_000,
        index_interval_bytes: 500,
        cleanup_compact: true,
        min_cleanable_dirty_millionths: 0,
        ..LogConfig::default()
    };
    let mut log = Log::create(&dir, None, Arc::new(config), NOW).unwrap();
    let keyed = |builder: BatchBuilder, key: i32, value: Option<&[u8]>| {
        let mut builder = builder;
        builder.append(NOW, Some(format!("key{key}").as_bytes()), Some(b"old"), &[]).unwrap();
        builder.append(NOW + 5, Some(format!("key{key}").as_bytes()), value, &[]).unwrap();
        builder.build().unwrap()
    };
    let codecs = [Compression::None, Compression::Gzip, Compression::Lz4, Compression::Zstd];
    for number in 0..400 {
        let plain = BatchBuilder::new(0).compression(codecs[usize::try_from(number % 4).unwrap()]);
        let value = (number % 3 != 0).then_some(&[b'v'; 100][..]);
        append_in(&mut log, &keyed(plain, number % 50, value), 0).unwrap();
        if number % 40 == 0 {
            append_in(&mut log, &in_transaction(4712, number / 40 * 2, &[b"in", b"out"]), 0).unwrap();
            append_in(&mut log, &if number % 80 == 40 { abort(4712) } else { commit(4712) }, 0).unwrap();
        }
    }
    log.roll(NOW).unwrap();
    let end = log.log_end_offset();
    // The second one drops what ended in an abort, and gives markers a time to go at.
    for _ in 0..2 {
        append_in(&mut log, &keyed(BatchBuilder::new(0), 0, Some(b"new")), 0).unwrap();
        log.roll(NOW).unwrap();
        let task = log.clean_task(NOW + 10, log.log_end_offset()).unwrap().unwrap();
        let cleaned = task.run(&CleanerLimits::default(), &()).unwrap();
        log.install(cleaned).unwrap().remove().unwrap();
    }
    log.close_clean().unwrap();

    let logs = files(&dir, "log");
    let text = dump(&tool, &logs, &["--print-data-log", "--deep-iteration"]);
    let offsets: Vec<i64> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("| offset: "))
        .map(|rest| rest.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    assert!(offsets.len() < 150 && offsets.is_sorted(), "{offsets:?}");
    assert!(!text.contains("isvalid: false"), "{text}");
    let horizon = format!("deleteHorizonMs: OptionalLong[{}]", NOW + 10 + 86_400_000);
    for wanted in [&horizon, "endTxnMarker: COMMIT", "payload: new", "count: 0", "compresscodec: zstd"] {
        assert!(text.contains(wanted), "{wanted} is missing: {text}");
    }
    let keys: Vec<&str> =
        text.lines().filter_map(|line| line.split_once(" key: key")?.1.split_whitespace().next()).collect();
    assert_eq!(keys.len(), keys.iter().collect::<std::collections::BTreeSet<_>>().len(), "{text}");
    assert!(log.log_end_offset() > end);

    let indexes: Vec<PathBuf> = [files(&dir, "index"), files(&dir, "timeindex")].concat();
    for check in [&[][..], &["--index-sanity-check"], &["--verify-index-only"]] {
        let text = dump(&tool, &indexes, check);
        assert!(!text.to_lowercase().contains("mismatch") && !text.contains("Found"), "{check:?}: {text}");
    }
}
