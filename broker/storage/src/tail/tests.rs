use super::*;

const EVERYTHING: TailLimits =
    TailLimits { max_bytes: 1 << 30, up_to: i64::MAX, min_one_batch: true, in_memory: 1 << 30 };

fn slot(budget: &Arc<TailBudget>) -> TailSlot {
    let slot = TailSlot::default();
    slot.share(budget);
    slot
}

/// Keeps a batch of one record at that offset.
fn keep(slot: &TailSlot, offset: i64, len: usize, buffer: usize) {
    let header = BatchHeader { base_offset: offset, ..header() };
    slot.keep(&header, &Bytes::from(vec![u8::try_from(offset % 251).unwrap(); len]), buffer);
}

fn header() -> BatchHeader {
    let mut builder = milena_records::BatchBuilder::new(0);
    builder.append(0, None, None, &[]).unwrap();
    BatchHeader::parse(&builder.build().unwrap()).unwrap()
}

fn found(slot: &TailSlot, offset: i64, up_to: i64) -> Option<usize> {
    slot.read(offset, &TailLimits { up_to, ..EVERYTHING }).map(|slice| slice.len)
}

#[test]
fn nothing_is_kept_without_readers() {
    let budget = TailBudget::new(1 << 20);
    let slot = slot(&budget);
    keep(&slot, 0, 100, 100);
    assert_eq!((budget.used(), found(&slot, 0, 1)), (0, None));
    slot.note_reader();
    keep(&slot, 1, 100, 100);
    assert_eq!(found(&slot, 1, 2), Some(100));
    // The reader has gone.
    for offset in 2.. {
        keep(&slot, offset, 100_000, 100_000);
        if budget.used() == 0 {
            assert!(offset > 30, "4 MiB are kept, as far as the budget allows");
            break;
        }
        assert!(offset < 100, "kept for ever");
    }
    slot.note_reader();
    keep(&slot, 200, 100, 100);
    slot.clear_if_idle();
    assert_eq!(found(&slot, 200, 201), Some(100), "there was one since");
    slot.clear_if_idle();
    slot.clear_if_idle();
    assert_eq!((budget.used(), found(&slot, 200, 201)), (0, None));
}

#[test]
fn the_oldest_of_all_logs_goes_first() {
    let budget = TailBudget::new(3 * (10_000 + BATCH_OVERHEAD));
    let (one, two) = (slot(&budget), slot(&budget));
    one.note_reader();
    two.note_reader();
    keep(&one, 0, 10_000, 10_000);
    keep(&two, 0, 10_000, 10_000);
    keep(&one, 1, 10_000, 10_000);
    assert_eq!(found(&one, 0, 2), Some(20_000));
    keep(&two, 1, 10_000, 10_000);
    assert_eq!((found(&one, 0, 2), found(&one, 1, 2), found(&two, 0, 2)), (None, Some(10_000), Some(20_000)));
    drop(two);
    assert_eq!(budget.used(), 10_000 + BATCH_OVERHEAD, "a log that is gone holds nothing");
    budget.set_limit(0);
    one.note_reader();
    keep(&one, 2, 100, 100);
    assert!(budget.used() <= 10_000 + BATCH_OVERHEAD);
}

#[test]
fn a_small_part_of_a_large_buffer_is_not_kept() {
    let budget = TailBudget::new(1 << 20);
    let slot = slot(&budget);
    slot.note_reader();
    keep(&slot, 0, 10_000, 100_000);
    assert_eq!(budget.used(), 0);
    keep(&slot, 1, 10_000, 15_000);
    assert_eq!(budget.used(), 15_000 + BATCH_OVERHEAD, "all of the buffer counts");
    keep(&slot, 2, 1_000, 100_000);
    assert_eq!(budget.used(), 16_000 + 2 * BATCH_OVERHEAD, "a copy counts by itself");
}

#[test]
fn what_is_in_the_file_alone_is_left_to_it() {
    let budget = TailBudget::new(1 << 20);
    let slot = slot(&budget);
    slot.note_reader();
    keep(&slot, 0, 100, 100);
    keep(&slot, 2, 200, 200);
    assert_eq!(found(&slot, 0, 1), Some(100));
    assert_eq!((found(&slot, 0, 2), found(&slot, 0, 3)), (None, None), "offset 1 is not here");
    assert_eq!(found(&slot, 1, 3), None);
    assert_eq!(found(&slot, 2, 3), Some(200));
    assert_eq!(found(&slot, 2, 4), None, "there is more");
    let read = |max_bytes, min_one_batch, in_memory| {
        let limits = TailLimits { max_bytes, up_to: 3, min_one_batch, in_memory };
        slot.read(2, &limits).map(|slice| slice.len)
    };
    assert_eq!(
        (read(10, false, 1_000), read(10, true, 1_000), read(1_000, true, 199)),
        (None, Some(200), None)
    );
    for offset in 3..300 {
        keep(&slot, offset, 100, 100);
    }
    assert_eq!(found(&slot, 236, 300), Some(64 * 100));
    assert_eq!(found(&slot, 235, 300), None, "many small ones");
}
