//! A log that is open, held against the list.

use std::collections::{BTreeMap, HashSet};

use super::{
    batches::{Record, Sent},
    expect::Expect,
};
use crate::{
    EpochEnd, Log, LogConfig,
    index::{OffsetEntry, TimeEntry},
    log::marker_of,
    producer::{ActiveProducer, ProducerState},
    segment::Segment,
};

/// All of it. `exact`: nothing was compacted, so that the bytes are those that were sent.
pub(super) fn check(log: &Log, expect: &Expect, config: &LogConfig) {
    assert_eq!(log.log_end_offset(), expect.end(), "log end offset");
    assert_eq!(log.log_start_offset(), expect.start, "log start offset");
    let held = read_all(log, 700);
    match config.cleanup_compact {
        false => same_bytes(&held, expect),
        true => newest_of_every_key(&held, expect),
    }
    offsets_rise(&held);
    epochs(log, expect);
    times(log, &held, expect);
    producers(log, &held, expect, config.cleanup_compact);
    log.shared.segments().iter().for_each(|segment| index(segment));
}

/// All batches, read in pieces.
pub(super) fn read_all(log: &Log, max_bytes: usize) -> Vec<Sent> {
    let reader = log.reader();
    let (mut offset, mut all) = (log.log_start_offset(), Vec::new());
    while offset < log.log_end_offset() {
        let slice = reader.read(offset, max_bytes, i64::MAX, true).unwrap();
        let batches = Sent::all(&slice.bytes);
        let Some(last) = batches.last() else { break };
        assert!(last.end() > offset, "a read from {offset} on gives what is before");
        offset = last.end();
        all.extend(batches);
    }
    all
}

fn same_bytes(held: &[Sent], expect: &Expect) {
    let summary = |batches: &[&Sent]| -> Vec<(i64, i64)> {
        batches.iter().map(|batch| (batch.header.base_offset, batch.header.last_offset())).collect()
    };
    let expected: Vec<&Sent> = expect.live().collect();
    assert_eq!(summary(&held.iter().collect::<Vec<_>>()), summary(&expected), "batches read");
    for (held, expected) in held.iter().zip(expected) {
        assert_eq!(held.bytes, expected.bytes, "batch at {}", held.header.base_offset);
    }
}

fn offsets_rise(held: &[Sent]) {
    let rise = |pair: &[Sent]| pair[1].header.base_offset >= pair[0].end();
    assert!(held.windows(2).all(rise), "batches overlap");
}

/// After compaction: nothing that was not sent, the newest record of every key, and none that a tombstone that went
/// had deleted. What was aborted counts for nothing, what is undecided stays.
fn newest_of_every_key(held: &[Sent], expect: &Expect) {
    let written: BTreeMap<i64, &Record> = expect
        .batches
        .iter()
        .flat_map(|batch| &batch.records)
        .map(|record| (record.offset, record))
        .collect();
    let held: BTreeMap<i64, &Record> =
        held.iter().flat_map(|batch| &batch.records).map(|record| (record.offset, record)).collect();
    for (offset, record) in &held {
        assert_eq!(Some(record), written.get(offset), "invented or changed");
    }
    let mut newest: BTreeMap<&[u8], &Record> = BTreeMap::new();
    let mut counting = Vec::new();
    for (record, fate) in fates(expect).into_iter().filter(|(record, _)| record.offset >= expect.start) {
        match fate {
            Fate::Counts => {
                newest.insert(&record.key, record);
                counting.push(record);
            }
            Fate::Undecided if expect.lost_marker => {
                newest.remove(record.key.as_slice());
            }
            Fate::Undecided => assert!(held.contains_key(&record.offset), "undecided, and gone: {record:?}"),
            Fate::CountsNot => {}
        }
    }
    for (key, record) in newest {
        if record.value.is_some() {
            assert!(held.contains_key(&record.offset), "the newest of its key is gone: {record:?}");
        } else if !held.contains_key(&record.offset) {
            let back = counting.iter().find(|older| older.key == key && held.contains_key(&older.offset));
            assert_eq!(back, None, "{record:?} had deleted it");
        }
    }
}

enum Fate {
    /// For its key.
    Counts,
    /// Aborted, or the end of a transaction.
    CountsNot,
    /// Of an open transaction.
    Undecided,
}

/// All records that were written, with what became of their transactions, oldest first.
fn fates(expect: &Expect) -> Vec<(&Record, Fate)> {
    let mut ends: BTreeMap<i64, bool> = BTreeMap::new();
    let mut all = Vec::new();
    for batch in expect.batches.iter().rev() {
        let id = batch.header.producer_id;
        if let Some(marker) = marker_of(&batch.bytes).filter(|_| batch.header.is_control()) {
            ends.insert(id, marker.commit);
            continue;
        }
        for record in batch.records.iter().rev() {
            let fate = match ends.get(&id) {
                _ if !batch.header.is_transactional() => Fate::Counts,
                Some(true) => Fate::Counts,
                Some(false) => Fate::CountsNot,
                None => Fate::Undecided,
            };
            all.push((record, fate));
        }
    }
    all.reverse();
    all
}

fn epochs(log: &Log, expect: &Expect) {
    let mut starts: BTreeMap<i32, i64> = BTreeMap::new();
    for batch in &expect.batches {
        starts.entry(batch.header.partition_leader_epoch).or_insert(batch.header.base_offset);
    }
    let live: BTreeMap<i32, ()> =
        expect.live().map(|batch| (batch.header.partition_leader_epoch, ())).collect();
    for epoch in live.keys() {
        let next = starts.range(epoch + 1..).next();
        let end_offset = next.map_or(expect.end(), |(_, start)| *start).max(expect.start);
        assert_eq!(
            log.epoch_end_offset(*epoch),
            Some(EpochEnd { epoch: *epoch, end_offset }),
            "end of an epoch of {:?}, batches tell {starts:?}",
            log.shared.epochs.read().entries()
        );
    }
    let newest = live.keys().last().copied();
    assert!(log.latest_epoch().map(|entry| entry.epoch) >= newest, "newest epoch {newest:?}");
}

fn times(log: &Log, held: &[Sent], expect: &Expect) {
    let records: Vec<&Record> =
        held.iter().flat_map(|batch| &batch.records).filter(|record| record.offset >= expect.start).collect();
    let Some(newest) = records.iter().map(|record| record.timestamp).max() else { return };
    for wanted in [0, newest - 40, newest - 3, newest, newest + 1] {
        let expected = records.iter().find(|record| record.timestamp >= wanted);
        let expected = expected.map(|record| (record.offset, record.timestamp, Some(record.leader_epoch)));
        let found = log.reader().offset_for_timestamp(wanted).unwrap();
        let found = found.map(|found| (found.offset, found.timestamp, found.leader_epoch));
        assert_eq!(found, expected, "the first record at {wanted} or later");
    }
}

/// Who wrote something that is still there is known as a replay of the log knows it, with what was deleted or without;
/// the others so, or not at all.
fn producers(log: &Log, held: &[Sent], expect: &Expect, compacts: bool) {
    // Compaction may take a marker, by which alone a producer without data is known.
    let never_deleted = held
        .iter()
        .filter(|batch| batch.end() > expect.seen_start && !(compacts && batch.header.is_control()));
    let holds: HashSet<i64> = never_deleted.map(|batch| batch.header.producer_id).collect();
    // Compaction may take a marker, and with it the coordinator's epoch, and a batch's largest timestamp.
    let by_id = |state: &ProducerState| -> BTreeMap<i64, ActiveProducer> {
        let lasting = |mut producer: ActiveProducer| {
            producer.last_timestamp = 0;
            if compacts {
                producer.coordinator_epoch = -1;
            }
            producer
        };
        state.active().map(|producer| (producer.producer_id, lasting(producer))).collect()
    };
    let (known, all) = (by_id(log.producers()), by_id(&replay(expect.batches.iter())));
    // Of a transaction that is open again, compaction may have taken the beginning while its end was there.
    let open_again = expect.lost_marker && compacts;
    let left = by_id(&replay(held.iter().filter(|_| open_again)));
    let without_beginning = |producer: &ActiveProducer| ActiveProducer {
        current_txn_first_offset: left
            .get(&producer.producer_id)
            .and_then(|left| left.current_txn_first_offset),
        ..*producer
    };
    for (id, producer) in &all {
        match known.get(id) {
            Some(known) if known == producer => {}
            Some(known) if open_again && *known == without_beginning(producer) => {}
            Some(known) => {
                let starts = expect.batches.iter().map(Sent::end).filter(|end| *end <= expect.seen_start);
                let since = |start| by_id(&replay(expect.batches.iter().filter(|batch| batch.end() > start)));
                let partial =
                    starts.chain([expect.seen_start]).any(|start| since(start).get(id) == Some(known));
                assert!(partial, "{known:?}, not {producer:?}");
            }
            None => assert!(!holds.contains(id), "not known: {producer:?}"),
        }
    }
    assert!(known.keys().all(|id| all.contains_key(id)), "known: {known:?}, wrote: {all:?}");
}

fn replay<'a>(batches: impl Iterator<Item = &'a Sent>) -> ProducerState {
    let mut state = ProducerState::default();
    for batch in batches {
        match marker_of(&batch.bytes).filter(|_| batch.header.is_control()) {
            Some(marker) => {
                state.end_txn(&batch.header, marker);
            }
            None => state.update(&batch.header, batch.header.base_offset),
        }
    }
    state
}

/// Every entry points at a batch, and tells the truth about it.
fn index(segment: &Segment) {
    let mut scan = segment.scan(0, segment.size()).unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = scan.next_header().unwrap() {
        batches.push(batch);
    }
    scan.finish().unwrap();
    let relative = |offset: i64| i32::try_from(offset - segment.base_offset).unwrap();
    let (offsets, times) = segment
        .with_index(|index| {
            let offsets: Vec<OffsetEntry> = index.offsets.entries(segment.dir(), segment.base_offset)?;
            let times: Vec<TimeEntry> = index.times.entries(segment.dir(), segment.base_offset)?;
            Ok((offsets, times))
        })
        .unwrap();
    for entry in &offsets {
        let at = |batch: &&crate::segment::Scanned| batch.position == u64::from(entry.position);
        let batch = batches.iter().find(at).unwrap_or_else(|| panic!("{entry:?} points at no batch"));
        assert_eq!(relative(batch.header.last_offset()), entry.relative, "{entry:?}");
    }
    assert!(times.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp), "{times:?}");
    for entry in &times {
        let up_to = batches.iter().filter(|batch| relative(batch.header.last_offset()) <= entry.relative);
        let newest = up_to.map(|batch| batch.header.max_timestamp).max();
        assert!(newest <= Some(entry.timestamp), "{entry:?} hides a batch of {newest:?}");
    }
}
