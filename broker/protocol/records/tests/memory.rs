//! What reading takes of memory: nothing where a batch is checked, and never more than a limit says.

#[cfg(test)]
mod tests {
    use allocation_counter::measure;
    use milena_records::{
        Batch, BatchBuilder, BatchHeader, Compression, HEAD_LEN, HEADER_LEN, Header, MessageFormat,
        ProduceRules, down_convert, head_with, up_convert, validate_produce,
    };
    use proptest::prelude::*;

    /// What records may decompress to in these tests.
    const LIMIT: usize = 64 * 1024;
    /// Buffers of codecs, whatever the limit: LZ4 takes two blocks of up to 8 MiB each.
    const CODEC_BUFFERS: u64 = 20 << 20;

    fn produced(codec: Compression, value: &[u8]) -> Vec<u8> {
        let mut batch = BatchBuilder::new(0).compression(codec).producer(1, 0, 0);
        for _ in 0..100 {
            batch.append(1000, Some(b"key"), Some(value), &[Header { key: b"h", value: None }]).unwrap();
        }
        batch.build().unwrap().to_vec()
    }

    #[test]
    fn checking_and_placing_a_batch_allocates_nothing() {
        let rules = ProduceRules::defaults(2000);
        for codec in Compression::ALL {
            let bytes = produced(codec, b"value");
            // The first checksum finds out what the processor can do.
            validate_produce(&bytes, &rules).unwrap();
            let mut head = [0; HEAD_LEN];
            let info = measure(|| {
                let batch = validate_produce(&bytes, &rules).unwrap();
                head = head_with(&batch.header, 5, 1);
            });
            assert_eq!(info.count_total, 0, "{codec}");
            assert_eq!(head[..8], 5_i64.to_be_bytes());
        }
    }

    #[test]
    fn reading_uncompressed_records_allocates_nothing() {
        let bytes = produced(Compression::None, b"value");
        let mut count = 0;
        let info = measure(|| {
            let records = Batch::parse(&bytes).unwrap().records(LIMIT).unwrap();
            count = records.iter().map(|record| record.unwrap().headers.count()).sum();
        });
        assert_eq!((info.count_total, count), (0, 100));
    }

    #[test]
    fn a_bomb_takes_no_more_than_the_limit() {
        let value = vec![0; 1 << 20];
        for codec in Compression::ALL.into_iter().filter(|codec| *codec != Compression::None) {
            let bomb = produced(codec, &value);
            let rules = ProduceRules {
                require_keys: true,
                max_decompressed_bytes: LIMIT,
                ..ProduceRules::defaults(0)
            };
            let info = measure(|| assert!(validate_produce(&bomb, &rules).is_err()));
            assert!(info.bytes_max < 4 << 20, "{codec}: {} bytes", info.bytes_max);
        }
    }

    fn with_records(codec: Compression, counts: (i32, i32), records: &[u8]) -> Vec<u8> {
        let mut header = BatchHeader::parse(&produced(codec, b"")).unwrap();
        (header.record_count, header.last_offset_delta) = counts;
        header.batch_length = i32::try_from(HEADER_LEN + records.len() - 12).unwrap();
        [&header.with_crc_of(records).to_bytes(), records].concat()
    }

    proptest! {
        #[test]
        fn noise_reserves_no_more_than_it_may(
            codec in prop::sample::select(Compression::ALL.to_vec()),
            counts in any::<(i32, i32)>(),
            start in 0_usize..60,
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            // A good beginning takes decoders beyond their magic numbers.
            let good = produced(codec, b"some text");
            let records = [&good[HEADER_LEN..HEADER_LEN + start], &noise].concat();
            let batch = with_records(codec, counts, &records);
            let set = down_convert(&good, MessageFormat::V1, 0, LIMIT).unwrap_or_default();
            let set = [&set[..set.len().min(start)], &noise].concat();
            let info = measure(|| {
                let _ = Batch::parse(&batch).unwrap().records(LIMIT).map(|records| records.iter().count());
                let _ = (down_convert(&batch, MessageFormat::V0, 0, LIMIT), up_convert(&set, LIMIT));
            });
            prop_assert!(info.bytes_max < CODEC_BUFFERS, "{}: {} bytes", codec, info.bytes_max);
        }
    }
}
