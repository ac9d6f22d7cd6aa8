//! What consumers ask of a replica: records, and offsets by time, epoch or position.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use milena_protocol::{FileRange, Records};
use milena_storage::{FileSlice, LogReader, StorageError, TailLimits, TimestampOffset};

use super::{Partition, PartitionError};
use crate::cluster::ClusterImage;

/// Records of up to so many bytes are always brought into memory: the calls that sending them from their file takes
/// cost more than the copy.
const ALWAYS_IN_MEMORY: usize = 4 * 1024;

/// Most bytes of records that one answer brings into memory. What a consumer at the log's end finds is less, mostly,
/// and is cheaper to copy than to send from a file.
pub const MOST_IN_MEMORY: usize = 256 * 1024;

/// How far a fetch may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A consumer: what is committed.
    HighWatermark,
    /// A consumer that wants only decided transactions (`read_committed`).
    LastStableOffset,
    /// A follower: everything.
    LogEnd,
}

/// Where a fetch of one partition begins.
#[derive(Clone, Copy, Debug)]
pub struct FetchFrom {
    /// The first offset that is wanted.
    pub offset: i64,
    /// Leader epoch that the client knows; -1 for one that does not say.
    pub leader_epoch: i32,
    /// Epoch of the record before `offset` in the fetcher's log (KIP-595); -1 for one that does not say.
    pub last_fetched_epoch: i32,
    /// How far it may read.
    pub reach: Reach,
    /// Whether a follower may answer, too (KIP-392).
    pub any_replica: bool,
}

/// How much one fetch takes from a partition.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Most bytes.
    pub max_bytes: usize,
    /// Whether the first batch is given whole even where it is larger.
    pub whole_batch: bool,
    /// Records of up to so many bytes are brought into memory; more of them are left in their file.
    pub in_memory: usize,
}

/// What a fetch found.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Whole batches, from the one that holds the offset on.
    pub records: Records,
    /// The high watermark.
    pub high_watermark: i64,
    /// Everything below is decided: no open transaction began before it.
    pub last_stable_offset: i64,
    /// First offset of the log.
    pub log_start_offset: i64,
    /// The fetch may read up to here.
    pub end: i64,
    /// Aborted transactions with records among those that were read: producer id and first offset.
    pub aborted: Vec<(i64, i64)>,
    /// The fetcher's log is another one: (epoch, end offset) of the last epoch up to its own that is here, too.
    pub diverging: Option<(i32, i64)>,
    /// An in-sync replica in the consumer's rack, to read from instead (KIP-392).
    pub nearer: Option<i32>,
}

impl Fetched {
    /// Whether the client is told at once, however long it would wait for records.
    pub fn is_urgent(&self) -> bool {
        self.diverging.is_some() || self.nearer.is_some()
    }
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

    /// Whole batches, from the one that holds the offset on; many of them stay in their file.
    ///
    /// # Errors
    /// OFFSET_OUT_OF_RANGE, NOT_LEADER_OR_FOLLOWER, or a wrong leader epoch.
    pub fn fetch(&self, from: FetchFrom, limits: ReadLimits) -> Result<Fetched, PartitionError> {
        self.fetch_with(from, limits, |end| match self.read_tail(from.offset, end, limits) {
            Some(records) => Ok(records),
            None => self.locate(from.offset, end, limits),
        })
    }

    /// As [`Partition::fetch`], with the batches in memory.
    ///
    /// # Errors
    /// As [`Partition::fetch`].
    pub fn fetch_in_memory(
        &self,
        from: FetchFrom,
        limits: ReadLimits,
    ) -> Result<(Fetched, Bytes), PartitionError> {
        let mut bytes = Bytes::new();
        let found = self.fetch_with(from, limits, |end| {
            bytes = self.read_log(from.offset, end, limits)?;
            Ok(Records::Memory(bytes.clone()))
        })?;
        Ok((found, bytes))
    }

    fn fetch_with(
        &self,
        from: FetchFrom,
        limits: ReadLimits,
        read: impl FnOnce(i64) -> Result<Records, PartitionError>,
    ) -> Result<Fetched, PartitionError> {
        let mut found = self.look(from)?;
        let may_read = limits.max_bytes > 0 || limits.whole_batch;
        if found.diverging.is_some() || !may_read {
            return Ok(found);
        }
        if from.offset < found.end {
            found.records = read(found.end)?;
        } else {
            self.reader().note_tail_reader();
        }
        Ok(found)
    }

    /// What is in memory already. Where something is wrong, the log itself says what.
    fn read_tail(&self, offset: i64, up_to: i64, limits: ReadLimits) -> Option<Records> {
        let ReadLimits { max_bytes, whole_batch: min_one_batch, in_memory } = limits;
        let limits = TailLimits { max_bytes, up_to, min_one_batch, in_memory };
        let slice = self.reader().read_tail(offset, limits).ok().flatten()?;
        Some(Records::Pieces { pieces: slice.pieces, len: slice.len })
    }

    fn locate(&self, offset: i64, up_to: i64, limits: ReadLimits) -> Result<Records, PartitionError> {
        let locate = |reader: &LogReader| reader.locate(offset, limits.max_bytes, up_to, limits.whole_batch);
        let located = match locate(&self.reader()) {
            // It moved to another directory this moment: what it had is there.
            Err(StorageError::Deleted { .. }) => locate(&self.reader()),
            found => found,
        };
        let Some(slice) = located.map_err(|error| self.storage_error(&error))? else {
            return Ok(Records::NONE);
        };
        if slice.len > limits.in_memory.max(ALWAYS_IN_MEMORY) {
            return Ok(left_in_file(slice));
        }
        match slice.read() {
            Ok(Some(bytes)) => Ok(Records::Memory(bytes)),
            // Truncated meanwhile, or broken: the careful way says which.
            Ok(None) | Err(_) => self.read_log(offset, up_to, limits).map(Records::Memory),
        }
    }

    /// How many bytes a fetch would find, without reading them.
    ///
    /// # Errors
    /// As [`Partition::fetch`].
    pub fn available(&self, from: FetchFrom, max_bytes: usize) -> Result<usize, PartitionError> {
        let found = self.look(from)?;
        if from.offset >= found.end {
            return Ok(0);
        }
        let place = self
            .reader()
            .locate(from.offset, max_bytes, found.end, true)
            .map_err(|error| self.storage_error(&error))?;
        Ok(place.map_or(0, |place| place.len))
    }

    /// Whether that fetch is right here, and what the partition has for it; records are not read.
    ///
    /// # Errors
    /// As [`Partition::fetch`].
    pub fn look(&self, from: FetchFrom) -> Result<Fetched, PartitionError> {
        self.check_epoch(from.leader_epoch)?;
        let serves = self.is_leader() || (from.any_replica && self.follows());
        if !serves {
            return Err(self.not_leader());
        }
        let high_watermark = self.high_watermark();
        let log_end = self.reader().log_end_offset();
        let start = self.reader().log_start_offset();
        let diverging = self.divergence(from)?;
        if diverging.is_none() && !(start..=log_end).contains(&from.offset) {
            let message = format!("offset {} is out of range: the log is [{start}, {log_end})", from.offset);
            return Err(self.error(ResponseError::OffsetOutOfRange, message));
        }
        let last_stable_offset = self.reader().last_stable_offset(high_watermark);
        // Between high watermark and log end there is nothing for consumers yet, which is no error (rule 4).
        let end = match from.reach {
            Reach::HighWatermark => high_watermark,
            Reach::LastStableOffset => last_stable_offset,
            Reach::LogEnd => log_end,
        };
        Ok(Fetched {
            records: Records::NONE,
            high_watermark,
            last_stable_offset,
            log_start_offset: start,
            end,
            diverging,
            nearer: None,
            aborted: Vec::new(),
        })
    }

    /// Whether another broker leads and this one keeps a copy: what is below the high watermark that it knows is
    /// committed.
    fn follows(&self) -> bool {
        let state = self.state();
        state.leader.is_some_and(|leader| leader != self.me.broker)
            && state.replicas.contains(&self.me.broker)
    }

    /// The in-sync replica in that rack that has come furthest, at least to `offset`; none where the leader itself,
    /// which asks, is there (KIP-392).
    pub fn nearer_replica(&self, image: &ClusterImage, rack: &str, offset: i64) -> Option<i32> {
        let is_near =
            |id: i32| image.live_broker(id).is_some_and(|broker| broker.rack.as_deref() == Some(rack));
        if rack.is_empty() || !self.is_leader() || is_near(self.me.broker) {
            return None;
        }
        let state = self.state();
        let mut near = state.isr.iter().map(|member| member.broker).filter(|id| is_near(*id)).peekable();
        // Most clients have no replica near them, and need no look at how far it has come.
        near.peek()?;
        let inner = self.inner.lock();
        let leader = inner.replica.leader()?;
        furthest(near.filter_map(|id| Some((id, leader.follower_end(id)?))), offset)
    }

    /// Whether the fetcher's log is another one than this, judged by the epoch of its last record (KIP-595).
    fn divergence(&self, from: FetchFrom) -> Result<Option<(i32, i64)>, PartitionError> {
        let epoch = from.last_fetched_epoch;
        if epoch < 0 {
            return Ok(None);
        }
        match self.epoch_end(epoch)? {
            (-1, _) | (_, -1) => {
                let message = format!("nothing is known of leader epoch {epoch}");
                Err(self.error(ResponseError::OffsetOutOfRange, message))
            }
            (here, end) if here < epoch || end < from.offset => Ok(Some((here, end))),
            _ => Ok(None),
        }
    }

    fn read_log(&self, offset: i64, up_to: i64, limits: ReadLimits) -> Result<Bytes, PartitionError> {
        let reader = self.reader();
        let read = |reader: &LogReader| reader.read(offset, limits.max_bytes, up_to, limits.whole_batch);
        let found = match read(&reader) {
            // It moved to another directory this moment: what it had is there.
            Err(StorageError::Deleted { .. }) => read(&self.reader()),
            found => found,
        };
        found.map(|slice| slice.bytes).map_err(|error| self.storage_error(&error))
    }

    /// The aborted transactions of what a fetch found, where it wants committed records alone.
    ///
    /// # Errors
    /// A transaction index cannot be read.
    pub fn aborted(&self, from: FetchFrom, found: &Fetched) -> Result<Vec<(i64, i64)>, PartitionError> {
        if from.reach != Reach::LastStableOffset || found.records.is_empty() {
            return Ok(Vec::new());
        }
        let aborted = self
            .reader()
            .aborted_in_read(from.offset, found.records.len(), found.end)
            .map_err(|error| self.storage_error(&error))?;
        Ok(aborted.iter().map(|aborted| (aborted.producer_id, aborted.first_offset)).collect())
    }

    /// The end of what a client of that reach can read.
    ///
    /// # Errors
    /// OFFSET_NOT_AVAILABLE while a new leader's high watermark may still be behind (rule 4).
    pub fn latest_offset(&self, reach: Reach) -> Result<FoundOffset, PartitionError> {
        if !self.tells_latest()? {
            return Err(self.too_new());
        }
        let leader_epoch = self.state().leader_epoch;
        Ok(FoundOffset { offset: self.end_of(reach), timestamp: -1, leader_epoch })
    }

    fn too_new(&self) -> PartitionError {
        let message = "the leader is new, and does not know yet how far its followers have come";
        self.error(ResponseError::OffsetNotAvailable, message)
    }

    fn end_of(&self, reach: Reach) -> i64 {
        match reach {
            Reach::HighWatermark => self.high_watermark(),
            Reach::LastStableOffset => self.reader().last_stable_offset(self.high_watermark()),
            Reach::LogEnd => self.reader().log_end_offset(),
        }
    }

    /// The log start offset.
    pub fn earliest_offset(&self) -> FoundOffset {
        let offset = self.reader().log_start_offset();
        FoundOffset { offset, timestamp: -1, leader_epoch: self.reader().epoch_at(offset).unwrap_or(-1) }
    }

    /// The first record at or after that time, in milliseconds.
    ///
    /// # Errors
    /// OFFSET_NOT_AVAILABLE where a new leader may not tell yet, or what the log says.
    pub fn offset_for_time(&self, reach: Reach, time_ms: i64) -> Result<FoundOffset, PartitionError> {
        let tells_latest = self.tells_latest()?;
        let found =
            self.reader().offset_for_timestamp(time_ms).map_err(|error| self.storage_error(&error))?;
        self.readable(reach, tells_latest, found)
    }

    /// The record of the greatest timestamp (KIP-734).
    ///
    /// # Errors
    /// As [`Partition::offset_for_time`].
    pub fn max_timestamp_offset(&self, reach: Reach) -> Result<FoundOffset, PartitionError> {
        let tells_latest = self.tells_latest()?;
        let found = self.reader().max_timestamp().map_err(|error| self.storage_error(&error))?;
        self.readable(reach, tells_latest, found)
    }

    /// Records that may not be read are not told of.
    fn readable(
        &self,
        reach: Reach,
        tells_latest: bool,
        found: Option<TimestampOffset>,
    ) -> Result<FoundOffset, PartitionError> {
        match found.filter(|found| found.offset < self.end_of(reach)) {
            Some(found) => Ok(FoundOffset {
                offset: found.offset,
                timestamp: found.timestamp,
                leader_epoch: found.leader_epoch.unwrap_or(-1),
            }),
            None if tells_latest => Ok(FoundOffset::NONE),
            None => Err(self.too_new()),
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
            return Ok((epoch, self.reader().log_end_offset()));
        }
        Ok(self.reader().epoch_end_offset(epoch).map_or((-1, -1), |end| (end.epoch, end.end_offset)))
    }
}

/// Records that are sent from their file.
pub(super) fn left_in_file(slice: FileSlice) -> Records {
    let FileSlice { file, position, len, changes, seen, .. } = slice;
    Records::File(FileRange::new(file, position, len, &changes, seen))
}

/// Of replicas and their log ends the one that has come furthest and has `offset`; of several the first by number.
fn furthest(replicas: impl Iterator<Item = (i32, i64)>, offset: i64) -> Option<i32> {
    let there = replicas.filter(|(_, end)| *end >= offset);
    there.max_by_key(|(id, end)| (*end, std::cmp::Reverse(*id))).map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replica_that_has_come_furthest_is_read_from() {
        assert_eq!(furthest([(1, 10), (2, 30), (3, 30)].into_iter(), 10), Some(2));
        assert_eq!(furthest([(1, 10)].into_iter(), 10), Some(1));
        assert_eq!(furthest([(1, 10)].into_iter(), 11), None, "it has not come that far");
    }
}
