//! Offsets by time (ListOffsets).

use milena_records::Batch;

use super::LogReader;
use crate::{
    error::StorageError,
    segment::{Scanned, Segment},
};

/// A batch that decompresses to more is not looked into: its first offset is the answer then.
const MAX_DECOMPRESSED: usize = 256 << 20;

/// An answer to ListOffsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The offset.
    pub offset: i64,
    /// Timestamp of the record there, -1 where the question was not about time.
    pub timestamp: i64,
    /// Epoch of the leader that wrote it, where that is known.
    pub leader_epoch: Option<i32>,
}

impl LogReader {
    /// The log's first offset (`EARLIEST_TIMESTAMP`).
    pub fn earliest(&self) -> TimestampOffset {
        self.at(self.log_start_offset())
    }

    /// The log's end (`LATEST_TIMESTAMP`); consumers are told the high watermark or the last stable offset instead.
    pub fn latest(&self) -> TimestampOffset {
        let leader_epoch = self.latest_epoch().map(|entry| entry.epoch);
        TimestampOffset { offset: self.log_end_offset(), timestamp: -1, leader_epoch }
    }

    fn at(&self, offset: i64) -> TimestampOffset {
        TimestampOffset { offset, timestamp: -1, leader_epoch: self.epoch_at(offset) }
    }

    /// The first record whose timestamp is `timestamp` or later, ms.
    ///
    /// # Errors
    /// The log is corrupt there, or cannot be read.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>, StorageError> {
        self.attempt(None, || self.find_time(timestamp))
    }

    fn find_time(&self, timestamp: i64) -> Result<Option<TimestampOffset>, StorageError> {
        self.shared.check_readable()?;
        let start = self.log_start_offset();
        for segment in self.shared.segments().iter() {
            if segment.size() == 0 || segment.max_timestamp()?.timestamp < timestamp {
                continue;
            }
            if let Some(found) = find_in(segment, timestamp, start)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp of the log (`MAX_TIMESTAMP`, KIP-734).
    ///
    /// # Errors
    /// The log is corrupt there, or cannot be read.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, StorageError> {
        self.attempt(None, || {
            self.shared.check_readable()?;
            let mut newest = -1;
            for segment in self.shared.segments().iter() {
                newest = newest.max(segment.max_timestamp()?.timestamp);
            }
            if newest < 0 { Ok(None) } else { self.find_time(newest) }
        })
    }
}

/// The first record of a segment from offset `from` on with that timestamp or a later one.
fn find_in(segment: &Segment, timestamp: i64, from: i64) -> Result<Option<TimestampOffset>, StorageError> {
    let mut scan = segment.scan(segment.position_before_time(timestamp, from)?, segment.size())?;
    while let Some(batch) = scan.next_header()? {
        if batch.header.max_timestamp < timestamp || batch.header.last_offset() < from {
            continue;
        }
        if let Some(found) = find_in_batch(segment, &batch, timestamp, from)? {
            return Ok(Some(found));
        }
    }
    scan.finish()?;
    Ok(None)
}

fn find_in_batch(
    segment: &Segment,
    scanned: &Scanned,
    timestamp: i64,
    from: i64,
) -> Result<Option<TimestampOffset>, StorageError> {
    let corrupt = |reason: &dyn std::fmt::Display| segment.corrupt(scanned.position, reason.to_string());
    let bytes = segment.read_batch(scanned)?;
    let batch = Batch::parse(&bytes).map_err(|error| corrupt(&error))?;
    batch.verify_crc().map_err(|error| corrupt(&error))?;
    let leader_epoch = Some(batch.header.partition_leader_epoch).filter(|epoch| *epoch >= 0);
    let records = match batch.records(MAX_DECOMPRESSED) {
        Ok(records) => records,
        Err(error) => {
            // A client's compressed bytes are stored unseen: that they cannot be read is between it and its
            // consumers, and the batch is where its header says that the time is.
            tracing::warn!(segment = %segment.path().display(), %error, "a batch cannot be searched by time");
            let offset = batch.header.base_offset.max(from);
            return Ok(Some(TimestampOffset { offset, timestamp: batch.header.max_timestamp, leader_epoch }));
        }
    };
    for record in records.iter() {
        let Ok(record) = record else { break };
        if record.timestamp >= timestamp && record.offset >= from {
            return Ok(Some(TimestampOffset {
                offset: record.offset,
                timestamp: record.timestamp,
                leader_epoch,
            }));
        }
    }
    Ok(None)
}
