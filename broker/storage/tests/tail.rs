//! Reads at a log's end from memory: what is found there is what the file has, whatever happens to the log meanwhile.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use milena_records::{Batch, Batches};
use milena_storage::{InMemory, Log, LogConfig, LogReader, Origin, StorageError, TailBudget, TailLimits};
use proptest::prelude::*;
use support::{NOW, batch, placed};

const BUDGET: usize = 100_000;

fn log(dir: &Path, config: LogConfig) -> (Log, Arc<TailBudget>) {
    let log = Log::create(dir, None, Arc::new(config), NOW).unwrap();
    let budget = TailBudget::new(BUDGET);
    log.share_tail_budget(&budget);
    (log, budget)
}

/// Appends a batch of so many bytes and more, out of a buffer that is so much larger.
fn append(log: &mut Log, size: usize, room: usize, epoch: i32) -> Bytes {
    let value = vec![u8::try_from(size % 251).unwrap(); size];
    let sent = batch(NOW, &[&value]);
    let memory = InMemory { bytes: &sent, buffer: sent.len() + room };
    log.append_kept(&Batch::parse(&sent).unwrap(), Some(memory), Origin::Client, epoch, NOW).unwrap();
    sent
}

/// What is in memory from that offset on, and is what the file has.
fn from_memory(reader: &LogReader, offset: i64) -> Option<usize> {
    reader.note_tail_reader();
    let limits = TailLimits { max_bytes: 1 << 30, up_to: i64::MAX, min_one_batch: true, in_memory: 1 << 30 };
    let tail = reader.read_tail(offset, limits).unwrap()?;
    let (tail, mut file) = (tail.pieces.concat(), Vec::new());
    let mut next = offset;
    while file.len() < tail.len() {
        let slice = reader.read(next, 1 << 30, i64::MAX, true).unwrap();
        next = support::last_batch(&slice.bytes).unwrap().next_offset();
        file.extend_from_slice(&slice.bytes);
    }
    assert!(tail == file, "offset {offset}: {} bytes of memory, {} of the file", tail.len(), file.len());
    Some(tail.len())
}

#[test]
fn what_was_sent_is_sent_on_from_where_it_lies() {
    let dir = support::scratch();
    let (mut log, budget) = log(dir.path(), LogConfig::default());
    let reader = log.reader();
    append(&mut log, 10_000, 0, 7);
    assert_eq!(from_memory(&reader, 0), None, "nobody read at the end before");
    let sent = append(&mut log, 10_000, 0, 7);
    let limits = TailLimits { max_bytes: 1, up_to: 2, min_one_batch: true, in_memory: 1 << 20 };
    let tail = reader.read_tail(1, limits).unwrap().unwrap();
    assert_eq!(tail.pieces.concat(), placed(&sent, 1, 7));
    assert_eq!(tail.pieces[1].as_ptr(), sent[61..].as_ptr(), "not copied");
    assert!(reader.read_tail(1, TailLimits { up_to: 1, ..limits }).unwrap().is_none(), "not committed yet");
    assert!(matches!(reader.read_tail(3, limits), Err(StorageError::OffsetOutOfRange { .. })));
    drop(log);
    drop(reader);
    assert_eq!(budget.used(), 0);
}

#[test]
fn who_reads_the_end_of_a_segment_is_not_at_the_end_of_the_log() {
    let dir = support::scratch();
    let (mut log, budget) = log(dir.path(), LogConfig { segment_bytes: 25_000, ..LogConfig::default() });
    for _ in 0..3 {
        append(&mut log, 10_000, 0, 0);
    }
    let reader = log.reader();
    assert!(reader.locate(0, 1 << 20, i64::MAX, true).unwrap().unwrap().len < 25_000);
    append(&mut log, 10_000, 0, 0);
    assert_eq!(budget.used(), 0);
    assert!(reader.locate(2, 1 << 20, i64::MAX, true).unwrap().unwrap().len > 10_000);
    append(&mut log, 10_000, 0, 0);
    assert!(budget.used() > 0);
}

#[test]
fn compacted_logs_keep_nothing() {
    let dir = support::scratch();
    let (mut log, budget) = log(dir.path(), LogConfig::default());
    log.reader().note_tail_reader();
    append(&mut log, 10_000, 0, 0);
    assert!(budget.used() > 0);
    log.set_config(Arc::new(LogConfig { cleanup_compact: true, ..LogConfig::default() }));
    assert_eq!(budget.used(), 0);
    append(&mut log, 10_000, 0, 0);
    assert_eq!(budget.used(), 0);
}

#[derive(Clone, Debug)]
enum Op {
    Append { size: usize, room: usize },
    Truncate(u64),
    StartAnew(i64),
    DeleteRecords(u64),
    Read(u64),
    Idle,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..9_000usize, prop_oneof![Just(0usize), 0..20_000usize])
            .prop_map(|(size, room)| Op::Append { size, room }),
        2 => (0..=1000u64).prop_map(Op::Truncate),
        1 => (0..100i64).prop_map(Op::StartAnew),
        1 => (0..=1000u64).prop_map(Op::DeleteRecords),
        8 => (700..1000u64).prop_map(Op::Read),
        1 => Just(Op::Idle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_and_file_agree(ops in prop::collection::vec(op(), 1..80)) {
        let dir = support::scratch();
        let (mut log, budget) =
            log(dir.path(), LogConfig { segment_bytes: 40_000, ..LogConfig::default() });
        let reader = log.reader();
        let mut epoch = 0;
        reader.note_tail_reader();
        for op in ops {
            let (start, end) = (log.log_start_offset(), log.log_end_offset());
            let at = |permille: u64| start + (end - start) * i64::try_from(permille).unwrap() / 1000;
            match op {
                Op::Append { size, room } => drop(append(&mut log, size, room, epoch)),
                Op::Truncate(permille) => {
                    log.truncate_to(at(permille), NOW).unwrap();
                    // Another leader, whose batches at the same offsets are others.
                    epoch += 1;
                }
                Op::StartAnew(more) => log.truncate_fully_and_start_at(end + more, NOW).unwrap(),
                Op::DeleteRecords(permille) => drop(log.delete_records(at(permille)).unwrap()),
                Op::Read(permille) => drop(from_memory(&reader, at(permille))),
                Op::Idle => log.close_idle_files(),
            }
            prop_assert!(budget.used() <= BUDGET);
        }
    }
}

#[test]
fn readers_never_see_two_histories_at_once() {
    let dir = support::scratch();
    let (mut log, _) = log(dir.path(), LogConfig::default());
    let reader = log.reader();
    reader.note_tail_reader();
    let (done, seen) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| read_until(&reader, &done, &seen));
        }
        // As long as it takes the readers to be there.
        for epoch in 0..100_000 {
            for _ in 0..8 {
                append(&mut log, 5_000, 0, epoch);
            }
            log.truncate_to(log.log_end_offset() - 4, NOW).unwrap();
            if epoch >= 300 && seen.load(Ordering::Relaxed) > 100 {
                break;
            }
        }
        done.store(true, Ordering::Release);
    });
    assert!(seen.into_inner() > 0, "nothing was read from memory");
}

/// Reads at the end until `done`; epochs and offsets within a read rise. `seen` counts what memory answered.
fn read_until(reader: &LogReader, done: &AtomicBool, seen: &AtomicUsize) {
    let limits = TailLimits { max_bytes: 1 << 20, up_to: i64::MAX, min_one_batch: true, in_memory: 1 << 20 };
    while !done.load(Ordering::Acquire) {
        let offset = (reader.log_end_offset() - 3).max(0);
        let Ok(Some(tail)) = reader.read_tail(offset, limits) else { continue };
        let bytes = tail.pieces.concat();
        let mut last = (offset, 0);
        for found in Batches::new(&bytes) {
            let found = found.unwrap();
            found.verify_crc().unwrap();
            assert_eq!(found.header.base_offset, last.0);
            assert!(found.header.partition_leader_epoch >= last.1);
            last = (found.header.next_offset(), found.header.partition_leader_epoch);
        }
        seen.fetch_add(1, Ordering::Relaxed);
    }
}
