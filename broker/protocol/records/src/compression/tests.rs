use proptest::prelude::*;

use super::{Lz4Header, compress, decompress};
use crate::{Codec, Compression, RecordsError};

const HEADERS: [Lz4Header; 2] = [Lz4Header::Standard, Lz4Header::Kafka08];

fn compressed(codec: Compression, input: &[u8], header: Lz4Header) -> Vec<u8> {
    let mut out = Vec::new();
    compress(codec.into(), input, &mut out, header).unwrap();
    out
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let zeros = vec![0; 4 << 20];
    for codec in Compression::ALL {
        let bomb = compressed(codec, &zeros, Lz4Header::Standard);
        let refused = decompress(codec, &bomb, zeros.len() - 1, Lz4Header::Standard);
        assert_eq!(refused, Err(RecordsError::DecompressedTooLarge { codec, limit: zeros.len() - 1 }));
        assert_eq!(decompress(codec, &bomb, zeros.len(), Lz4Header::Standard).unwrap().len(), zeros.len());
    }
}

#[test]
fn snappy_is_read_raw_framed_and_concatenated() {
    let raw = snap::raw::Encoder::new().compress_vec(b"one block").unwrap();
    assert_eq!(decompress(Compression::Snappy, &raw, 100, Lz4Header::Standard).unwrap(), b"one block");

    let mut twice = compressed(Compression::Snappy, b"first ", Lz4Header::Standard);
    twice.extend(compressed(Compression::Snappy, b"second", Lz4Header::Standard));
    assert_eq!(decompress(Compression::Snappy, &twice, 100, Lz4Header::Standard).unwrap(), b"first second");
}

#[test]
fn snappy_that_claims_four_gigabytes_reserves_nothing() {
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let refused = decompress(Compression::Snappy, &claim, 1 << 20, Lz4Header::Standard);
    assert!(matches!(refused, Err(RecordsError::DecompressedTooLarge { .. })), "{refused:?}");
}

#[test]
fn old_kafka_lz4_differs_in_the_checksum_byte_alone() {
    let standard = compressed(Compression::Lz4, b"hello", Lz4Header::Standard);
    let old = compressed(Compression::Lz4, b"hello", Lz4Header::Kafka08);
    let differing: Vec<usize> = (0..standard.len()).filter(|at| standard[*at] != old[*at]).collect();
    assert_eq!(differing, [6]);
    // Kafka writes 64 KiB independent blocks, for which its two checksums are known.
    assert_eq!((standard[4], standard[5], standard[6]), (0x60, 0x40, 0x82));
    assert!(decompress(Compression::Lz4, &old, 100, Lz4Header::Standard).is_err());
    for frame in [standard, old] {
        assert_eq!(decompress(Compression::Lz4, &frame, 100, Lz4Header::Kafka08).unwrap(), b"hello");
    }
}

#[test]
fn gzip_members_are_read_one_after_the_other() {
    let mut twice = compressed(Compression::Gzip, b"a", Lz4Header::Standard);
    twice.extend(compressed(Compression::Gzip, b"b", Lz4Header::Standard));
    assert_eq!(decompress(Compression::Gzip, &twice, 2, Lz4Header::Standard).unwrap(), b"ab");
}

/// Words in an order that only a longer search finds again.
fn text() -> Vec<u8> {
    let mut state = 1_u32;
    let word = |n: u32| format!("word{} ", (n >> 16) % 500);
    (0..40_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            word(state)
        })
        .collect::<String>()
        .into_bytes()
}

#[test]
fn levels_count() {
    let input = text();
    let size = |compression, level| {
        let mut out = Vec::new();
        compress(Codec { compression, level: Some(level) }, &input, &mut out, Lz4Header::Standard).unwrap();
        let round = decompress(compression, &out, input.len(), Lz4Header::Standard).unwrap();
        assert!(round == input, "{compression} {level}");
        out.len()
    };
    assert!(size(Compression::Gzip, 9) < size(Compression::Gzip, 1));
    assert!(size(Compression::Zstd, 19) < size(Compression::Zstd, 1));
    assert!(size(Compression::Zstd, 1) < size(Compression::Zstd, -100));
    // 9 is the fast compressor, as in Kafka; the others search for longer.
    assert!(size(Compression::Lz4, 12) < size(Compression::Lz4, 3));
    assert!(size(Compression::Lz4, 3) < size(Compression::Lz4, 9));
    let default = compressed(Compression::Lz4, &input, Lz4Header::Standard);
    assert_eq!(size(Compression::Lz4, 9), default.len());
}

#[test]
fn every_level_of_kafka_is_taken() {
    let levels = [(Compression::Gzip, 1..=9), (Compression::Lz4, 1..=17), (Compression::Zstd, -7..=22)];
    for (compression, levels) in levels {
        for (level, input) in levels.flat_map(|level| [(level, &b"some text"[..]), (level, b"")]) {
            let mut out = Vec::new();
            compress(Codec { compression, level: Some(level) }, input, &mut out, Lz4Header::Standard)
                .unwrap();
            assert_eq!(decompress(compression, &out, 9, Lz4Header::Standard).unwrap(), input);
        }
    }
    let lowest = Codec { compression: Compression::Zstd, level: Some(-131_072) };
    compress(lowest, b"some text", &mut Vec::new(), Lz4Header::Standard).unwrap();
}

proptest! {
    #[test]
    fn what_is_compressed_is_read_back(
        unit in prop::collection::vec(any::<u8>(), 0..300),
        times in 0_usize..600,
    ) {
        let input = unit.repeat(times);
        for codec in Compression::ALL {
            for header in HEADERS {
                let round = decompress(codec, &compressed(codec, &input, header), input.len(), header);
                prop_assert_eq!(round.as_deref(), Ok(input.as_slice()), "{}", codec);
            }
        }
        let mut high = Vec::new();
        let lz4 = Codec { compression: Compression::Lz4, level: Some(4) };
        compress(lz4, &input, &mut high, Lz4Header::Standard).unwrap();
        let round = decompress(Compression::Lz4, &high, input.len(), Lz4Header::Standard);
        prop_assert_eq!(round.as_deref(), Ok(input.as_slice()));
    }

    #[test]
    fn arbitrary_bytes_never_panic_nor_exceed_the_limit(
        noise in prop::collection::vec(any::<u8>(), 0..400),
        keep in 0_usize..40,
    ) {
        for codec in Compression::ALL {
            for header in HEADERS {
                // A valid beginning takes the decoder past its magic numbers.
                let mut input = compressed(codec, b"some text that is some text", header);
                input.truncate(keep);
                input.extend_from_slice(&noise);
                if let Ok(out) = decompress(codec, &input, 1000, header) {
                    prop_assert!(out.len() <= 1000);
                }
            }
        }
    }
}
