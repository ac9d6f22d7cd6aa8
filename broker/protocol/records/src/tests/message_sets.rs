use super::{LIMIT, Owned, batch_at, produced, records_of};
use crate::compression::{self, Lz4Header};
use crate::legacy::{Message, MessageSet};
use crate::{
    Attributes, Batch, BatchBuilder, Compression, Fault, KafkaError, MessageFormat, RecordsError,
    TIMESTAMP_TYPE_BIT, down_convert, up_convert,
};

/// A message inside a wrapper, or one that stands alone.
#[derive(Debug, PartialEq, Eq)]
pub struct Inner {
    pub offset: i64,
    pub timestamp: i64,
    pub attributes: Attributes,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// A set with its wrappers opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// Offset, attributes and timestamp of each wrapper.
    pub wrappers: Vec<(i64, Attributes, i64)>,
    pub inner: Vec<Inner>,
}

pub fn open(set: &[u8]) -> Opened {
    let mut opened = Opened { wrappers: Vec::new(), inner: Vec::new() };
    for message in MessageSet::new(set) {
        let message = message.unwrap();
        let codec = message.attributes.compression().unwrap();
        if codec == Compression::None {
            opened.inner.push(owned(&message));
            continue;
        }
        opened.wrappers.push((message.offset, message.attributes, message.timestamp));
        let header = lz4_header(message.format);
        let inner = compression::decompress(codec, message.value.unwrap(), LIMIT, header).unwrap();
        opened.inner.extend(MessageSet::new(&inner).map(|inner| owned(&inner.unwrap())));
    }
    opened
}

fn owned(message: &Message<'_>) -> Inner {
    Inner {
        offset: message.offset,
        timestamp: message.timestamp,
        attributes: message.attributes,
        key: message.key.map(<[u8]>::to_vec),
        value: message.value.map(<[u8]>::to_vec),
    }
}

fn lz4_header(format: MessageFormat) -> Lz4Header {
    if format == MessageFormat::V0 { Lz4Header::Kafka08 } else { Lz4Header::Standard }
}

fn plain(format: MessageFormat, value: &[u8]) -> Message<'_> {
    Message { offset: 0, format, attributes: Attributes(0), timestamp: 1000, key: None, value: Some(value) }
}

fn bytes_of(messages: &[Message<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    messages.iter().for_each(|message| message.write(&mut out).unwrap());
    out
}

fn wrapper(format: MessageFormat, codec: Compression, inner: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    compression::compress(codec.into(), inner, &mut value, lz4_header(format)).unwrap();
    let attributes = Attributes(0).with_compression(codec);
    bytes_of(&[Message { attributes, ..plain(format, &value) }])
}

const FORMATS: [MessageFormat; 2] = [MessageFormat::V0, MessageFormat::V1];
const CODECS: [Compression; 3] = [Compression::Gzip, Compression::Snappy, Compression::Lz4];

fn values(batch: &[u8]) -> Vec<String> {
    let text = |record: Owned| String::from_utf8(record.value.unwrap()).unwrap();
    records_of(batch).into_iter().map(text).collect()
}

#[test]
fn several_wrappers_beside_plain_messages_become_one_batch() {
    for format in FORMATS {
        for codec in CODECS {
            let set = [
                bytes_of(&[plain(format, b"a")]),
                wrapper(format, codec, &bytes_of(&[plain(format, b"b"), plain(format, b"c")])),
                wrapper(format, codec, &bytes_of(&[plain(format, b"d")])),
                bytes_of(&[plain(format, b"e")]),
            ]
            .concat();
            let batch = up_convert(&set, LIMIT).unwrap();
            assert_eq!(values(&batch), ["a", "b", "c", "d", "e"]);
            assert_eq!(Batch::parse(&batch).unwrap().header.compression(), Ok(codec));
            Batch::parse(&batch).unwrap().verify_crc().unwrap();
        }
    }
}

#[test]
fn sets_that_are_refused() {
    let [v0, v1] = FORMATS;
    let inner = bytes_of(&[plain(v1, b"x")]);
    let malformed = |fault| RecordsError::Malformed { index: 0, fault };
    let gzip = Attributes(1);
    let cases = [
        (Vec::new(), RecordsError::Empty),
        (wrapper(v1, Compression::Gzip, &[]), RecordsError::Empty),
        (
            [bytes_of(&[plain(v1, b"x")]), bytes_of(&[plain(v0, b"x")])].concat(),
            RecordsError::UnexpectedMagic { magic: 0 },
        ),
        (produced(Compression::None).to_vec(), RecordsError::UnexpectedMagic { magic: 2 }),
        (wrapper(v0, Compression::Gzip, &inner), malformed(Fault::InnerMagic(1))),
        (
            wrapper(v1, Compression::Gzip, &wrapper(v1, Compression::Gzip, &inner)),
            malformed(Fault::NestedWrapper),
        ),
        (
            bytes_of(&[Message { value: None, attributes: gzip, ..plain(v1, b"") }]),
            malformed(Fault::NullWrapper),
        ),
        (
            wrapper(v1, Compression::Zstd, &inner),
            RecordsError::CompressionNotAllowed { codec: Compression::Zstd },
        ),
        (
            bytes_of(&[Message { attributes: Attributes(6), ..plain(v0, b"") }]),
            RecordsError::UnknownCompression { id: 6 },
        ),
        (
            bytes_of(&[Message { attributes: Attributes(TIMESTAMP_TYPE_BIT), ..plain(v1, b"") }]),
            RecordsError::LogAppendTimeFromProducer,
        ),
    ];
    for (set, expected) in cases {
        assert_eq!(up_convert(&set, LIMIT), Err(expected));
    }
}

#[test]
fn all_wrappers_share_one_limit() {
    let inner = bytes_of(&[plain(MessageFormat::V1, &[0; 1000])]);
    let set = wrapper(MessageFormat::V1, Compression::Gzip, &inner).repeat(3);
    assert!(up_convert(&set, 3 * inner.len()).is_ok());
    let error = up_convert(&set, 3 * inner.len() - 1).unwrap_err();
    assert_eq!(error.kafka_error(), KafkaError::MessageTooLarge);
}

#[test]
fn every_flipped_bit_of_a_message_is_found() {
    for format in FORMATS {
        let bytes = bytes_of(&[Message { key: Some(b"k"), ..plain(format, b"value") }]);
        // Offset and length are not covered; the length is, by the fields that must fill it.
        for at in 8..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(Message::parse(&flipped).is_err(), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn plain_batches_begin_at_the_offset_that_was_asked_for() {
    let log = [batch_at(0, Compression::None), batch_at(3, Compression::None)].concat();
    let offsets = |set: &[u8]| -> Vec<i64> { open(set).inner.iter().map(|inner| inner.offset).collect() };
    for format in FORMATS {
        let convert = |first_offset| down_convert(&log, format, first_offset, LIMIT).unwrap();
        assert_eq!(offsets(&convert(0)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(offsets(&convert(4)), [4, 5]);
        assert!(convert(6).is_empty());
    }
}

#[test]
fn a_wrapper_keeps_gaps_and_has_the_last_offset() {
    let mut batch = BatchBuilder::new(10).compression(Compression::Gzip);
    for offset in [12, 15, 19] {
        batch.append_at(offset, 500 + offset, None, Some(b"v"), &[]).unwrap();
    }
    let batch = batch.build().unwrap();
    for (format, inner_offsets) in [(MessageFormat::V0, [12, 15, 19]), (MessageFormat::V1, [0, 3, 7])] {
        let opened = open(&down_convert(&batch, format, 15, LIMIT).unwrap());
        let timestamp = if format == MessageFormat::V0 { -1 } else { 519 };
        assert_eq!(opened.wrappers, [(19, Attributes(1), timestamp)]);
        let offsets: Vec<i64> = opened.inner.iter().map(|inner| inner.offset).collect();
        assert_eq!(offsets, inner_offsets);
    }
}

#[test]
fn control_batches_and_torn_tails_are_left_out() {
    let mut marker = BatchBuilder::new(3).producer(1, 1, -1).transactional().control();
    marker.append(0, Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[]).unwrap();
    let marker = marker.build().unwrap();
    let after = batch_at(4, Compression::Lz4);
    let log = [&batch_at(0, Compression::Lz4)[..], &marker, &after].concat();
    for format in FORMATS {
        let all = down_convert(&log, format, 0, LIMIT).unwrap();
        assert_eq!(open(&all).wrappers.iter().map(|wrapper| wrapper.0).collect::<Vec<_>>(), [2, 6]);
        let torn = down_convert(&log[..log.len() - 1], format, 0, LIMIT).unwrap();
        assert_eq!(open(&torn).wrappers.len(), 1);
        assert!(down_convert(&marker, format, 0, LIMIT).unwrap().is_empty());
        assert!(down_convert(&after[..after.len() - 1], format, 0, LIMIT).unwrap().is_empty());
    }
}

#[test]
fn zstd_ends_a_set_and_is_an_error_at_its_beginning() {
    let zstd = batch_at(3, Compression::Zstd);
    let before = batch_at(0, Compression::None);
    for format in FORMATS {
        let error = down_convert(&zstd, format, 0, LIMIT).unwrap_err();
        assert_eq!(error.kafka_error(), KafkaError::UnsupportedCompressionType);
        let both = down_convert(&[&before[..], &zstd].concat(), format, 0, LIMIT).unwrap();
        assert_eq!(both, down_convert(&before, format, 0, LIMIT).unwrap());
    }
}

#[test]
fn down_conversion_shares_one_limit_and_goes_as_far_as_it_reaches() {
    let one = batch_at(0, Compression::Gzip);
    let decompressed = Batch::parse(&one).unwrap().records(LIMIT).unwrap().encoded().len();
    let log = [&one[..], &batch_at(3, Compression::Gzip)].concat();
    let wrappers = |limit| open(&down_convert(&log, MessageFormat::V1, 0, limit).unwrap()).wrappers.len();
    assert_eq!((wrappers(2 * decompressed), wrappers(2 * decompressed - 1)), (2, 1));
    assert!(down_convert(&log, MessageFormat::V1, 0, decompressed - 1).is_err());
}

#[test]
fn what_was_converted_down_is_converted_up_again() {
    for format in FORMATS {
        for codec in CODECS.into_iter().chain([Compression::None]) {
            let batch = produced(codec);
            let again = up_convert(&down_convert(&batch, format, 0, LIMIT).unwrap(), LIMIT).unwrap();
            assert_eq!(Batch::parse(&again).unwrap().header.compression(), Ok(codec));
            let mut expected = records_of(&batch);
            for record in &mut expected {
                record.headers.clear();
                if format == MessageFormat::V0 {
                    record.timestamp = -1;
                }
            }
            assert_eq!(records_of(&again), expected);
        }
    }
}
