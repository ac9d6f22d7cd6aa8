//! Compaction of transactions, tombstones and producers, with little memory for keys, against a list of what was
//! written.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use milena_records::{Batch, BatchBuilder, Batches, Compression};
use milena_storage::{AbortedTransaction, CleanerLimits, Log, LogConfig, OpenMode, Origin, StorageError};
use proptest::prelude::*;
use support::{NOW, open, read_all, scratch, start};

const RETENTION: i64 = 1_000;
/// Bytes of a key in the cleaner's memory.
const SLOT: usize = 24;
/// Producers from here on write in transactions.
const TRANSACTIONAL: i64 = 2;

#[derive(Clone, Debug)]
enum Op {
    Append {
        producer: i64,
        keys: Vec<(u8, bool)>,
        codec: Compression,
    },
    End {
        producer: i64,
        commit: bool,
    },
    Roll,
    Wait(i64),
    /// With a high watermark so far behind the end, and room for so many keys.
    Clean {
        behind: i64,
        keys: usize,
    },
    Open(OpenMode),
}

fn op() -> impl Strategy<Value = Op> {
    let codecs = prop::sample::select(vec![Compression::None, Compression::None, Compression::Zstd]);
    let keys = prop::collection::vec((0..8u8, any::<bool>()), 1..4);
    let modes = prop::sample::select(vec![OpenMode::Clean, OpenMode::SameBoot, OpenMode::Recover]);
    prop_oneof![
        12 => (-1..5_i64, keys, codecs).prop_map(|(producer, keys, codec)| Op::Append { producer, keys, codec }),
        5 => (TRANSACTIONAL..5_i64, any::<bool>()).prop_map(|(producer, commit)| Op::End { producer, commit }),
        3 => Just(Op::Roll),
        3 => (1..RETENTION).prop_map(Op::Wait),
        5 => (0..6_i64, 6..40_usize).prop_map(|(behind, keys)| Op::Clean { behind, keys }),
        1 => modes.prop_map(Op::Open),
    ]
}

type Value = Option<Vec<u8>>;

#[derive(Clone, Debug)]
struct Written {
    key: u8,
    value: Value,
    timestamp: i64,
    /// Which transaction it is part of.
    transaction: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Open,
    Ended { commit: bool },
}

/// First offset and marker of a transaction that has ended.
type Span = (i64, i64);

struct Model {
    dir: PathBuf,
    config: Arc<LogConfig>,
    log: Log,
    now_ms: i64,
    written: BTreeMap<i64, Written>,
    transactions: Vec<Outcome>,
    open: BTreeMap<i64, (usize, i64)>,
    ended: Vec<Span>,
    sequences: BTreeMap<i64, i32>,
    /// When an offset had been cleaned at the latest.
    cleaned_at: BTreeMap<i64, i64>,
    /// No cleaning was allowed from here on.
    touched: i64,
}

impl Model {
    fn new(dir: PathBuf, min_lag_ms: i64) -> Model {
        let config = Arc::new(LogConfig {
            segment_bytes: 800,
            index_interval_bytes: 100,
            cleanup_delete: false,
            cleanup_compact: true,
            delete_retention_ms: RETENTION,
            min_cleanable_dirty_millionths: 0,
            min_compaction_lag_ms: min_lag_ms,
            producer_id_expiration_ms: i64::MAX,
            ..LogConfig::default()
        });
        let log = Log::create(&dir, None, config.clone(), NOW).unwrap();
        Model {
            dir,
            config,
            log,
            now_ms: NOW,
            written: BTreeMap::new(),
            transactions: Vec::new(),
            open: BTreeMap::new(),
            ended: Vec::new(),
            sequences: BTreeMap::new(),
            cleaned_at: BTreeMap::new(),
            touched: 0,
        }
    }

    fn append(&mut self, producer: i64, keys: &[(u8, bool)], codec: Compression) {
        let mut builder = BatchBuilder::new(0).compression(codec);
        let base = self.log.log_end_offset();
        if producer >= 0 {
            let sequence = self.sequences.entry(producer).or_default();
            builder = builder.producer(producer, 0, *sequence);
            *sequence += i32::try_from(keys.len()).unwrap();
        }
        let mut transaction = None;
        if producer >= TRANSACTIONAL {
            builder = builder.transactional();
            let (open, _) = *self.open.entry(producer).or_insert_with(|| {
                self.transactions.push(Outcome::Open);
                (self.transactions.len() - 1, base)
            });
            transaction = Some(open);
        }
        for (offset, (key, tombstone)) in (base..).zip(keys) {
            let value = (!tombstone).then(|| format!("{key} at {offset}").into_bytes());
            builder.append(self.now_ms, Some(&[*key]), value.as_deref(), &[]).unwrap();
            let written = Written { key: *key, value, timestamp: self.now_ms, transaction };
            self.written.insert(offset, written);
        }
        self.put(builder, Origin::Client);
    }

    fn end(&mut self, producer: i64, commit: bool) {
        let Some((transaction, first)) = self.open.remove(&producer) else { return };
        self.ended.push((first, self.log.log_end_offset()));
        self.transactions[transaction] = Outcome::Ended { commit };
        let mut builder = BatchBuilder::new(0).producer(producer, 0, -1).transactional().control();
        builder.append(self.now_ms, Some(&[0, 0, 0, u8::from(commit)]), Some(&[0; 6]), &[]).unwrap();
        self.put(builder, Origin::Coordinator);
    }

    fn put(&mut self, builder: BatchBuilder, origin: Origin) {
        let bytes = builder.build().unwrap();
        self.log.append(&Batch::parse(&bytes).unwrap(), origin, 0, self.now_ms).unwrap();
    }

    fn clean(&mut self, behind: i64, keys: usize) {
        let high_watermark = (self.log.log_end_offset() - behind).max(0);
        let Some(task) = self.log.clean_task(self.now_ms, high_watermark).unwrap() else { return };
        let limits = CleanerLimits { map_bytes: keys * SLOT, map_load_percent: 90, io_bytes: 100 };
        let cleaned = match task.run(&limits, &()) {
            Ok(cleaned) => cleaned,
            // The marker of a transaction is above the high watermark.
            Err(StorageError::CleaningStopped { reason, .. }) => {
                assert!(behind > 0, "{reason}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        for part in cleaned.parts() {
            self.log.install(part).unwrap().remove().unwrap();
        }
        // What ends above the high watermark may go on yet.
        let ended =
            self.ended.iter().filter(|(_, marker)| *marker >= high_watermark).map(|(first, _)| *first);
        let undecided = self.open.values().map(|(_, first)| *first).chain(ended).min().unwrap_or(i64::MAX);
        self.touched = self.touched.max(high_watermark.min(undecided));
        assert!(self.log.first_dirty_offset() <= self.touched);
        for offset in 0..self.log.first_dirty_offset() {
            self.cleaned_at.entry(offset).or_insert(self.now_ms);
        }
    }

    fn open(&mut self, mode: OpenMode) {
        let first_dirty = self.log.first_dirty_offset();
        let point = if mode == OpenMode::Clean { self.log.close_clean().unwrap() } else { 0 };
        if mode == OpenMode::Recover {
            // Producers are then known by the log alone.
            let files = std::fs::read_dir(&self.dir).unwrap().map(|file| file.unwrap().path());
            let snapshots = files.filter(|path| path.extension().is_some_and(|suffix| suffix == "snapshot"));
            snapshots.for_each(|path| std::fs::remove_file(path).unwrap());
        }
        let (mut log, report) = open(&self.dir, &self.config, start(mode, point, 0));
        assert!(!report.lost_bytes(), "{report:?}");
        log.resume_cleaning_at(first_dirty);
        self.log = log;
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append { producer, keys, codec } => self.append(*producer, keys, *codec),
            Op::End { producer, commit } => self.end(*producer, *commit),
            Op::Roll => self.log.roll(self.now_ms).unwrap(),
            Op::Wait(ms) => self.now_ms += ms,
            Op::Clean { behind, keys } => self.clean(*behind, *keys),
            Op::Open(mode) => self.open(*mode),
        }
    }

    fn outcome(&self, written: &Written) -> Outcome {
        written.transaction.map_or(Outcome::Ended { commit: true }, |at| self.transactions[at])
    }

    /// Reads the log as a consumer of committed records does: those that it sees, and all that are there.
    fn read(&self) -> (BTreeMap<i64, Written>, BTreeSet<i64>) {
        let bytes = read_all(&self.log, self.log.log_start_offset(), 1 << 20);
        let (mut seen, mut there) = (BTreeMap::new(), BTreeSet::new());
        let mut pending: BTreeMap<i64, Vec<(i64, Written)>> = BTreeMap::new();
        let mut next = 0;
        let aborted = self.log.reader().aborted(0, self.log.log_end_offset()).unwrap();
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            assert!(batch.header.base_offset >= next);
            next = batch.header.next_offset();
            let mut records = Vec::new();
            let producer_id = batch.header.producer_id;
            for record in &batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                assert!((batch.header.base_offset..next).contains(&record.offset));
                let (key, value) = (record.key.unwrap(), record.value.map(<[u8]>::to_vec));
                if batch.header.is_control() {
                    let ended = pending.remove(&batch.header.producer_id).unwrap_or_default();
                    if key[3] == 1 {
                        seen.extend(ended);
                    }
                    continue;
                }
                there.insert(record.offset);
                let original = &self.written[&record.offset];
                assert_eq!(
                    (key[0], &value, record.timestamp),
                    (original.key, &original.value, original.timestamp)
                );
                records.push((record.offset, original.clone()));
                if self.outcome(original) == (Outcome::Ended { commit: false }) {
                    let spans = |entry: &AbortedTransaction| {
                        entry.producer_id == producer_id
                            && (entry.first_offset..entry.last_offset).contains(&record.offset)
                    };
                    assert!(aborted.iter().any(spans), "{} is not in the index: {aborted:?}", record.offset);
                }
            }
            if batch.header.is_control() {
            } else if batch.header.is_transactional() {
                pending.entry(batch.header.producer_id).or_default().extend(records);
            } else {
                seen.extend(records);
            }
        }
        let open: Vec<i64> = pending.into_keys().collect();
        assert_eq!(open, self.open.keys().copied().collect::<Vec<_>>(), "transactions without an end");
        (seen, there)
    }

    fn check(&self) {
        let (seen, there) = self.read();
        for record in seen.values() {
            assert_eq!(self.outcome(record), Outcome::Ended { commit: true }, "aborted and seen: {record:?}");
        }
        let young = self.now_ms - self.config.min_compaction_lag_ms;
        let mut newest: BTreeMap<u8, i64> = BTreeMap::new();
        for (offset, record) in &self.written {
            let untouched = *offset >= self.touched || record.timestamp > young;
            assert!(!untouched || there.contains(offset), "{offset} was not to be cleaned: {record:?}");
            if self.outcome(record) == (Outcome::Ended { commit: true }) {
                newest.insert(record.key, *offset);
            }
        }
        for (key, offset) in newest {
            let last_seen =
                seen.iter().filter(|(_, record)| record.key == key).map(|(offset, _)| *offset).max();
            if last_seen == Some(offset) {
                continue;
            }
            assert_eq!(self.written[&offset].value, None, "the newest of key {key}, at {offset}, is gone");
            assert_eq!(last_seen, None, "what {offset} deleted is back");
            assert!(self.cleaned_at[&offset] + RETENTION <= self.now_ms, "the tombstone {offset} went early");
        }
        for producer in self.log.producers().active() {
            assert_eq!(producer.last_sequence, self.sequences[&producer.producer_id] - 1);
            let first = self.open.get(&producer.producer_id).map(|(_, first)| *first);
            assert_eq!(producer.current_txn_first_offset, first);
        }
        assert_eq!(self.log.producers().len(), self.sequences.len());
    }

    /// Once everything has ended and waited long enough, nothing is left but what counts.
    fn settle(&mut self) {
        for producer in self.open.keys().copied().collect::<Vec<_>>() {
            self.end(producer, false);
        }
        for round in 0..4 {
            self.now_ms += RETENTION + self.config.min_compaction_lag_ms + 1;
            self.append(-1, &[(100 + round, false)], Compression::None);
            self.now_ms += self.config.min_compaction_lag_ms + 1;
            self.log.roll(self.now_ms).unwrap();
            self.clean(0, 1_000);
            self.check();
        }
        let (seen, there) = self.read();
        assert_eq!(seen.len(), there.len(), "aborted records are left");
        let keys: BTreeSet<u8> = seen.values().map(|record| record.key).collect();
        assert_eq!(seen.len(), keys.len(), "superseded records are left");
        assert!(seen.values().all(|record| record.value.is_some()), "tombstones are left");
        let aborted = self.log.reader().aborted(0, self.log.log_end_offset()).unwrap();
        // One for a batch that tells a producer's last sequence.
        assert!(
            aborted.len() <= self.sequences.len(),
            "transactions without records are in the index: {aborted:?}"
        );
        let bytes = read_all(&self.log, 0, 1 << 20);
        let headers = Batches::new(&bytes).map(|batch| batch.unwrap().header);
        // A marker that its producer's committed records need stays with them.
        let needed = seen.values().filter(|record| record.transaction.is_some()).count();
        let markers = headers.filter(|header| header.is_control() && header.record_count > 0).count();
        assert!(markers <= needed + self.sequences.len(), "{markers} markers are left for {needed} records");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn committed_records_stay_and_aborted_ones_go(
        min_lag_ms in prop::sample::select(vec![0, 0, 1_500]),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let dir = scratch();
        let mut model = Model::new(dir.path().to_path_buf(), min_lag_ms);
        for op in &ops {
            model.apply(op);
            if matches!(op, Op::Clean { .. } | Op::Open(_)) {
                model.check();
            }
        }
        model.check();
        model.settle();
        model.open(OpenMode::Recover);
        model.check();
    }
}
