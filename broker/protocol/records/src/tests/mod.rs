//! What several files of tests share.

mod batches;
mod building;
mod headers;
mod hostile;
mod kafka;
mod message_sets;
mod produce;

use bytes::Bytes;

use crate::{Batch, BatchBuilder, BatchHeader, Compression, HEADER_LEN, Header, Record};

/// More than any test decompresses to.
const LIMIT: usize = 1 << 20;

/// A record with its own bytes, to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl From<Record<'_>> for Owned {
    fn from(record: Record<'_>) -> Self {
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record
                .headers
                .map(|Header { key, value }| (key.to_vec(), value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }
}

/// The records of the batch that `bytes` start with.
fn records_of(bytes: &[u8]) -> Vec<Owned> {
    let records = Batch::parse(bytes).unwrap().records(LIMIT).unwrap();
    records.iter().map(|record| record.unwrap().into()).collect()
}

/// What a producer sends: three records with keys, from offset 0, at 1000, 1001 and 1002 ms.
fn produced(codec: Compression) -> Bytes {
    batch_at(0, codec)
}

fn batch_at(base_offset: i64, codec: Compression) -> Bytes {
    let mut batch = BatchBuilder::new(base_offset).compression(codec).producer(7, 3, 10);
    for (timestamp, value) in [(1000, "one"), (1001, "two"), (1002, "three")] {
        let headers = [Header { key: b"h", value: Some(b"x") }];
        batch.append(timestamp, Some(b"key"), Some(value.as_bytes()), &headers).unwrap();
    }
    batch.build().unwrap()
}

/// The batch with a changed header and the CRC that goes with it.
fn with_header(batch: &[u8], change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    let mut header = BatchHeader::parse(batch).unwrap();
    change(&mut header);
    with_records(header, &batch[HEADER_LEN..])
}

/// The header, with the CRC of these records, and the records.
fn with_records(mut header: BatchHeader, records: &[u8]) -> Vec<u8> {
    header.batch_length = i32::try_from(records.len() + HEADER_LEN - crate::LOG_OVERHEAD).unwrap();
    [&header.with_crc_of(records).to_bytes(), records].concat()
}
