//! Nothing that is read may panic, loop for ever or outgrow its limit.

use proptest::prelude::*;

use super::{batch_at, produced, with_records};
use crate::legacy::MessageSet;
use crate::{
    Batch, BatchHeader, Batches, Compression, HEADER_LEN, MessageFormat, ProduceRules, down_convert,
    entry_len, magic_of, up_convert, validate_produce,
};

const LIMIT: usize = 10_000;

/// Feeds `bytes` to everything that reads.
fn read_everything(bytes: &[u8]) {
    let _ = (entry_len(bytes), magic_of(bytes), BatchHeader::parse(bytes));
    for batch in Batches::new(bytes).flatten() {
        let _ = batch.verify_crc();
        if let Ok(records) = batch.records(LIMIT) {
            assert!(records.encoded().len() <= LIMIT.max(bytes.len()));
            for record in records.iter().flatten() {
                let _ = record.headers.count();
            }
        }
        let _ = batch.recompressed(Compression::None, LIMIT);
    }
    let strict = ProduceRules {
        require_keys: true,
        timestamp_before_max_ms: 10,
        max_decompressed_bytes: LIMIT,
        ..ProduceRules::defaults(1_000)
    };
    let _ = (validate_produce(bytes, &strict), validate_produce(bytes, &ProduceRules::defaults(i64::MIN)));
    let _ = (MessageSet::new(bytes).count(), up_convert(bytes, LIMIT));
    for format in [MessageFormat::V0, MessageFormat::V1] {
        let _ = down_convert(bytes, format, 1, LIMIT);
    }
}

fn any_codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

/// Bytes to put in place of others.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
}

fn apply(edits: &[(prop::sample::Index, u8)], bytes: &mut [u8]) {
    for (at, byte) in edits {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        read_everything(&bytes);
    }

    #[test]
    fn arbitrary_records_under_a_good_crc(
        records in prop::collection::vec(any::<u8>(), 0..300),
        codec in any_codec(),
        counts in any::<(i32, i32)>(),
    ) {
        let mut header = BatchHeader::parse(&produced(codec)).unwrap();
        read_everything(&with_records(header, &records));
        (header.record_count, header.last_offset_delta) = counts;
        read_everything(&with_records(header, &records));
    }

    #[test]
    fn damaged_batches_under_a_good_crc(codec in any_codec(), edits in edits()) {
        let good = batch_at(i64::MAX - 2, codec);
        let batch = Batch::parse(&good).unwrap();
        let mut records = good[HEADER_LEN..].to_vec();
        apply(&edits, &mut records);
        read_everything(&with_records(batch.header, &records));

        let mut whole = good.to_vec();
        apply(&edits, &mut whole[HEADER_LEN - 40..]);
        read_everything(&whole);
        if let Ok(header) = BatchHeader::parse(&whole) {
            read_everything(&with_records(header, &whole[HEADER_LEN..]));
        }
    }

    #[test]
    fn damaged_message_sets(codec in any_codec(), edits in edits(), cut in any::<prop::sample::Index>()) {
        for format in [MessageFormat::V0, MessageFormat::V1] {
            let Ok(set) = down_convert(&produced(codec), format, 0, LIMIT) else { continue };
            let mut damaged = set.to_vec();
            read_everything(&damaged[..cut.index(damaged.len())]);
            apply(&edits, &mut damaged);
            read_everything(&damaged);
            // The same with the first message's CRC made good, so that what is behind the check is reached.
            if let Ok(size) = entry_len(&damaged) && size <= damaged.len() {
                let crc = crate::crc::crc32(&damaged[16..size]).to_be_bytes();
                damaged[12..16].copy_from_slice(&crc);
                read_everything(&damaged);
            }
        }
    }
}
