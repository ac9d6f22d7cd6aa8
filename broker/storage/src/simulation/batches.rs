//! Batches that a case sends, as the log stores them.

use milena_records::{Attributes, Batch, BatchBuilder, BatchHeader, Batches, CONTROL_BIT, TRANSACTIONAL_BIT};

/// A record as whoever reads the log sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) leader_epoch: i32,
}

/// A batch with its final offset and leader epoch.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) header: BatchHeader,
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<Record>,
}

impl Sent {
    /// The batch that a client sent, where the log puts it.
    pub(super) fn placed(bytes: &[u8], base_offset: i64, leader_epoch: i32) -> Sent {
        let header = BatchHeader::parse(bytes).unwrap();
        let header = BatchHeader { base_offset, partition_leader_epoch: leader_epoch, ..header };
        let mut stored = header.to_bytes().to_vec();
        stored.extend_from_slice(&bytes[stored.len()..]);
        Sent::stored(&Batch::parse(&stored).unwrap())
    }

    fn stored(batch: &Batch<'_>) -> Sent {
        batch.verify_crc().unwrap();
        let header = batch.header;
        let records = batch.records(1 << 20).unwrap();
        let records = records.iter().map(|record| record.unwrap()).map(|record| Record {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.unwrap_or_default().to_vec(),
            value: record.value.map(<[u8]>::to_vec),
            leader_epoch: header.partition_leader_epoch,
        });
        Sent { header, records: records.collect(), bytes: batch.bytes.to_vec() }
    }

    /// The batches that were read.
    pub(super) fn all(bytes: &[u8]) -> Vec<Sent> {
        Batches::new(bytes).map(|batch| Sent::stored(&batch.unwrap())).collect()
    }

    pub(super) fn end(&self) -> i64 {
        self.header.next_offset()
    }
}

/// What is in a batch besides its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Producer {
    pub(super) id: i64,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
    pub(super) transactional: bool,
}

/// A batch of records one millisecond apart.
pub(super) fn build(
    producer: Option<Producer>,
    timestamp: i64,
    records: &[(Vec<u8>, Option<Vec<u8>>)],
) -> Vec<u8> {
    let mut builder = BatchBuilder::new(0);
    if let Some(Producer { id, epoch, sequence, transactional }) = producer {
        builder = builder.producer(id, epoch, sequence);
        if transactional {
            builder = builder.transactional();
        }
    }
    for ((key, value), at) in records.iter().zip(timestamp..) {
        builder.append(at, Some(key), value.as_deref(), &[]).unwrap();
    }
    builder.build().unwrap().to_vec()
}

/// The end of a transaction.
pub(super) fn marker(id: i64, epoch: i16, timestamp: i64, commit: bool) -> Vec<u8> {
    let mut builder = BatchBuilder::new(0).producer(id, epoch, -1).transactional().control();
    let key = [0, 0, 0, u8::from(commit)];
    builder.append(timestamp, Some(&key), Some(&[0, 0, 0, 0, 0, 7]), &[]).unwrap();
    let bytes = builder.build().unwrap().to_vec();
    assert!(BatchHeader::parse(&bytes).unwrap().attributes == both());
    bytes
}

fn both() -> Attributes {
    Attributes(0).with(TRANSACTIONAL_BIT).with(CONTROL_BIT)
}
