use proptest::prelude::*;

use super::{batch_at, produced, records_of};
use crate::{
    Attributes, Batch, BatchHeader, Compression, HEAD_LEN, HEADER_LEN, MIN_BATCH_LENGTH, NO_SEQUENCE,
    RecordsError, TimestampType, entry_len, head_with, increment_sequence, restamped_header,
};

prop_compose! {
    fn any_header()(
        offsets in any::<(i64, i32)>(),
        batch_length in MIN_BATCH_LENGTH..,
        leader_epoch: i32,
        crc: u32,
        attributes: i16,
        timestamps: (i64, i64),
        producer in any::<(i64, i16, i32)>(),
        record_count: i32,
    ) -> BatchHeader {
        BatchHeader {
            base_offset: offsets.0,
            batch_length,
            partition_leader_epoch: leader_epoch,
            magic: 2,
            crc,
            attributes: Attributes(attributes),
            last_offset_delta: offsets.1,
            base_timestamp: timestamps.0,
            max_timestamp: timestamps.1,
            producer_id: producer.0,
            producer_epoch: producer.1,
            base_sequence: producer.2,
            record_count,
        }
    }
}

proptest! {
    #[test]
    fn a_header_is_read_as_it_was_written(header in any_header()) {
        prop_assert_eq!(BatchHeader::parse(&header.to_bytes()), Ok(header));
        // None of these overflow, whatever the fields.
        let _ = (header.last_offset(), header.next_offset(), header.last_sequence(), header.size_in_bytes());
    }

    #[test]
    fn sequences_wrap_as_in_kafka(sequence in 0.., increment in 0..) {
        let wide = i64::from(sequence) + i64::from(increment);
        prop_assert_eq!(i64::from(increment_sequence(sequence, increment)), wide % (1 << 31));
    }
}

#[test]
fn the_last_sequence_after_the_greatest_is_zero() {
    let mut header = BatchHeader::parse(&produced(Compression::None)).unwrap();
    header.base_sequence = i32::MAX - 1;
    assert_eq!(header.last_sequence(), 0);
    header.base_sequence = NO_SEQUENCE;
    assert_eq!(header.last_sequence(), NO_SEQUENCE);
}

#[test]
fn a_header_cut_short_is_incomplete() {
    let bytes = produced(Compression::None);
    for len in 0..HEADER_LEN {
        let error = BatchHeader::parse(&bytes[..len]).unwrap_err();
        assert!(error.is_incomplete(), "{len}: {error}");
    }
    assert!(BatchHeader::parse(&bytes[..HEADER_LEN]).is_ok());
}

#[test]
fn magics_and_lengths_that_no_batch_has() {
    for (magic, expected) in [
        (0, RecordsError::UnexpectedMagic { magic: 0 }),
        (1, RecordsError::UnexpectedMagic { magic: 1 }),
        (3, RecordsError::UnknownMagic { magic: 3 }),
        (-1, RecordsError::UnknownMagic { magic: -1 }),
    ] {
        let header = BatchHeader { magic, ..BatchHeader::parse(&produced(Compression::None)).unwrap() };
        assert_eq!(BatchHeader::parse(&header.to_bytes()), Err(expected));
    }
    for length in [i32::MIN, -1, 0, MIN_BATCH_LENGTH - 1] {
        let header =
            BatchHeader { batch_length: length, ..BatchHeader::parse(&produced(Compression::None)).unwrap() };
        let expected = RecordsError::LengthTooSmall { length, minimum: MIN_BATCH_LENGTH };
        assert_eq!(BatchHeader::parse(&header.to_bytes()), Err(expected.clone()));
        assert_eq!(entry_len(&header.to_bytes()), Err(expected));
    }
}

#[test]
fn entries_of_every_magic_have_a_length() {
    let prefix = |length: i32, magic: i8| {
        [&0_i64.to_be_bytes()[..], &length.to_be_bytes(), &[0; 4], &magic.to_be_bytes()].concat()
    };
    for (magic, minimum) in [(0, 14), (1, 22), (2, 49)] {
        assert_eq!(entry_len(&prefix(minimum, magic)), Ok(usize::try_from(minimum).unwrap() + 12));
        let refused = Err(RecordsError::LengthTooSmall { length: minimum - 1, minimum });
        assert_eq!(entry_len(&prefix(minimum - 1, magic)), refused);
        assert_eq!(entry_len(&prefix(i32::MAX, magic)), Ok(0x7fff_ffff + 12));
    }
    assert_eq!(entry_len(&prefix(100, 3)), Err(RecordsError::UnknownMagic { magic: 3 }));
    // Zeros, as in space that was reserved but not written, are told from a torn write early.
    assert_eq!(entry_len(&[0; 12]), Err(RecordsError::LengthTooSmall { length: 0, minimum: 14 }));
    assert_eq!(entry_len(&prefix(100, 2)[..16]), Err(RecordsError::Incomplete { needed: 17, available: 16 }));
}

#[test]
fn placing_a_batch_changes_its_head_alone() {
    let bytes = produced(Compression::Lz4);
    let batch = Batch::parse(&bytes).unwrap();
    let stored = [&head_with(&batch.header, 1_000_000, 42)[..], &bytes[HEAD_LEN..]].concat();
    let placed = Batch::parse(&stored).unwrap();
    placed.verify_crc().unwrap();
    assert_eq!(
        placed.header,
        BatchHeader { base_offset: 1_000_000, partition_leader_epoch: 42, ..batch.header }
    );
    assert_eq!((placed.header.last_offset(), placed.header.next_offset()), (1_000_002, 1_000_003));
}

#[test]
fn append_time_takes_the_place_of_every_timestamp() {
    for codec in Compression::ALL {
        let bytes = batch_at(5, codec);
        let header = restamped_header(&bytes, TimestampType::LogAppendTime, 77_000).unwrap();
        let stored = [&header.to_bytes()[..], &bytes[HEADER_LEN..]].concat();
        Batch::parse(&stored).unwrap().verify_crc().unwrap();
        let times: Vec<_> = records_of(&stored).iter().map(|record| record.timestamp).collect();
        assert_eq!(times, [77_000; 3]);

        let back = restamped_header(&stored, TimestampType::CreateTime, 1002).unwrap();
        assert_eq!(back, BatchHeader::parse(&bytes).unwrap());
    }
    let cut = &produced(Compression::None)[..80];
    assert!(restamped_header(cut, TimestampType::LogAppendTime, 1).unwrap_err().is_incomplete());
}

#[test]
fn codecs_have_kafkas_ids_and_names() {
    for (id, name) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let id = u8::try_from(id).unwrap();
        let codec = Compression::from_name(name).unwrap();
        assert_eq!((codec.id(), Compression::from_id(id)), (id, Some(codec)));
        assert_eq!(Attributes(0x78 | i16::from(id)).compression(), Ok(codec));
    }
    for id in 5..8 {
        assert_eq!(Attributes(i16::from(id)).compression(), Err(RecordsError::UnknownCompression { id }));
    }
}
