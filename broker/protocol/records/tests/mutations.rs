//! Batches and message sets that are nearly right, their checksums often right as well.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../../storage/tests/support/mutate.rs"]
mod mutate;

use milena_records::{
    Batch, BatchBuilder, BatchHeader, Batches, Compression, HEADER_LEN, Header, MessageFormat, ProduceRules,
    down_convert, up_convert, validate_produce,
};
use mutate::{Random, cases, mutate};

const LIMIT: usize = 1 << 20;

fn batch(codec: Compression, transactional: bool) -> Vec<u8> {
    let mut builder = BatchBuilder::new(7).compression(codec).leader_epoch(3);
    if transactional {
        builder = builder.producer(9, 1, 5).transactional();
    }
    let headers = [Header { key: b"name", value: Some(b"value") }];
    for (value, at) in [&b"some value"[..], b"", &[b'x'; 90]].into_iter().zip(1_700_000_000_000..) {
        builder.append(at, Some(b"key"), Some(value), &headers).unwrap();
    }
    builder.append(5, None, None, &[]).unwrap();
    builder.build().unwrap().to_vec()
}

/// With a checksum that is right, so that the rest is looked at.
fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() > HEADER_LEN
        && let Ok(length) = i32::try_from(bytes.len() - 12)
    {
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        let crc = crc_fast::crc32_iscsi(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

fn look_at(bytes: &[u8]) {
    let rules = ProduceRules { max_decompressed_bytes: LIMIT, ..ProduceRules::defaults(1_700_000_000_000) };
    let _ = validate_produce(bytes, &rules);
    let _ = validate_produce(bytes, &ProduceRules { require_keys: true, ..rules });
    let _ = BatchHeader::parse(bytes);
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        let _ = batch.verify_crc();
        if let Ok(records) = batch.records(LIMIT) {
            for record in &records {
                let Ok(record) = record else { break };
                let _ = record.headers.count();
            }
        }
        let _ = batch.recompressed(Compression::Lz4, LIMIT);
    }
    for format in [MessageFormat::V0, MessageFormat::V1] {
        if let Ok(set) = down_convert(bytes, format, 0, LIMIT) {
            let _ = up_convert(&set, LIMIT);
        }
    }
}

#[test]
fn batches() {
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let samples: Vec<Vec<u8>> =
        codecs.into_iter().flat_map(|codec| [batch(codec, false), batch(codec, true)]).collect();
    cases(4000, 4000, |random: &mut Random| {
        let sample = &samples[random.below(samples.len())];
        let bytes = mutate(random, sample);
        look_at(&bytes);
        look_at(&with_crc(bytes));
    });
}

/// The checksum of a message of magic 0 or 1 covers all behind it.
fn with_message_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() > 26
        && let Ok(length) = i32::try_from(bytes.len() - 12)
    {
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

#[test]
fn message_sets() {
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4];
    let samples: Vec<Vec<u8>> = codecs
        .into_iter()
        .flat_map(|codec| {
            [MessageFormat::V0, MessageFormat::V1]
                .map(|format| down_convert(&batch(codec, false), format, 0, LIMIT).unwrap().to_vec())
        })
        .collect();
    cases(8000, 8000, |random: &mut Random| {
        let sample = &samples[random.below(samples.len())];
        for bytes in [mutate(random, sample), with_message_crc(mutate(random, sample))] {
            if let Ok(up) = up_convert(&bytes, LIMIT) {
                Batch::parse(&up).unwrap().verify_crc().unwrap();
                look_at(&up);
            }
        }
    });
}
