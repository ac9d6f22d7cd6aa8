//! Bytes that Apache Kafka wrote: `vectors/Vectors.java` says how.

use super::message_sets::{Inner, open};
use super::{Owned, records_of};
use crate::{
    Batch, BatchBuilder, Compression, Header, MessageFormat, RecordsError, TimestampType, down_convert,
    up_convert,
};

const VECTORS: &str = include_str!("../../vectors/kafka-4.3.hex");

struct Vector {
    name: &'static str,
    codec: Compression,
    append_time: bool,
    bytes: Vec<u8>,
}

/// All vectors of one magic.
fn vectors(magic: &str) -> Vec<Vector> {
    let of_magic = VECTORS.lines().filter(|line| line.starts_with(magic));
    let parsed: Vec<_> = of_magic
        .map(|line| {
            let (name, hex) = line.split_once(' ').unwrap();
            let mut parts = name.split('-').skip(1);
            Vector {
                name,
                codec: Compression::from_name(parts.next().unwrap()).unwrap(),
                append_time: parts.next() == Some("append"),
                bytes: unhex(hex),
            }
        })
        .collect();
    assert!(parsed.len() >= 4, "{magic}");
    parsed
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn expected(times: [i64; 3], with_headers: bool) -> Vec<Owned> {
    let large = "abc".repeat(200).into_bytes();
    let headers =
        vec![(b"h1".to_vec(), Some(b"x".to_vec())), (b"h2".to_vec(), None), (Vec::new(), Some(Vec::new()))];
    let fields = [
        (Some(b"k0".to_vec()), Some(b"v0".to_vec()), if with_headers { headers } else { Vec::new() }),
        (None, None, Vec::new()),
        (Some(Vec::new()), Some(large), Vec::new()),
    ];
    let offsets = 100..;
    offsets
        .zip(times)
        .zip(fields)
        .map(|((offset, timestamp), (key, value, headers))| Owned { offset, timestamp, key, value, headers })
        .collect()
}

fn times(append_time: bool) -> [i64; 3] {
    if append_time { [5000; 3] } else { [1000, 1001, 999] }
}

#[test]
fn kafkas_batches_are_read() {
    for vector in vectors("magic2") {
        let batch = Batch::parse(&vector.bytes).unwrap();
        batch.verify_crc().unwrap();
        let header = batch.header;
        assert_eq!(header.compression(), Ok(vector.codec), "{}", vector.name);
        assert_eq!((header.base_offset, header.last_offset(), header.record_count), (100, 102, 3));
        assert_eq!((header.producer_id, header.producer_epoch), (7, 3));
        assert_eq!((header.base_sequence, header.last_sequence()), (i32::MAX - 1, 0));
        assert_eq!(header.partition_leader_epoch, 5);
        assert!(header.is_transactional() && !header.is_control());
        assert_eq!(header.max_timestamp, if vector.append_time { 5000 } else { 1001 });
        assert_eq!(header.timestamp_type() == TimestampType::LogAppendTime, vector.append_time);
        assert_eq!(records_of(&vector.bytes), expected(times(vector.append_time), true), "{}", vector.name);
    }
}

#[test]
fn what_is_built_is_what_kafka_writes_byte_for_byte() {
    let vector = vectors("magic2").into_iter().find(|vector| vector.name == "magic2-none").unwrap();
    let mut batch = BatchBuilder::new(100).producer(7, 3, i32::MAX - 1).transactional().leader_epoch(5);
    for record in expected(times(false), true) {
        let headers: Vec<_> =
            record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        batch.append(record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers).unwrap();
    }
    assert_eq!(batch.build().unwrap(), vector.bytes);
}

#[test]
fn kafkas_message_sets_are_converted_up() {
    for (magic, known_times) in [("magic0", [-1; 3]), ("magic1", times(false))] {
        for vector in vectors(magic) {
            if vector.append_time {
                assert_eq!(up_convert(&vector.bytes, 5000), Err(RecordsError::LogAppendTimeFromProducer));
                continue;
            }
            let batch = up_convert(&vector.bytes, 5000).unwrap();
            assert_eq!(Batch::parse(&batch).unwrap().header.compression(), Ok(vector.codec));
            let mut records = records_of(&batch);
            // A produced set starts at offset 0 wherever it says that it starts.
            records.iter_mut().for_each(|record| record.offset += 100);
            assert_eq!(records, expected(known_times, false), "{}", vector.name);
        }
    }
}

#[test]
fn batches_are_converted_down_to_what_kafka_writes() {
    for (magic, format) in [("magic0", MessageFormat::V0), ("magic1", MessageFormat::V1)] {
        for vector in vectors(magic) {
            let name = vector.name.replace(magic, "magic2");
            let batch = vectors("magic2").into_iter().find(|batch| batch.name == name).unwrap();
            let set = down_convert(&batch.bytes, format, 0, 5000).unwrap();
            assert_eq!(open(&set), open(&vector.bytes), "{name}");
            if vector.codec == Compression::None {
                assert_eq!(set, vector.bytes, "{name}");
            }
        }
    }
}

#[test]
fn inner_offsets_are_kafkas() {
    for vector in vectors("magic").into_iter().filter(|vector| !vector.name.starts_with("magic2")) {
        let raw: Vec<i64> = open(&vector.bytes).inner.iter().map(|Inner { offset, .. }| *offset).collect();
        let relative = vector.name.starts_with("magic1") && vector.codec != Compression::None;
        assert_eq!(raw, if relative { [0, 1, 2] } else { [100, 101, 102] }, "{}", vector.name);
    }
}
