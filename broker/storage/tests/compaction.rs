//! Compaction against a map: the newest record of every key stays, whatever crashes come between.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use milena_records::{Batch, BatchBuilder, Batches, Compression};
use milena_storage::{CleanerLimits, Log, LogConfig, OpenMode, Pace, StorageError};
use proptest::prelude::*;
use support::{NOW, append, open, read_all, scratch, start};

const DAY: i64 = 86_400_000;

fn config() -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment_bytes: 700,
        index_interval_bytes: 100,
        cleanup_delete: false,
        cleanup_compact: true,
        delete_retention_ms: DAY,
        min_cleanable_dirty_millionths: 0,
        ..LogConfig::default()
    })
}

type Value = Option<Vec<u8>>;

/// All records of a log: offset, key, value.
fn records(log: &Log) -> Vec<(i64, Vec<u8>, Value)> {
    let bytes = read_all(log, log.log_start_offset(), 1 << 20);
    let mut all = Vec::new();
    for batch in Batches::new(&bytes) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        for record in batch.records(1 << 20).unwrap().iter() {
            let record = record.unwrap();
            all.push((record.offset, record.key.unwrap().to_vec(), record.value.map(<[u8]>::to_vec)));
        }
    }
    assert!(all.is_sorted_by(|a, b| a.0 < b.0));
    all
}

fn newest(records: &[(i64, Vec<u8>, Value)]) -> BTreeMap<Vec<u8>, (i64, Value)> {
    records.iter().map(|(offset, key, value)| (key.clone(), (*offset, value.clone()))).collect()
}

fn clean(log: &mut Log, now_ms: i64) -> bool {
    let Some(task) = log.clean_task(now_ms, log.log_end_offset()).unwrap() else { return false };
    let cleaned = task.run(&CleanerLimits::default(), &()).unwrap();
    log.install(cleaned).unwrap().remove().unwrap();
    true
}

fn names(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = all.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect();
    found.sort();
    found
}

#[derive(Clone, Debug)]
enum Op {
    Append {
        keys: Vec<(u8, bool)>,
        codec: Compression,
        producer: bool,
    },
    Roll,
    Clean,
    /// Killed when the new segment had its name, and so many of the old ones were gone.
    KilledInstalling {
        gone: usize,
    },
    /// Killed before.
    KilledCleaning,
    Open(OpenMode),
}

fn op() -> impl Strategy<Value = Op> {
    let codecs = [Compression::None, Compression::None, Compression::Lz4, Compression::Gzip];
    let keys = prop::collection::vec((0..12u8, any::<bool>()), 1..5);
    let append = (keys, prop::sample::select(codecs.to_vec()), any::<bool>())
        .prop_map(|(keys, codec, producer)| Op::Append { keys, codec, producer });
    let modes = vec![OpenMode::Clean, OpenMode::SameBoot, OpenMode::Recover];
    prop_oneof![
        12 => append,
        2 => Just(Op::Roll),
        2 => Just(Op::Clean),
        1 => (0..4usize).prop_map(|gone| Op::KilledInstalling { gone }),
        1 => Just(Op::KilledCleaning),
        1 => prop::sample::select(modes).prop_map(Op::Open),
    ]
}

struct Model {
    dir: PathBuf,
    log: Log,
    written: Vec<(i64, Vec<u8>, Value)>,
    sequence: i32,
}

impl Model {
    fn append(&mut self, keys: &[(u8, bool)], codec: Compression, producer: bool) {
        let mut builder = BatchBuilder::new(0).compression(codec);
        if producer {
            builder = builder.producer(1, 0, self.sequence);
            self.sequence += i32::try_from(keys.len()).unwrap();
        }
        let base = self.log.log_end_offset();
        for (offset, (key, tombstone)) in (base..).zip(keys) {
            let value = (!tombstone).then(|| format!("{key} at {offset}").into_bytes());
            builder.append(NOW, Some(&[*key]), value.as_deref(), &[]).unwrap();
            self.written.push((offset, vec![*key], value));
        }
        let bytes = builder.build().unwrap();
        assert_eq!(append(&mut self.log, &bytes).unwrap().base_offset, base);
    }

    fn open(&mut self, mode: OpenMode) {
        let point = if mode == OpenMode::Clean { self.log.close_clean().unwrap() } else { 0 };
        let (log, report) = open(&self.dir, &config(), start(mode, point, 0));
        assert!(!report.lost_bytes(), "{report:?}");
        self.log = log;
    }

    fn kill_installing(&mut self, gone: usize) {
        let Some(task) = self.log.clean_task(NOW, self.log.log_end_offset()).unwrap() else { return };
        let _ = task.run(&CleanerLimits::default(), &()).unwrap();
        let cleaned = names(&self.dir, ".log.cleaned");
        // One segment after the other is put in place: the later ones still have the names of before.
        let Some(first) = cleaned.first() else { return };
        let base = first.file_name().unwrap().to_str().unwrap()[..20].to_owned();
        fs::rename(first, self.dir.join(format!("{base}.log.swap"))).unwrap();
        let last = fs::read(self.dir.join(format!("{base}.log.swap"))).unwrap();
        let first_offset: i64 = base.parse().unwrap();
        let end =
            Batches::new(&last).last().map_or(first_offset + 1, |batch| batch.unwrap().header.next_offset());
        let logs = names(&self.dir, ".log");
        let base_of = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<i64>().unwrap();
        let covered = logs.iter().filter(|path| (first_offset..end).contains(&base_of(path)));
        for source in covered.take(gone) {
            fs::rename(source, source.with_extension("log.deleted")).unwrap();
        }
        self.open(OpenMode::Recover);
        assert!(names(&self.dir, ".swap").is_empty() && names(&self.dir, ".cleaned").is_empty());
        assert!(names(&self.dir, ".deleted").is_empty());
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append { keys, codec, producer } => self.append(keys, *codec, *producer),
            Op::Roll => self.log.roll(NOW).unwrap(),
            Op::Clean => {
                clean(&mut self.log, NOW);
            }
            Op::KilledInstalling { gone } => self.kill_installing(*gone),
            Op::KilledCleaning => {
                if let Some(task) = self.log.clean_task(NOW, self.log.log_end_offset()).unwrap() {
                    let _ = task.run(&CleanerLimits::default(), &()).unwrap();
                }
                self.open(OpenMode::SameBoot);
            }
            Op::Open(mode) => self.open(*mode),
        }
    }

    fn check(&self) {
        let held = records(&self.log);
        let written: BTreeMap<i64, _> = self.written.iter().map(|record| (record.0, record)).collect();
        for record in &held {
            assert_eq!(Some(&record), written.get(&record.0));
        }
        assert_eq!(newest(&held), newest(&self.written));
        assert_eq!(self.log.log_end_offset(), self.written.last().map_or(0, |(offset, ..)| offset + 1));
        let known = self.log.producers().active().next().map_or(-1, |producer| producer.last_sequence);
        assert_eq!(known, self.sequence - 1);
        for offset in (0..self.log.log_end_offset()).step_by(7) {
            let slice = self.log.reader().read(offset, 1, i64::MAX, true).unwrap();
            let first = Batch::parse(&slice.bytes).unwrap().header;
            assert!(first.last_offset() >= offset);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_newest_record_of_every_key_stays(ops in prop::collection::vec(op(), 1..80)) {
        let dir = scratch();
        let log = Log::create(dir.path(), None, config(), NOW).unwrap();
        let mut model = Model { dir: dir.path().to_path_buf(), log, written: Vec::new(), sequence: 0 };
        for op in &ops {
            model.apply(op);
            model.check();
        }
        model.apply(&Op::Roll);
        clean(&mut model.log, NOW);
        model.check();
    }
}

fn one(key: &[u8], value: Option<&[u8]>, timestamp: i64) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(0);
    builder.append(timestamp, Some(key), value, &[]).unwrap();
    builder.build().unwrap()
}

#[test]
fn what_is_written_over_and_over_stays_small() {
    let dir = scratch();
    let mut log = Log::create(dir.path(), None, config(), NOW).unwrap();
    for round in 0..50u32 {
        for key in 0..20u8 {
            append(&mut log, &one(&[key], Some(&round.to_be_bytes()), NOW)).unwrap();
        }
        clean(&mut log, NOW);
    }
    assert!(log.size_in_bytes() < 20 * 80 * 3, "{}", log.size_in_bytes());
    assert_eq!(newest(&records(&log)).len(), 20);
}

#[test]
fn tombstones_stay_for_readers_and_then_go() {
    let dir = scratch();
    let mut log = Log::create(dir.path(), None, config(), NOW).unwrap();
    append(&mut log, &one(b"gone", Some(b"value"), NOW)).unwrap();
    append(&mut log, &one(b"gone", None, NOW)).unwrap();
    append(&mut log, &one(b"kept", Some(b"value"), NOW)).unwrap();
    let mut again = |now_ms: i64| -> Vec<(Vec<u8>, Value)> {
        append(&mut log, &one(b"last", Some(b"value"), NOW)).unwrap();
        log.roll(NOW).unwrap();
        assert!(clean(&mut log, now_ms));
        records(&log).into_iter().map(|(_, key, value)| (key, value)).collect()
    };
    let value = Some(b"value".to_vec());
    let (gone, kept, last) =
        ((b"gone".to_vec(), None), (b"kept".to_vec(), value.clone()), (b"last".to_vec(), value));
    // Its time begins with the first cleaning, however old it is.
    let first = NOW + 30 * DAY;
    assert_eq!(again(first), [gone.clone(), kept.clone(), last.clone()]);
    assert_eq!(again(first + DAY - 1), [gone, kept.clone(), last.clone()]);
    assert_eq!(again(first + DAY), [kept, last]);
}

#[test]
fn a_log_waits_until_enough_of_it_is_new_or_for_too_long() {
    let dir = scratch();
    let lazy = LogConfig { min_cleanable_dirty_millionths: 500_000, ..LogConfig::clone(&config()) };
    let mut log = Log::create(dir.path(), None, Arc::new(lazy.clone()), NOW).unwrap();
    let value = [b'v'; 200];
    for key in 0..4u8 {
        append(&mut log, &one(&[key], Some(&value), NOW)).unwrap();
    }
    log.roll(NOW).unwrap();
    assert!(clean(&mut log, NOW), "all of it is new");
    for key in 4..9u8 {
        log.roll(NOW).unwrap();
        let found = log.cleanable(NOW, log.log_end_offset()).unwrap().unwrap();
        assert_eq!(found.is_due(), key == 9, "{found:?}");
        append(&mut log, &one(&[key], Some(&value), NOW)).unwrap();
    }
    log.roll(NOW).unwrap();
    assert!(clean(&mut log, NOW), "more than half is new");

    let hasty = LogConfig { max_compaction_lag_ms: 1_000, ..lazy };
    append(&mut log, &one(b"x", Some(&value), NOW)).unwrap();
    log.set_config(Arc::new(hasty));
    log.roll_for_compaction(NOW + 1_000).unwrap();
    assert!(!clean(&mut log, NOW + 1_000));
    log.roll_for_compaction(NOW + 1_001).unwrap();
    assert_eq!(log.cleanable(NOW + 1_001, 100).unwrap().unwrap().overdue_ms, 1);
    assert!(clean(&mut log, NOW + 1_001), "nobody appends any more, and it is cleaned");
    assert_eq!(log.first_dirty_offset(), log.log_end_offset());
}

#[test]
fn young_records_open_transactions_and_what_is_not_replicated_wait() {
    let dir = scratch();
    let config = Arc::new(LogConfig { min_compaction_lag_ms: 1000, ..LogConfig::clone(&config()) });
    let mut log = Log::create(dir.path(), None, config, NOW).unwrap();
    append(&mut log, &one(b"key", Some(b"value"), NOW)).unwrap();
    log.roll(NOW).unwrap();
    assert!(log.clean_task(NOW + 999, 1).unwrap().is_none());
    assert!(log.clean_task(NOW + 1000, 0).unwrap().is_none());
    assert!(log.clean_task(NOW + 1000, 1).unwrap().is_some());
    let mut builder = BatchBuilder::new(0).producer(3, 0, 0).transactional();
    builder.append(NOW, Some(b"key"), Some(b"undecided"), &[]).unwrap();
    append(&mut log, &builder.build().unwrap()).unwrap();
    log.roll(NOW).unwrap();
    let task = log.clean_task(NOW + 1000, 2).unwrap().unwrap();
    let cleaned = task.run(&CleanerLimits::default(), &()).unwrap();
    log.install(cleaned).unwrap().remove().unwrap();
    assert_eq!(records(&log).len(), 2);
}

#[test]
fn a_log_that_is_deleted_or_stopped_meanwhile_is_left_alone() {
    struct Stop;
    impl Pace for Stop {
        fn charge(&self, _: u64) -> bool {
            false
        }
    }
    let dir = scratch();
    let at = dir.path().join("log");
    let large = Arc::new(LogConfig { segment_bytes: 1 << 20, ..LogConfig::clone(&config()) });
    let mut log = Log::create(&at, None, large, NOW).unwrap();
    for round in 0..200u8 {
        append(&mut log, &one(&[round % 3], Some(&[round; 1000]), NOW)).unwrap();
    }
    log.roll(NOW).unwrap();
    let before = records(&log);
    let task = |log: &Log| log.clean_task(NOW, log.log_end_offset()).unwrap().unwrap();
    let stopped = task(&log).run(&CleanerLimits::default(), &Stop);
    assert!(matches!(stopped, Err(StorageError::CleaningStopped { .. })), "{stopped:?}");
    assert_eq!(names(&at, ".cleaned").len(), 0);
    assert_eq!(records(&log), before);

    // Room for one key of a batch: it goes on batch by batch; room for none is an error that says so.
    let limits = |keys: usize| CleanerLimits { map_bytes: keys * 24, ..CleanerLimits::default() };
    let no_room = task(&log).run(&limits(1), &()).unwrap_err();
    assert!(no_room.to_string().contains("log.cleaner.dedupe.buffer.size"), "{no_room}");
    let mut passes = 0;
    while let Some(task) = log.clean_task(NOW, log.log_end_offset()).unwrap() {
        let cleaned = task.run(&limits(3), &()).unwrap();
        log.install(cleaned).unwrap().remove().unwrap();
        passes += 1;
    }
    assert!(passes > 1);
    assert_eq!(newest(&records(&log)), newest(&before));
    assert_eq!(records(&log).len(), 3);

    append(&mut log, &one(b"k", Some(b"v"), NOW)).unwrap();
    log.roll(NOW).unwrap();
    let late = task(&log);
    log.delete();
    fs::rename(&at, dir.path().join("gone")).unwrap();
    let deleted = late.run(&CleanerLimits::default(), &());
    assert!(matches!(deleted, Err(StorageError::Deleted { .. })), "{deleted:?}");
}

#[test]
fn a_corrupt_batch_is_reported_and_nothing_is_changed() {
    let dir = scratch();
    let mut log = Log::create(dir.path(), None, config(), NOW).unwrap();
    for round in 0..9u8 {
        append(&mut log, &one(b"key", Some(&[round; 100]), NOW)).unwrap();
    }
    log.roll(NOW).unwrap();
    let middle = names(dir.path(), ".log")[1].clone();
    let mut bytes = fs::read(&middle).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&middle, &bytes).unwrap();
    let files = names(dir.path(), "");
    let found = log.clean_task(NOW, log.log_end_offset()).unwrap().unwrap();
    match found.run(&CleanerLimits::default(), &()) {
        Err(StorageError::Corrupt { path, .. }) => assert_eq!(path, middle),
        other => panic!("{other:?}"),
    }
    assert_eq!(names(dir.path(), ""), files);
}
