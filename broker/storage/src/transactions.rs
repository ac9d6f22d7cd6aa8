//! Aborted transactions of a segment in Kafka's `.txnindex` (version 0), and what of a log is not decided yet.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use crate::{
    error::StorageError,
    fs::{self, Access, Durability, failed},
    num::to_u64,
    producer::ProducerState,
    segment::file_name,
};

const SUFFIX: &str = "txnindex";
const VERSION: i16 = 0;
/// Version, producer id, first offset, last offset, last stable offset.
const ENTRY_LEN: usize = 2 + 8 + 8 + 8 + 8;

/// A transaction that was aborted. Its entry lies in the segment of its marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of the marker that ends it.
    pub last_offset: i64,
    /// The last stable offset once it had ended: no later entry is about records below it.
    pub last_stable_offset: i64,
}

impl AbortedTransaction {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(VERSION.to_be_bytes());
        for field in [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset] {
            out.extend(field.to_be_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Option<AbortedTransaction> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (producer_id, rest) = rest.split_first_chunk()?;
        let (first_offset, rest) = rest.split_first_chunk()?;
        let (last_offset, rest) = rest.split_first_chunk()?;
        (i16::from_be_bytes(*version) == VERSION).then_some(AbortedTransaction {
            producer_id: i64::from_be_bytes(*producer_id),
            first_offset: i64::from_be_bytes(*first_offset),
            last_offset: i64::from_be_bytes(*last_offset),
            last_stable_offset: i64::from_be_bytes(*rest.first_chunk()?),
        })
    }
}

fn path(dir: &Path, base_offset: i64) -> PathBuf {
    dir.join(file_name(base_offset, SUFFIX))
}

/// The entries of a segment, oldest first. What is no entry, and all behind it, is left out.
pub(crate) fn read(dir: &Path, base_offset: i64) -> Result<Vec<AbortedTransaction>, StorageError> {
    let bytes = fs::read_small(&path(dir, base_offset))?.unwrap_or_default();
    Ok(bytes.chunks_exact(ENTRY_LEN).map_while(AbortedTransaction::decode).collect())
}

/// Puts entries behind the first `count` that are there. What a crash has left behind them is replaced.
pub(crate) fn write(
    dir: &Path,
    base_offset: i64,
    count: usize,
    entries: &[AbortedTransaction],
) -> Result<(), StorageError> {
    let path = path(dir, base_offset);
    if count == 0 && entries.is_empty() {
        return fs::remove(&path);
    }
    let mut bytes = Vec::with_capacity(ENTRY_LEN.saturating_mul(entries.len()));
    entries.iter().for_each(|entry| entry.encode(&mut bytes));
    let position = to_u64(ENTRY_LEN.saturating_mul(count));
    let file = fs::open(&path, Access::Create).map_err(failed("open", &path))?;
    fs::set_len(&file, position)
        .and_then(|()| fs::write_at(&file, position, &bytes, &[]))
        .map_err(failed("write", &path))
}

/// Has these entries and no others, durably: a crash leaves them or those of before.
pub(crate) fn replace(
    dir: &Path,
    base_offset: i64,
    entries: &[AbortedTransaction],
) -> Result<(), StorageError> {
    if entries.is_empty() {
        return fs::remove(&path(dir, base_offset));
    }
    let mut bytes = Vec::with_capacity(ENTRY_LEN.saturating_mul(entries.len()));
    entries.iter().for_each(|entry| entry.encode(&mut bytes));
    fs::write_atomic(&path(dir, base_offset), &bytes, Durability::Machine)
}

/// Makes the entries durable, if there are any.
pub(crate) fn sync(dir: &Path, base_offset: i64) -> Result<(), StorageError> {
    fs::sync_existing(&path(dir, base_offset))
}

/// What is not decided in a log: where its open transactions begin, and those whose end may still be lost because the
/// high watermark has not passed it.
#[derive(Debug, Default)]
pub(crate) struct Undecided {
    /// First offset of the oldest open transaction.
    open: Option<i64>,
    /// First offset and marker of transactions that have ended, by marker.
    ended: VecDeque<(i64, i64)>,
}

impl Undecided {
    /// As producers are when a log is opened.
    pub(crate) fn of(producers: &ProducerState) -> Undecided {
        Undecided { open: producers.first_undecided_offset(), ended: VecDeque::new() }
    }

    /// Notes what is open now.
    pub(crate) fn set_open(&mut self, producers: &ProducerState) {
        self.open = producers.first_undecided_offset();
    }

    /// Notes that a transaction has ended with a marker.
    pub(crate) fn end(&mut self, first_offset: i64, marker: i64) {
        self.ended.push_back((first_offset, marker));
    }

    /// Whether nothing is undecided whatever the high watermark.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_none() && self.ended.is_empty()
    }

    /// Where what is undecided begins. Ends that the high watermark has passed are forgotten.
    pub(crate) fn first(&mut self, high_watermark: i64) -> Option<i64> {
        while self.ended.front().is_some_and(|(_, marker)| *marker < high_watermark) {
            self.ended.pop_front();
        }
        self.ended.iter().map(|(first, _)| *first).chain(self.open).min()
    }
}

/// Those of `entries` that have records in `from..to`, and whether later segments may have more.
pub(crate) fn within(
    entries: &[AbortedTransaction],
    from: i64,
    to: i64,
    found: &mut Vec<AbortedTransaction>,
) -> bool {
    for entry in entries {
        if entry.last_offset >= from && entry.first_offset < to {
            found.push(*entry);
        }
        if entry.last_stable_offset >= to {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(producer_id: i64, first: i64, last: i64, stable: i64) -> AbortedTransaction {
        AbortedTransaction { producer_id, first_offset: first, last_offset: last, last_stable_offset: stable }
    }

    #[test]
    fn entries_are_kafkas() {
        let dir = tempfile::tempdir().unwrap();
        let entry = aborted(0x0102, 6, 11, 12);
        write(dir.path(), 0, 0, &[entry]).unwrap();
        let bytes = std::fs::read(dir.path().join("00000000000000000000.txnindex")).unwrap();
        let expected: Vec<u8> =
            [&[0; 8], &[1, 2][..], &[0; 7], &[6], &[0; 7], &[11], &[0; 7], &[12]].concat();
        assert_eq!(bytes, expected);
        assert_eq!(read(dir.path(), 0).unwrap(), [entry]);
    }

    #[test]
    fn a_torn_entry_is_none_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (aborted(1, 0, 5, 6), aborted(2, 6, 9, 10));
        write(dir.path(), 0, 0, &[one, two]).unwrap();
        let path = dir.path().join("00000000000000000000.txnindex");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(read(dir.path(), 0).unwrap(), [one]);
        write(dir.path(), 0, 1, &[two]).unwrap();
        assert_eq!(read(dir.path(), 0).unwrap(), [one, two]);
        write(dir.path(), 0, 1, &[]).unwrap();
        assert_eq!(read(dir.path(), 0).unwrap(), [one]);
        write(dir.path(), 0, 0, &[]).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn only_what_overlaps_is_found() {
        let entries = [aborted(1, 0, 5, 3), aborted(2, 3, 9, 10), aborted(1, 12, 20, 21)];
        let found = |from, to| {
            let mut found = Vec::new();
            let more = within(&entries, from, to, &mut found);
            (found.iter().map(|entry| entry.first_offset).collect::<Vec<i64>>(), more)
        };
        assert_eq!(found(0, 3), (vec![0], false));
        assert_eq!(found(4, 10), (vec![0, 3], false));
        assert_eq!(found(6, 30), (vec![3, 12], true));
        assert_eq!(found(21, 30), (vec![], true));
    }

    #[test]
    fn an_end_counts_once_the_high_watermark_has_passed_it() {
        let mut undecided = Undecided::default();
        undecided.end(2, 7);
        undecided.end(5, 9);
        assert_eq!(undecided.first(7), Some(2));
        assert_eq!(undecided.first(8), Some(5));
        assert_eq!(undecided.first(10), None);
        assert!(undecided.is_empty());
    }
}
