//! What consumers ask of a replica: records, and offsets by time, epoch or position.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::{Partition, PartitionError};

/// How much one fetch takes from a partition.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Most bytes.
    pub max_bytes: usize,
    /// Whether the first batch is given whole even where it is larger.
    pub whole_batch: bool,
}

/// What a fetch found.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Whole batches, from the one that holds the offset on.
    pub records: Bytes,
    /// The high watermark.
    pub high_watermark: i64,
    /// Everything below is decided: no open transaction began before it.
    pub last_stable_offset: i64,
    /// First offset of the log.
    pub log_start_offset: i64,
}

/// An offset, and the record that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset, -1 for none.
    pub offset: i64,
    /// The record's timestamp in milliseconds, -1 for none.
    pub timestamp: i64,
    /// The record's leader epoch, -1 for none.
    pub leader_epoch: i32,
}

impl FoundOffset {
    /// Nothing found.
    pub const NONE: FoundOffset = FoundOffset { offset: -1, timestamp: -1, leader_epoch: -1 };
}

impl Partition {
    /// Refuses a client that knows another leader epoch (KIP-320); -1 is one that does not say.
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH for a lower, UNKNOWN_LEADER_EPOCH for a higher epoch.
    pub fn check_epoch(&self, epoch: i32) -> Result<(), PartitionError> {
        let current = self.state().leader_epoch;
        let message = || format!("leader epoch {epoch} was given, the current one is {current}");
        match epoch {
            -1 => Ok(()),
            _ if epoch < current => Err(self.error(ResponseError::FencedLeaderEpoch, message())),
            _ if epoch > current => Err(self.error(ResponseError::UnknownLeaderEpoch, message())),
            _ => Ok(()),
        }
    }

    /// Records from `offset` on, below the high watermark.
    ///
    /// # Errors
    /// OFFSET_OUT_OF_RANGE, NOT_LEADER_OR_FOLLOWER, or a wrong leader epoch.
    pub fn fetch(
        &self,
        offset: i64,
        leader_epoch: i32,
        limits: ReadLimits,
    ) -> Result<Fetched, PartitionError> {
        self.check_epoch(leader_epoch)?;
        if !self.is_leader() {
            return Err(self.not_leader());
        }
        let high_watermark = self.high_watermark();
        let (start, end) = (self.reader.log_start_offset(), self.reader.log_end_offset());
        if !(start..=end).contains(&offset) {
            let message = format!("offset {offset} is out of range: the log is [{start}, {end})");
            return Err(self.error(ResponseError::OffsetOutOfRange, message));
        }
        let records = if offset < high_watermark && (limits.max_bytes > 0 || limits.whole_batch) {
            self.read_log(offset, high_watermark, limits)?
        } else {
            // Between high watermark and log end there is nothing yet, which is no error (rule 4).
            Bytes::new()
        };
        Ok(Fetched { records, high_watermark, last_stable_offset: high_watermark, log_start_offset: start })
    }

    fn read_log(&self, offset: i64, up_to: i64, limits: ReadLimits) -> Result<Bytes, PartitionError> {
        self.reader
            .read(offset, limits.max_bytes, up_to, limits.whole_batch)
            .map(|slice| slice.bytes)
            .map_err(|error| self.storage_error(&error))
    }

    /// The end of what consumers can read.
    ///
    /// # Errors
    /// OFFSET_NOT_AVAILABLE while a new leader's high watermark may still be behind (rule 4).
    pub fn latest_offset(&self) -> Result<FoundOffset, PartitionError> {
        if !self.tells_latest()? {
            let message = "the leader is new, and does not know yet how far its followers have come";
            return Err(self.error(ResponseError::OffsetNotAvailable, message));
        }
        let leader_epoch = self.state().leader_epoch;
        Ok(FoundOffset { offset: self.high_watermark(), timestamp: -1, leader_epoch })
    }

    /// The log start offset.
    pub fn earliest_offset(&self) -> FoundOffset {
        let offset = self.reader.log_start_offset();
        FoundOffset { offset, timestamp: -1, leader_epoch: self.reader.epoch_at(offset).unwrap_or(-1) }
    }

    /// The first record at or after that time, in milliseconds.
    ///
    /// # Errors
    /// What the log says.
    pub fn offset_for_time(&self, time_ms: i64) -> Result<FoundOffset, PartitionError> {
        self.tells_latest()?;
        let found = self.reader.offset_for_timestamp(time_ms).map_err(|error| self.storage_error(&error))?;
        Ok(found.map_or(FoundOffset::NONE, |found| self.readable(found)))
    }

    /// The record of the greatest timestamp (KIP-734).
    ///
    /// # Errors
    /// What the log says.
    pub fn max_timestamp_offset(&self) -> Result<FoundOffset, PartitionError> {
        self.tells_latest()?;
        let found = self.reader.max_timestamp().map_err(|error| self.storage_error(&error))?;
        Ok(found.map_or(FoundOffset::NONE, |found| self.readable(found)))
    }

    /// Records above the high watermark are not told of.
    fn readable(&self, found: milena_storage::TimestampOffset) -> FoundOffset {
        if found.offset >= self.high_watermark() {
            return FoundOffset::NONE;
        }
        FoundOffset {
            offset: found.offset,
            timestamp: found.timestamp,
            leader_epoch: found.leader_epoch.unwrap_or(-1),
        }
    }

    /// The greatest leader epoch up to `epoch` in the log, and where it ended; -1 for none.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER.
    pub fn epoch_end(&self, epoch: i32) -> Result<(i32, i64), PartitionError> {
        if !self.is_leader() {
            return Err(self.not_leader());
        }
        let current = self.state().leader_epoch;
        if epoch == current {
            return Ok((epoch, self.reader.log_end_offset()));
        }
        Ok(self.reader.epoch_end_offset(epoch).map_or((-1, -1), |end| (end.epoch, end.end_offset)))
    }
}
