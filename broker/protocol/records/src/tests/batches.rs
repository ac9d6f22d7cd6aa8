use super::{LIMIT, batch_at, produced, with_header, with_records};
use crate::{Batch, Batches, Compression, Fault, HEADER_LEN, RecordsError};

/// Where the CRC lies. What is before it is not covered.
const CRC_AT: usize = 17;

#[test]
fn batches_are_walked_one_after_the_other() {
    let log =
        [batch_at(0, Compression::None), batch_at(3, Compression::Zstd), batch_at(6, Compression::None)];
    let bytes = log.concat();
    let mut batches = Batches::new(&bytes);
    let mut position = 0;
    for (written, base_offset) in log.iter().zip([0, 3, 6]) {
        let batch = batches.next().unwrap().unwrap();
        assert_eq!(batch.bytes, &written[..]);
        assert_eq!(batch.header.base_offset, base_offset);
        position += written.len();
        assert_eq!(batches.position(), position);
    }
    assert!(batches.next().is_none());
}

#[test]
fn a_torn_tail_is_incomplete_wherever_it_is_cut() {
    let whole = batch_at(0, Compression::None);
    let torn = batch_at(3, Compression::Gzip);
    for cut in 1..torn.len() {
        let bytes = [&whole[..], &torn[..cut]].concat();
        let mut batches = Batches::new(&bytes);
        assert!(batches.next().unwrap().is_ok());
        let error = batches.next().unwrap().unwrap_err();
        assert!(error.is_incomplete(), "{cut}: {error}");
        assert_eq!(batches.position(), whole.len());
        assert!(batches.next().is_none());
    }
}

#[test]
fn rubbish_after_a_batch_is_corrupt_and_not_incomplete() {
    let whole = batch_at(0, Compression::None);
    let bytes = [&whole[..], &[0; 100]].concat();
    let mut batches = Batches::new(&bytes);
    assert!(batches.next().unwrap().is_ok());
    assert_eq!(batches.next().unwrap().unwrap_err(), RecordsError::LengthTooSmall { length: 0, minimum: 14 });
    assert_eq!(batches.position(), whole.len());
    assert!(batches.next().is_none());
}

#[test]
fn every_flipped_bit_behind_the_head_is_found() {
    let bytes = produced(Compression::None);
    Batch::parse(&bytes).unwrap().verify_crc().unwrap();
    for at in CRC_AT..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1 << bit;
            let checked = Batch::parse(&flipped).unwrap().verify_crc();
            assert!(matches!(checked, Err(RecordsError::CrcMismatch { .. })), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn an_emptied_batch_has_no_records() {
    // Compaction keeps the last batch of a producer without its records.
    let mut header = Batch::parse(&produced(Compression::None)).unwrap().header;
    header.record_count = 0;
    let emptied = with_records(header, &[]);
    assert_eq!(emptied.len(), HEADER_LEN);
    assert_eq!(Batch::parse(&emptied).unwrap().records(LIMIT).unwrap().iter().count(), 0);
}

#[test]
fn records_end_with_the_first_error() {
    let bytes = produced(Compression::None);
    let read = |bytes: &[u8]| -> Vec<Result<i64, RecordsError>> {
        let records = Batch::parse(bytes).unwrap().records(LIMIT).unwrap();
        records.iter().map(|record| record.map(|record| record.offset)).collect()
    };
    let too_many = with_header(&bytes, |header| header.record_count = 5);
    let missing = RecordsError::Malformed { index: 3, fault: Fault::Overrun };
    assert_eq!(read(&too_many), [Ok(0), Ok(1), Ok(2), Err(missing)]);

    let too_few = with_header(&bytes, |header| header.record_count = 2);
    // Length, attributes, two deltas, key and value with their lengths, one header.
    let trailing = 1 + 1 + 2 + 4 + 6 + 1 + 4;
    assert_eq!(read(&too_few), [Ok(0), Ok(1), Err(RecordsError::BytesAfterRecords { trailing, count: 2 })]);
}

#[test]
fn decompression_stops_at_the_limit() {
    for codec in Compression::ALL.into_iter().filter(|codec| *codec != Compression::None) {
        let bytes = produced(codec);
        let refused = Batch::parse(&bytes).unwrap().records(10).map(|_| ());
        assert_eq!(refused, Err(RecordsError::DecompressedTooLarge { codec, limit: 10 }));
    }
}
