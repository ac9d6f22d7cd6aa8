use proptest::prelude::*;

use super::{LIMIT, Owned, produced, records_of};
use crate::{Batch, BatchBuilder, BatchHeader, Compression, Header, NO_TIMESTAMP, RecordsError};

fn nullable() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..200))
}

prop_compose! {
    fn any_record()(
        // The gap to the record before, as compaction leaves it.
        offset in 1..1000_i64,
        timestamp: i64,
        key in nullable(),
        value in nullable(),
        headers in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20), nullable()), 0..4),
    ) -> Owned {
        Owned { offset, timestamp, key, value, headers }
    }
}

proptest! {
    #[test]
    fn records_are_read_as_they_were_appended(
        base_offset in 0..i64::MAX / 2,
        mut records in prop::collection::vec(any_record(), 1..20),
    ) {
        let mut next = base_offset - 1;
        for record in &mut records {
            next += record.offset;
            record.offset = next;
        }
        for codec in Compression::ALL {
            let mut batch = BatchBuilder::new(base_offset).compression(codec);
            for record in &records {
                let headers: Vec<_> = record
                    .headers
                    .iter()
                    .map(|(key, value)| Header { key, value: value.as_deref() })
                    .collect();
                let Owned { offset, timestamp, key, value, .. } = record;
                batch.append_at(*offset, *timestamp, key.as_deref(), value.as_deref(), &headers).unwrap();
            }
            let bytes = batch.build().unwrap();
            let batch = Batch::parse(&bytes).unwrap();
            prop_assert_eq!(batch.bytes.len(), bytes.len());
            prop_assert_eq!(batch.verify_crc(), Ok(()));
            prop_assert_eq!(batch.header.last_offset(), next);
            prop_assert_eq!(batch.header.max_timestamp, records.iter().map(|r| r.timestamp).max().unwrap().max(NO_TIMESTAMP));
            prop_assert_eq!(&records_of(&bytes), &records);
        }
    }
}

#[test]
fn offsets_must_rise_and_stay_near() {
    let mut batch = BatchBuilder::new(10);
    let mut append = |offset| batch.append_at(offset, 0, None, None, &[]);
    assert_eq!(append(9), Err(RecordsError::OffsetOrder { offset: 9, base_offset: 10 }));
    assert_eq!(append(12), Ok(()));
    assert_eq!(append(12), Err(RecordsError::OffsetOrder { offset: 12, base_offset: 10 }));
    let far = 10 + i64::from(i32::MAX) + 1;
    assert_eq!(append(far), Err(RecordsError::OffsetOrder { offset: far, base_offset: 10 }));
    assert_eq!(append(far - 1), Ok(()));
    assert_eq!(batch.record_count(), 2);
}

#[test]
fn a_batch_without_records_is_not_built() {
    assert_eq!(BatchBuilder::new(0).build(), Err(RecordsError::Empty));
}

#[test]
fn flags_and_producer_reach_the_header() {
    let mut batch = BatchBuilder::new(4).producer(9, 2, -1).transactional().control().leader_epoch(6);
    batch.append(50, Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[]).unwrap();
    let header = BatchHeader::parse(&batch.build().unwrap()).unwrap();
    assert!(header.is_transactional() && header.is_control() && header.has_producer_id());
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (9, 2, -1));
    assert_eq!((header.base_offset, header.partition_leader_epoch), (4, 6));
}

#[test]
fn append_time_is_the_time_of_all_records() {
    let mut batch = BatchBuilder::new(0).log_append_time(5000);
    batch.append(1, None, Some(b"a"), &[]).unwrap();
    batch.append(9000, None, Some(b"b"), &[]).unwrap();
    let times: Vec<_> = records_of(&batch.build().unwrap()).iter().map(|record| record.timestamp).collect();
    assert_eq!(times, [5000, 5000]);
}

#[test]
fn another_codec_keeps_everything_else() {
    for from in Compression::ALL {
        let bytes = produced(from);
        let batch = Batch::parse(&bytes).unwrap();
        for to in Compression::ALL {
            let changed = batch.recompressed(to, LIMIT).unwrap();
            let header = BatchHeader::parse(&changed).unwrap();
            assert_eq!(header.compression(), Ok(to));
            assert_eq!(records_of(&changed), records_of(&bytes));
            let producer =
                |header: &BatchHeader| (header.producer_id, header.base_sequence, header.max_timestamp);
            assert_eq!(producer(&header), producer(&batch.header));
            Batch::parse(&changed).unwrap().verify_crc().unwrap();
        }
    }
}

#[test]
fn the_rest_of_a_batch_keeps_its_place_and_its_times() {
    for stamped in [false, true] {
        let mut builder = BatchBuilder::new(7)
            .producer(3, 1, 40)
            .transactional()
            .leader_epoch(5)
            .compression(Compression::Lz4);
        if stamped {
            builder = builder.log_append_time(9_000);
        }
        for at in 0..4_i64 {
            builder.append(1_000 + at, Some(b"k"), None, &[]).unwrap();
        }
        let whole = builder.build().unwrap();
        let header = BatchHeader::parse(&whole).unwrap();

        let mut rest = BatchBuilder::rest_of(&header).unwrap().delete_horizon(50_000);
        rest.append_at(8, 1_001, Some(b"k"), None, &[]).unwrap();
        let rest = rest.build().unwrap();
        let batch = Batch::parse(&rest).unwrap();
        batch.verify_crc().unwrap();
        assert_eq!(batch.header.delete_horizon(), Some(50_000));
        assert_eq!((batch.header.base_offset, batch.header.last_offset()), (7, 10));
        assert_eq!((batch.header.producer_id, batch.header.last_sequence()), (3, 43));
        assert_eq!(batch.header.partition_leader_epoch, 5);
        assert!(batch.header.is_transactional());
        assert_eq!(batch.header.compression().unwrap(), Compression::Lz4);
        let records = batch.records(LIMIT).unwrap();
        let record = records.iter().next().unwrap().unwrap();
        assert_eq!((record.offset, record.timestamp), (8, if stamped { 9_000 } else { 1_001 }));

        // What is left of the rest keeps the horizon; nothing left is a header that knows the producer.
        let again = BatchBuilder::rest_of(&batch.header).unwrap();
        assert_eq!(again.clone().build(), Err(RecordsError::Empty));
        let emptied = batch.header.emptied();
        let bytes = emptied.to_bytes();
        let empty = Batch::parse(&bytes).unwrap();
        empty.verify_crc().unwrap();
        assert_eq!(empty.header, emptied);
        assert_eq!((empty.header.last_offset(), empty.header.last_sequence()), (10, 43));
        assert_eq!(empty.header.delete_horizon(), None);
        assert_eq!(empty.records(0).unwrap().iter().count(), 0);
    }
}
