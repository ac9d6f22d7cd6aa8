//! Producer snapshots in Kafka's format (ProducerSnapshot, version 1): version, CRC-32C of what follows,
//! entries of fixed size.

use milena_records::crc32c;

use super::{
    ProducerState,
    entry::{BatchMetadata, ProducerEntry},
};

const VERSION: i16 = 1;
/// Version (2), CRC (4); the CRC covers what comes after.
const CRC_END: usize = 6;
/// Producer id, epoch, last sequence, last offset, offset delta, timestamp, coordinator epoch, first offset of
/// the open transaction.
const ENTRY_LEN: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

impl ProducerState {
    /// The content of a `.snapshot` file.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(ENTRY_LEN.saturating_mul(self.producers.len()).saturating_add(4));
        body.extend(i32::try_from(self.producers.len()).unwrap_or(i32::MAX).to_be_bytes());
        for (producer_id, entry) in &self.producers {
            let last = entry.last().copied().unwrap_or(BatchMetadata {
                last_sequence: -1,
                last_offset: -1,
                ..Default::default()
            });
            body.extend(producer_id.to_be_bytes());
            body.extend(entry.epoch.to_be_bytes());
            body.extend(last.last_sequence.to_be_bytes());
            body.extend(last.last_offset.to_be_bytes());
            body.extend(last.offset_delta.to_be_bytes());
            body.extend(entry.last_timestamp.to_be_bytes());
            body.extend(entry.coordinator_epoch.to_be_bytes());
            body.extend(entry.current_txn_first_offset.unwrap_or(-1).to_be_bytes());
        }
        let mut bytes = Vec::with_capacity(body.len().saturating_add(CRC_END));
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend(crc32c(&body).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    /// Reads a `.snapshot` file; producers that have expired by `now_ms` are left out. None: the file is corrupt.
    pub fn from_snapshot(bytes: &[u8], now_ms: i64, expiration_ms: i64) -> Option<ProducerState> {
        let mut cursor = Cursor(bytes);
        let version = i16::from_be_bytes(cursor.take()?);
        let crc = u32::from_be_bytes(cursor.take()?);
        if version != VERSION || crc != crc32c(cursor.0) {
            return None;
        }
        let count = usize::try_from(i32::from_be_bytes(cursor.take()?)).ok()?;
        if count.checked_mul(ENTRY_LEN)? != cursor.0.len() {
            return None;
        }
        let mut state = ProducerState::default();
        for _ in 0..count {
            let (producer_id, entry) = read_entry(&mut cursor)?;
            let open = entry.current_txn_first_offset;
            // Nobody writes a producer twice, nor two transactions that begin at one offset.
            let twice = open.is_some_and(|first| state.ongoing.insert(first, producer_id).is_some());
            if twice || state.producers.insert(producer_id, entry).is_some() {
                return None;
            }
        }
        state.expire(now_ms, expiration_ms);
        Some(state)
    }
}

fn read_entry(cursor: &mut Cursor<'_>) -> Option<(i64, ProducerEntry)> {
    let producer_id = i64::from_be_bytes(cursor.take()?);
    let epoch = i16::from_be_bytes(cursor.take()?);
    let last = BatchMetadata {
        last_sequence: i32::from_be_bytes(cursor.take()?),
        last_offset: i64::from_be_bytes(cursor.take()?),
        offset_delta: i32::from_be_bytes(cursor.take()?),
        timestamp: i64::from_be_bytes(cursor.take()?),
    };
    let coordinator_epoch = i32::from_be_bytes(cursor.take()?);
    let txn = i64::from_be_bytes(cursor.take()?);
    let txn = (txn >= 0).then_some(txn);
    Some((producer_id, ProducerEntry::from_snapshot(epoch, coordinator_epoch, txn, last)))
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
}
