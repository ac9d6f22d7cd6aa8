//! A log against a list of batches: whatever is done to it, and whatever a crash takes, it holds what the list
//! says, byte for byte.
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
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use milena_records::Batch;
use milena_storage::{InMemory, Log, LogConfig, OpenMode, Origin, TailBudget, TailLimits};
use proptest::prelude::*;
use support::{NOW, append_in, batch, idempotent, placed, read_all, start};

/// Memory for readers at the log's end.
const TAIL_BYTES: usize = 4000;

/// What happens to the last segment file in a crash.
#[derive(Clone, Debug)]
enum Fault {
    None,
    /// So many permille of the file stay.
    Torn(u64),
    /// A byte changes.
    Flip {
        permille: u64,
        bit: u8,
    },
    /// A write that was not finished.
    Garbage(Vec<u8>),
}

#[derive(Clone, Debug)]
enum Op {
    Append { records: usize, size: usize, producer: Option<i64>, gap_ms: i64 },
    Follow { batches: usize, size: usize },
    NewEpoch,
    Roll,
    Flush,
    Truncate(u64),
    DeleteRecords(u64),
    Retention,
    Read { at: u64, max_bytes: usize, up_to: u64, min_one: bool },
    CloseAndOpen,
    Kill(Fault),
    PowerCut(Fault),
    LoseIndexes,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => Just(Fault::None),
        2 => (0..1000u64).prop_map(Fault::Torn),
        2 => (0..1000u64, 0..8u8).prop_map(|(permille, bit)| Fault::Flip { permille, bit }),
        1 => prop::collection::vec(any::<u8>(), 1..200).prop_map(Fault::Garbage),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let append = (1..4usize, 0..300usize, prop::option::of(0..3i64), -5..20i64)
        .prop_map(|(records, size, producer, gap_ms)| Op::Append { records, size, producer, gap_ms });
    let read = (0..=1000u64, 0..3000usize, 0..=1000u64, any::<bool>())
        .prop_map(|(at, max_bytes, up_to, min_one)| Op::Read { at, max_bytes, up_to, min_one });
    prop_oneof![
        20 => append,
        3 => (1..6usize, 0..300usize).prop_map(|(batches, size)| Op::Follow { batches, size }),
        2 => Just(Op::NewEpoch),
        1 => Just(Op::Roll),
        2 => Just(Op::Flush),
        1 => (0..=1000u64).prop_map(Op::Truncate),
        1 => (0..=1000u64).prop_map(Op::DeleteRecords),
        1 => Just(Op::Retention),
        6 => read,
        2 => Just(Op::CloseAndOpen),
        2 => fault().prop_map(Op::Kill),
        2 => fault().prop_map(Op::PowerCut),
        1 => Just(Op::LoseIndexes),
    ]
}

/// A batch that the log must hold.
#[derive(Clone, Debug)]
struct Stored {
    base: i64,
    last: i64,
    producer: Option<(i64, i32)>,
    bytes: Vec<u8>,
}

struct Model {
    dir: PathBuf,
    config: Arc<LogConfig>,
    log: Log,
    batches: Vec<Stored>,
    log_start: i64,
    epoch: i32,
    clock: i64,
    serial: u32,
    tails: Arc<TailBudget>,
}

impl Model {
    fn new(dir: &Path) -> Model {
        let config = Arc::new(LogConfig {
            segment_bytes: 2000,
            index_interval_bytes: 150,
            segment_ms: 500,
            retention_bytes: 6000,
            ..LogConfig::default()
        });
        let log = Log::create(dir, None, config.clone(), NOW).unwrap();
        let tails = TailBudget::new(TAIL_BYTES);
        log.share_tail_budget(&tails);
        Model {
            dir: dir.to_path_buf(),
            config,
            log,
            batches: Vec::new(),
            log_start: 0,
            epoch: 0,
            clock: NOW,
            serial: 0,
            tails,
        }
    }

    fn use_log(&mut self, log: Log) {
        log.share_tail_budget(&self.tails);
        self.log = log;
    }

    fn end(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.last + 1).max(self.log_start)
    }

    /// Batches that are not deleted.
    fn live(&self) -> impl Iterator<Item = &Stored> {
        self.batches.iter().filter(|batch| batch.last >= self.log_start)
    }

    fn offset(&self, permille: u64) -> i64 {
        let span = u64::try_from(self.end() - self.log_start).unwrap();
        self.log_start + i64::try_from(span * permille / 1000).unwrap()
    }

    fn value(&mut self, size: usize) -> Vec<u8> {
        self.serial += 1;
        let mut value = self.serial.to_be_bytes().to_vec();
        value.resize(size + 4, b'x');
        value
    }

    /// The log must know what the list knows. It may know of deleted batches too.
    fn next_sequence(&self, producer: i64) -> i32 {
        let known = self.log.producers().active().find(|active| active.producer_id == producer);
        let known = known.map(|active| active.last_sequence);
        let last = self.live().filter_map(|b| b.producer.filter(|(id, _)| *id == producer)).last();
        if let Some((_, sequence)) = last {
            assert_eq!(known, Some(sequence));
        }
        known.map_or(0, |sequence| sequence + 1)
    }

    fn append(&mut self, records: usize, size: usize, producer: Option<i64>, gap_ms: i64) {
        self.clock += gap_ms;
        let values: Vec<Vec<u8>> = (0..records).map(|_| self.value(size)).collect();
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let sequence = producer.map(|id| (id, self.next_sequence(id)));
        let bytes = match sequence {
            Some((id, sequence)) => idempotent(id, 0, sequence, self.clock, &values),
            None => batch(self.clock, &values),
        };
        let memory = InMemory { bytes: &bytes, buffer: bytes.len() };
        let parsed = Batch::parse(&bytes).unwrap();
        let info = self.log.append_kept(&parsed, Some(memory), Origin::Client, self.epoch, NOW).unwrap();
        assert!(!info.duplicate);
        assert_eq!(info.base_offset, self.end());
        let last_sequence = |sequence: i32| sequence + i32::try_from(records).unwrap() - 1;
        self.batches.push(Stored {
            base: info.base_offset,
            last: info.last_offset,
            producer: sequence.map(|(id, sequence)| (id, last_sequence(sequence))),
            bytes: placed(&bytes, info.base_offset, self.epoch),
        });
        if producer.is_some() {
            let again = append_in(&mut self.log, &bytes, self.epoch).unwrap();
            assert!(again.duplicate);
            assert_eq!((again.base_offset, again.last_offset), (info.base_offset, info.last_offset));
        }
    }

    fn follow(&mut self, count: usize, size: usize) {
        let mut sent = Vec::new();
        for _ in 0..count {
            let value = self.value(size);
            let (base, epoch) = (self.end(), self.epoch);
            let bytes = placed(&batch(self.clock, &[&value]), base, epoch);
            sent.extend_from_slice(&bytes);
            self.batches.push(Stored { base, last: base, producer: None, bytes });
        }
        // A fetch answer may end within a batch.
        sent.extend_from_slice(&sent.clone()[..30]);
        self.log.append_as_follower(&sent, NOW).unwrap();
    }

    fn keep_below(&mut self, offset: i64) {
        self.batches.retain(|batch| batch.last < offset);
    }

    fn truncate(&mut self, permille: u64) {
        let offset = self.offset(permille);
        let end = self.log.truncate_to(offset, NOW).unwrap();
        self.keep_below(offset);
        // Of a batch that contains the offset, nothing is left.
        assert!(end <= offset);
    }

    fn read(&self, at: u64, max_bytes: usize, up_to: u64, min_one: bool) {
        let (offset, up_to) = (self.offset(at), self.offset(up_to));
        let slice = self.log.reader().read(offset, max_bytes, up_to, min_one).unwrap();
        let mut expected = Vec::new();
        for batch in self.live().filter(|batch| batch.last >= offset) {
            let room = expected.len() + batch.bytes.len() <= max_bytes || (min_one && expected.is_empty());
            if batch.last >= up_to || offset >= up_to || !room {
                break;
            }
            expected.extend_from_slice(&batch.bytes);
        }
        // A read ends with the segment, so it may be shorter, but neither empty nor different.
        assert!(expected.starts_with(&slice.bytes));
        assert_eq!(slice.bytes.is_empty(), expected.is_empty());
        let located = self.log.reader().locate(offset, max_bytes, up_to, min_one).unwrap();
        assert_eq!(located.is_some(), !slice.bytes.is_empty());
        if let Some(located) = located {
            let bytes = located.read().unwrap().unwrap();
            assert!(expected.starts_with(&bytes) && bytes.starts_with(&slice.bytes));
        }
        // Whatever is in memory is what is in the files, and all of it.
        self.log.reader().note_tail_reader();
        let limits = TailLimits { max_bytes, up_to, min_one_batch: min_one, in_memory: 5000 };
        if let Some(tail) = self.log.reader().read_tail(offset, limits).unwrap() {
            assert_eq!((tail.pieces.concat(), tail.len), (expected.clone(), expected.len()));
        }
        assert!(self.tails.used() <= TAIL_BYTES);
    }

    fn last_segment(&self) -> PathBuf {
        let logs = fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().path());
        logs.filter(|path| path.extension().is_some_and(|suffix| suffix == "log")).max().unwrap()
    }

    /// Damages the last segment, but nothing below `safe`. The answer is the offset from which all is lost,
    /// and whether the file shows it.
    fn damage(&self, fault: &Fault, safe: i64) -> Option<(i64, bool)> {
        let path = self.last_segment();
        let base: i64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let in_segment: Vec<&Stored> = self.batches.iter().filter(|batch| batch.base >= base).collect();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        let at = |position: u64| {
            let mut end = 0;
            in_segment.iter().find_map(|batch| {
                let start = end;
                end += u64::try_from(batch.bytes.len()).unwrap();
                (end > position).then_some((batch.base, position - start))
            })
        };
        match fault {
            Fault::None => None,
            Fault::Garbage(bytes) => {
                file.write_all_at(bytes, size).unwrap();
                None
            }
            Fault::Torn(permille) => {
                let position = size * permille / 1000;
                let (base, within) = at(position).filter(|(base, _)| *base >= safe)?;
                file.set_len(position).unwrap();
                Some((base, within > 0))
            }
            Fault::Flip { permille, bit } => {
                let position = size * permille / 1000;
                let (base, within) = at(position).filter(|(base, _)| *base >= safe)?;
                // No checksum covers base offset and leader epoch.
                if within < 8 || (12..16).contains(&within) {
                    return None;
                }
                let mut byte = [0];
                file.read_exact_at(&mut byte, position).unwrap();
                file.write_all_at(&[byte[0] ^ (1 << bit)], position).unwrap();
                Some((base, true))
            }
        }
    }

    fn crash(&mut self, mode: OpenMode, fault: &Fault) {
        let point = self.log.recovery_point();
        let safe = if mode == OpenMode::Recover { point } else { 0 };
        let lost_from = self.damage(fault, safe);
        if let Some((offset, _)) = lost_from {
            self.keep_below(offset);
        }
        let (log, report) = support::open(&self.dir, &self.config, start(mode, point, self.log_start));
        self.use_log(log);
        assert_eq!(
            report.lost_bytes(),
            lost_from.is_some_and(|(_, shown)| shown) || matches!(fault, Fault::Garbage(_)),
            "{report:?}"
        );
    }

    fn close_and_open(&mut self) {
        let point = self.log.close_clean().unwrap();
        let (log, report) =
            support::open(&self.dir, &self.config, start(OpenMode::Clean, point, self.log_start));
        assert_eq!(report.verified_bytes, 0);
        assert!(!report.lost_bytes());
        self.use_log(log);
    }

    fn lose_indexes(&mut self) {
        let point = self.log.close_clean().unwrap();
        for entry in fs::read_dir(&self.dir).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|suffix| suffix.to_str()) {
                Some("index") => fs::remove_file(path).unwrap(),
                Some("timeindex") => File::create(path).unwrap().write_all_at(b"rubbish", 0).unwrap(),
                _ => {}
            }
        }
        let (log, _) = support::open(&self.dir, &self.config, start(OpenMode::Clean, point, self.log_start));
        self.use_log(log);
    }

    fn retention(&mut self) {
        let before = self.log.log_start_offset();
        self.log.retention(NOW, self.end()).unwrap().remove().unwrap();
        self.log_start = self.log.log_start_offset();
        assert!(self.log_start >= before);
        assert!(self.log.size_in_bytes() <= 6000 + 2000);
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Append { records, size, producer, gap_ms } => self.append(records, size, producer, gap_ms),
            Op::Follow { batches, size } => self.follow(batches, size),
            Op::NewEpoch => self.epoch += 1,
            Op::Roll => self.log.roll(NOW).unwrap(),
            Op::Flush => assert_eq!(self.log.flush().unwrap(), self.end()),
            Op::Truncate(permille) => self.truncate(permille),
            Op::DeleteRecords(permille) => {
                let offset = self.offset(permille);
                self.log_start = self.log.delete_records(offset).unwrap();
            }
            Op::Retention => self.retention(),
            Op::Read { at, max_bytes, up_to, min_one } => self.read(at, max_bytes, up_to, min_one),
            Op::CloseAndOpen => self.close_and_open(),
            Op::Kill(fault) => self.crash(OpenMode::SameBoot, &fault),
            Op::PowerCut(fault) => self.crash(OpenMode::Recover, &fault),
            Op::LoseIndexes => self.lose_indexes(),
        }
    }

    fn check(&self) {
        assert_eq!(self.log.log_end_offset(), self.end());
        assert_eq!(self.log.log_start_offset(), self.log_start);
        let expected: Vec<u8> = self.live().flat_map(|batch| batch.bytes.iter().copied()).collect();
        for max_bytes in [1, 1000, 1 << 20] {
            assert_eq!(read_all(&self.log, self.log_start, max_bytes), expected);
        }
        for epoch in 0..=self.epoch {
            let of_epoch = |batch: &Stored| i32::from_be_bytes(batch.bytes[12..16].try_into().unwrap());
            let first_above =
                self.batches.iter().find(|batch| of_epoch(batch) > epoch).map(|batch| batch.base);
            let expected = match self.live().any(|batch| of_epoch(batch) >= epoch) {
                true => Some(first_above.unwrap_or(self.end()).max(self.log_start)),
                false => None,
            };
            if let Some(expected) = expected {
                let end = self.log.epoch_end_offset(epoch).unwrap();
                assert_eq!(end.end_offset, expected, "epoch {epoch}");
            }
        }
        let timestamps: Vec<(i64, i64)> = self.live().flat_map(|batch| records(&batch.bytes)).collect();
        let timestamps: Vec<_> =
            timestamps.into_iter().filter(|(offset, _)| *offset >= self.log_start).collect();
        if let Some(newest) = timestamps.iter().map(|(_, timestamp)| *timestamp).max() {
            for wanted in [0, NOW, newest - 7, newest, newest + 1] {
                let expected = timestamps.iter().find(|(_, timestamp)| *timestamp >= wanted);
                let found = self.log.reader().offset_for_timestamp(wanted).unwrap();
                assert_eq!(found.map(|found| (found.offset, found.timestamp)), expected.copied(), "{wanted}");
            }
        }
    }
}

fn records(bytes: &[u8]) -> Vec<(i64, i64)> {
    let batch = milena_records::Batch::parse(bytes).unwrap();
    let records = batch.records(1 << 20).unwrap();
    records.iter().map(|record| record.unwrap()).map(|record| (record.offset, record.timestamp)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_holds_what_it_acknowledged(ops in prop::collection::vec(op(), 1..60)) {
        let dir = support::scratch();
        let mut model = Model::new(dir.path());
        model.append(1, 10, None, 0);
        for op in ops {
            model.apply(op);
            model.check();
        }
    }
}
