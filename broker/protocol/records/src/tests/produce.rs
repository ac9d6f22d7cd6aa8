use super::{produced, with_header, with_records};
use crate::{
    Attributes, BatchBuilder, BatchHeader, CONTROL_BIT, Compression, Fault, KafkaError, ProduceRules,
    RecordsError, TIMESTAMP_TYPE_BIT, TRANSACTIONAL_BIT, TimestampType, validate_produce,
};

const NOW: i64 = 2000;

fn rules() -> ProduceRules {
    ProduceRules::defaults(NOW)
}

#[track_caller]
fn refused(bytes: &[u8], rules: &ProduceRules, expected: RecordsError, answered: KafkaError) {
    let error = validate_produce(bytes, rules).unwrap_err();
    assert_eq!(error, expected);
    assert_eq!(error.kafka_error(), answered);
}

#[test]
fn good_batches_of_every_codec_are_taken_as_they_are() {
    for codec in Compression::ALL {
        let bytes = produced(codec);
        let batch = validate_produce(&bytes, &rules()).unwrap();
        assert_eq!(batch.header, BatchHeader::parse(&bytes).unwrap());
        assert_eq!((batch.compression, batch.max_timestamp), (codec, 1002));
        assert!(!batch.needs_restamp());
    }
}

#[test]
fn framing_faults() {
    let bytes = produced(Compression::None);
    let size = bytes.len();
    refused(&[], &rules(), RecordsError::Empty, KafkaError::InvalidRecord);
    refused(
        &bytes[..size - 1],
        &rules(),
        RecordsError::Incomplete { needed: size, available: size - 1 },
        KafkaError::InvalidRecord,
    );
    refused(
        &[&bytes[..], &bytes[..]].concat(),
        &rules(),
        RecordsError::TrailingBytes { trailing: size },
        KafkaError::InvalidRecord,
    );
    refused(
        &bytes,
        &ProduceRules { max_message_bytes: size - 1, ..rules() },
        RecordsError::TooLarge { size, limit: size - 1 },
        KafkaError::MessageTooLarge,
    );
    assert!(validate_produce(&bytes, &ProduceRules { max_message_bytes: size, ..rules() }).is_ok());

    let mut flipped = bytes.to_vec();
    flipped[size - 1] ^= 1;
    let error = validate_produce(&flipped, &rules()).unwrap_err();
    assert!(matches!(error, RecordsError::CrcMismatch { .. }));
    assert_eq!(error.kafka_error(), KafkaError::CorruptMessage);
}

#[test]
fn header_faults() {
    type Change = fn(&mut BatchHeader);
    let producer = |producer_id, producer_epoch, base_sequence| RecordsError::ProducerState {
        producer_id,
        producer_epoch,
        base_sequence,
    };
    let count = |count, last_offset_delta| RecordsError::RecordCount { count, last_offset_delta };
    let cases: [(Change, RecordsError, KafkaError); 11] = [
        (|h| h.base_offset = 1, RecordsError::BaseOffset { base_offset: 1 }, KafkaError::InvalidRecord),
        (|h| h.record_count = 0, count(0, 2), KafkaError::InvalidRecord),
        (|h| h.record_count = i32::MIN, count(i32::MIN, 2), KafkaError::InvalidRecord),
        (|h| h.record_count = 4, count(4, 2), KafkaError::InvalidRecord),
        (|h| h.last_offset_delta = -1, count(3, -1), KafkaError::InvalidRecord),
        (|h| h.attributes.0 |= CONTROL_BIT, RecordsError::ControlBatch, KafkaError::InvalidRecord),
        (|h| h.base_sequence = -1, producer(7, 3, -1), KafkaError::InvalidRecord),
        (|h| h.producer_epoch = -1, producer(7, -1, 10), KafkaError::InvalidRecord),
        (
            |h| (h.attributes, h.producer_id) = (Attributes(TRANSACTIONAL_BIT), -1),
            RecordsError::TransactionalWithoutProducer,
            KafkaError::InvalidRecord,
        ),
        (
            |h| h.attributes.0 |= TIMESTAMP_TYPE_BIT,
            RecordsError::LogAppendTimeFromProducer,
            KafkaError::InvalidTimestamp,
        ),
        (
            |h| h.attributes.0 |= 7,
            RecordsError::UnknownCompression { id: 7 },
            KafkaError::UnsupportedCompressionType,
        ),
    ];
    for (change, expected, answered) in cases {
        refused(&with_header(&produced(Compression::None), change), &rules(), expected, answered);
    }
}

#[test]
fn old_formats_and_codecs_that_the_request_does_not_allow() {
    let message_set =
        crate::down_convert(&produced(Compression::None), crate::MessageFormat::V1, 0, 0).unwrap();
    refused(&message_set, &rules(), RecordsError::UnexpectedMagic { magic: 1 }, KafkaError::InvalidRecord);
    refused(
        &produced(Compression::Zstd),
        &ProduceRules { allow_zstd: false, ..rules() },
        RecordsError::CompressionNotAllowed { codec: Compression::Zstd },
        KafkaError::UnsupportedCompressionType,
    );
}

#[test]
fn record_faults() {
    let bytes = produced(Compression::None);
    let header = BatchHeader::parse(&bytes).unwrap();
    let one = BatchHeader { record_count: 1, last_offset_delta: 0, ..header };
    let faulty = |records: &[u8], fault| {
        let expected = RecordsError::Malformed { index: 0, fault };
        refused(&with_records(one, records), &rules(), expected, KafkaError::InvalidRecord);
    };
    // Length, attributes, timestamp delta, offset delta, null key, null value, no headers; all zigzag.
    let good = [12, 0, 0, 0, 1, 1, 0];
    assert!(validate_produce(&with_records(one, &good), &rules()).is_ok());
    faulty(&[], Fault::Overrun);
    faulty(&[14, 0, 0, 0, 1, 1, 0], Fault::Overrun);
    faulty(&[1, 0, 0, 0, 1, 1, 0], Fault::NegativeLength(-1));
    faulty(&[14, 0, 0, 0, 1, 1, 0, 0], Fault::LeftOver(1));
    faulty(&[12, 0, 0, 2, 1, 1, 0], Fault::OffsetDelta(1));
    faulty(&[12, 0, 0, 0, 1, 1, 1], Fault::NegativeLength(-1));
    faulty(&[12, 0, 0, 0, 8, 1, 0], Fault::Overrun);
    faulty(&[12, 0, 0, 0, 1, 1, 2], Fault::Overrun);
    faulty(&[16, 0, 0, 0, 1, 1, 2, 1, 1], Fault::NegativeLength(-1));
    faulty(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], Fault::Varint);
    refused(
        &with_records(one, &[12, 0, 0, 0, 1, 1, 0, 9]),
        &rules(),
        RecordsError::BytesAfterRecords { trailing: 1, count: 1 },
        KafkaError::InvalidRecord,
    );
}

#[test]
fn records_that_are_not_what_the_header_counts() {
    let bytes = produced(Compression::None);
    let four = with_header(&bytes, |header| (header.record_count, header.last_offset_delta) = (4, 3));
    let missing = RecordsError::Malformed { index: 3, fault: Fault::Overrun };
    refused(&four, &rules(), missing, KafkaError::InvalidRecord);
    let two = with_header(&bytes, |header| (header.record_count, header.last_offset_delta) = (2, 1));
    let error = validate_produce(&two, &rules()).unwrap_err();
    assert!(matches!(error, RecordsError::BytesAfterRecords { count: 2, .. }), "{error}");
}

#[test]
fn compacted_topics_need_keys_of_every_codec() {
    let compacted = ProduceRules { require_keys: true, ..rules() };
    for codec in Compression::ALL {
        assert!(validate_produce(&produced(codec), &compacted).is_ok());
        let mut batch = BatchBuilder::new(0).compression(codec);
        batch.append(NOW, Some(b""), Some(b"a"), &[]).unwrap();
        batch.append(NOW, None, Some(b"b"), &[]).unwrap();
        let bytes = batch.build().unwrap();
        assert!(validate_produce(&bytes, &rules()).is_ok());
        refused(&bytes, &compacted, RecordsError::MissingKey { index: 1 }, KafkaError::InvalidRecord);
        if codec != Compression::None {
            let limited = ProduceRules { max_decompressed_bytes: 5, ..compacted };
            let bomb = RecordsError::DecompressedTooLarge { codec, limit: 5 };
            refused(&bytes, &limited, bomb, KafkaError::MessageTooLarge);
        }
    }
}

#[test]
fn timestamps_out_of_range() {
    for codec in Compression::ALL {
        let bytes = produced(codec);
        let late = ProduceRules { now_ms: 901, timestamp_after_max_ms: 100, ..rules() };
        let error = validate_produce(&bytes, &late).unwrap_err();
        assert!(matches!(error, RecordsError::TimestampOutOfRange { timestamp: 1002, latest: 1001, .. }));
        assert_eq!(error.kafka_error(), KafkaError::InvalidTimestamp);
        assert!(validate_produce(&bytes, &ProduceRules { now_ms: 902, ..late }).is_ok());

        let early = ProduceRules { now_ms: 1101, timestamp_before_max_ms: 100, ..rules() };
        let expected = RecordsError::TimestampOutOfRange {
            index: 0,
            timestamp: 1000,
            earliest: 1001,
            latest: 3_601_101,
        };
        assert_eq!(expected.record_index(), Some(0));
        refused(&bytes, &early, expected, KafkaError::InvalidTimestamp);
        assert!(validate_produce(&bytes, &ProduceRules { now_ms: 1100, ..early }).is_ok());

        // With the broker's own clock the producer's does not matter.
        let append_time = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..late };
        assert!(validate_produce(&bytes, &append_time).is_ok());
    }
}

#[test]
fn records_without_a_timestamp_are_never_out_of_range() {
    let mut batch = BatchBuilder::new(0);
    batch.append(-1, None, Some(b"a"), &[]).unwrap();
    let strict = ProduceRules { timestamp_before_max_ms: 0, timestamp_after_max_ms: 0, ..rules() };
    let batch = validate_produce(&batch.build().unwrap(), &strict).unwrap();
    assert_eq!((batch.max_timestamp, batch.needs_restamp()), (-1, false));
}

#[test]
fn the_stored_timestamps_may_have_to_differ() {
    let wrong = with_header(&produced(Compression::None), |header| header.max_timestamp = 7);
    let batch = validate_produce(&wrong, &rules()).unwrap();
    assert_eq!((batch.max_timestamp, batch.needs_restamp()), (1002, true));

    let append_time = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    for codec in Compression::ALL {
        let batch = validate_produce(&produced(codec), &append_time).unwrap();
        assert_eq!((batch.max_timestamp, batch.needs_restamp()), (NOW, true));
    }
}
