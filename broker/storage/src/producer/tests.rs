use milena_records::{Attributes, BatchHeader, CONTROL_BIT, MAGIC_V2, TRANSACTIONAL_BIT};
use proptest::prelude::*;

use super::*;

const ID: i64 = 7;

fn header(epoch: i16, base_sequence: i32, records: i32) -> BatchHeader {
    BatchHeader {
        base_offset: 0,
        batch_length: 49,
        partition_leader_epoch: 0,
        magic: MAGIC_V2,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: records - 1,
        base_timestamp: 1000,
        max_timestamp: 1000,
        producer_id: ID,
        producer_epoch: epoch,
        base_sequence,
        record_count: records,
    }
}

fn transactional(header: BatchHeader) -> BatchHeader {
    BatchHeader { attributes: header.attributes.with(TRANSACTIONAL_BIT), ..header }
}

fn written(batches: &[(i16, i32, i32)]) -> ProducerState {
    let mut state = ProducerState::default();
    let mut offset = 100;
    for (epoch, sequence, records) in batches {
        let batch = header(*epoch, *sequence, *records);
        assert_eq!(state.check(&batch, Origin::Client), Ok(Check::New));
        state.update(&batch, offset);
        offset += i64::from(*records);
    }
    state
}

#[test]
fn the_last_five_batches_are_known_again() {
    let state = written(&[(0, 0, 2), (0, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1), (0, 6, 3)]);
    let found = state.check(&header(0, 6, 3), Origin::Client);
    assert_eq!(found, Ok(Check::Duplicate { base_offset: 106, last_offset: 108, timestamp: 1000 }));
    let found = state.check(&header(0, 2, 1), Origin::Client);
    assert_eq!(found, Ok(Check::Duplicate { base_offset: 102, last_offset: 102, timestamp: 1000 }));
    // The sixth one back is forgotten, and what overlaps another batch is no duplicate of it.
    for (sequence, records) in [(0, 2), (6, 2), (5, 2)] {
        let refused = state.check(&header(0, sequence, records), Origin::Client);
        let expected = ProducerError::OutOfOrderSequence { producer_id: ID, expected: 9, got: sequence };
        assert_eq!(refused, Err(expected));
    }
    assert_eq!(state.check(&header(0, 9, 1), Origin::Client), Ok(Check::New));
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    let state = ProducerState::default();
    assert_eq!(state.check(&header(3, 77, 1), Origin::Client), Ok(Check::New));
}

#[test]
fn a_new_epoch_begins_at_zero_and_an_old_one_is_fenced() {
    let state = written(&[(4, 0, 5)]);
    assert_eq!(state.check(&header(5, 0, 1), Origin::Client), Ok(Check::New));
    assert_eq!(
        state.check(&header(5, 5, 1), Origin::Client),
        Err(ProducerError::OutOfOrderSequence { producer_id: ID, expected: 0, got: 5 })
    );
    let fenced = Err(ProducerError::InvalidProducerEpoch { producer_id: ID, current: 4, got: 3 });
    assert_eq!(state.check(&header(3, 0, 1), Origin::Client), fenced);
    assert_eq!(state.check(&header(3, 0, 1), Origin::Coordinator), fenced);
    assert_eq!(state.check(&header(3, 0, 1), Origin::Replication), Ok(Check::New));
}

#[test]
fn sequences_wrap_around() {
    let state = written(&[(0, i32::MAX - 1, 4)]);
    let found = state.check(&header(0, i32::MAX - 1, 4), Origin::Client);
    assert_eq!(found, Ok(Check::Duplicate { base_offset: 100, last_offset: 103, timestamp: 1000 }));
    assert_eq!(state.check(&header(0, 2, 1), Origin::Client), Ok(Check::New));
    let state = written(&[(0, i32::MAX, 1)]);
    assert_eq!(state.check(&header(0, 0, 1), Origin::Client), Ok(Check::New));
}

#[test]
fn an_open_transaction_holds_the_stable_offset_until_its_marker() {
    let mut state = written(&[(0, 0, 1)]);
    state.update(&transactional(header(0, 1, 2)), 101);
    state.update(&transactional(header(0, 3, 2)), 103);
    assert_eq!(state.first_undecided_offset(), Some(101));
    let outside = state.check(&header(0, 5, 1), Origin::Client);
    assert_eq!(outside, Err(ProducerError::InvalidTxnState { producer_id: ID, first_offset: 101 }));

    let attributes = Attributes(0).with(TRANSACTIONAL_BIT).with(CONTROL_BIT);
    let marker = BatchHeader { attributes, ..header(0, -1, 1) };
    let end = EndTxnMarker { commit: true, coordinator_epoch: 9 };
    assert_eq!(state.check_marker(&marker, end), Ok(()));
    assert_eq!(state.end_txn(&marker, end), Some(101));
    assert_eq!(state.first_undecided_offset(), None);
    let late = EndTxnMarker { commit: false, coordinator_epoch: 8 };
    let fenced = ProducerError::CoordinatorFenced { producer_id: ID, current: 9, got: 8 };
    assert_eq!(state.check_marker(&marker, late), Err(fenced));
    assert_eq!(state.end_txn(&marker, end), None);
}

#[test]
fn idle_producers_expire_but_not_within_a_transaction() {
    let mut state = written(&[(0, 0, 1)]);
    state.expire(1999, 1000);
    assert_eq!(state.len(), 1);
    state.update(&transactional(header(0, 1, 1)), 101);
    state.expire(5000, 1000);
    assert_eq!(state.len(), 1);
    let mut state = written(&[(0, 0, 1)]);
    state.expire(2000, 1000);
    assert!(state.is_empty());
}

proptest! {
    #[test]
    fn a_snapshot_tells_all_but_older_batches(
        batches in prop::collection::vec((0..20i64, 0..3i16, 0..1000i32, 1..9i32, any::<bool>()), 0..40),
    ) {
        let mut state = ProducerState::default();
        let mut offset = 0;
        for (id, epoch, sequence, records, txn) in batches {
            let batch = BatchHeader { producer_id: id, ..header(epoch, sequence, records) };
            state.update(&if txn { transactional(batch) } else { batch }, offset);
            offset += i64::from(records);
        }
        let bytes = state.to_snapshot();
        let read = ProducerState::from_snapshot(&bytes, 1000, 1000).unwrap();
        let sorted = |state: &ProducerState| {
            let mut active: Vec<ActiveProducer> = state.active().collect();
            active.sort_by_key(|active| active.producer_id);
            active
        };
        prop_assert_eq!(sorted(&read), sorted(&state));
        prop_assert_eq!(read.first_undecided_offset(), state.first_undecided_offset());
    }

    #[test]
    fn a_damaged_snapshot_is_refused(at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<prop::sample::Index>()) {
        let bytes = written(&[(0, 0, 1), (0, 1, 1)]).to_snapshot();
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1 << bit;
        prop_assert!(ProducerState::from_snapshot(&flipped, 0, 1000).is_none());
        prop_assert!(ProducerState::from_snapshot(&bytes[..cut.index(bytes.len())], 0, 1000).is_none());
    }

    #[test]
    fn rubbish_is_no_snapshot(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(ProducerState::from_snapshot(&bytes, 0, 1000).is_none());
    }
}
