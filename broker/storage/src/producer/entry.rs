//! One producer's last batches.

use milena_records::BatchHeader;

use super::{NO_PRODUCER_EPOCH, ProducerError};

/// Batches remembered for each producer: a client has at most five requests in flight.
const BATCHES_TO_RETAIN: usize = 5;

/// A batch that a producer wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BatchMetadata {
    pub(super) last_sequence: i32,
    pub(super) last_offset: i64,
    pub(super) offset_delta: i32,
    pub(super) timestamp: i64,
}

impl BatchMetadata {
    pub(super) fn first_offset(&self) -> i64 {
        self.last_offset.saturating_sub(i64::from(self.offset_delta))
    }

    /// Sequences wrap from `i32::MAX` to 0.
    fn first_sequence(&self) -> i32 {
        if self.last_sequence >= self.offset_delta {
            self.last_sequence.saturating_sub(self.offset_delta)
        } else {
            i32::MAX.saturating_sub(self.offset_delta.saturating_sub(self.last_sequence)).saturating_add(1)
        }
    }
}

/// One producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProducerEntry {
    pub(super) epoch: i16,
    pub(super) coordinator_epoch: i32,
    pub(super) last_timestamp: i64,
    pub(super) current_txn_first_offset: Option<i64>,
    /// Oldest first; only the first `kept` count.
    recent: [BatchMetadata; BATCHES_TO_RETAIN],
    kept: usize,
}

impl Default for ProducerEntry {
    fn default() -> ProducerEntry {
        ProducerEntry {
            epoch: NO_PRODUCER_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: -1,
            current_txn_first_offset: None,
            recent: Default::default(),
            kept: 0,
        }
    }
}

impl ProducerEntry {
    fn batches(&self) -> &[BatchMetadata] {
        self.recent.get(..self.kept).unwrap_or_default()
    }

    /// The newest batch.
    pub(super) fn last(&self) -> Option<&BatchMetadata> {
        self.batches().last()
    }

    /// Sequence of the newest record, -1 for none.
    pub(super) fn last_sequence(&self) -> i32 {
        self.last().map_or(-1, |batch| batch.last_sequence)
    }

    /// The same batch, if it is among the last ones.
    pub(super) fn find(&self, batch: &BatchHeader) -> Option<&BatchMetadata> {
        if batch.producer_epoch != self.epoch {
            return None;
        }
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        self.batches().iter().find(|known| known.first_sequence() == first && known.last_sequence == last)
    }

    pub(super) fn check_epoch(&self, batch: &BatchHeader) -> Result<(), ProducerError> {
        if batch.producer_epoch >= self.epoch {
            return Ok(());
        }
        Err(ProducerError::InvalidProducerEpoch {
            producer_id: batch.producer_id,
            current: self.epoch,
            got: batch.producer_epoch,
        })
    }

    /// A new epoch begins at 0, the same one goes on where it was.
    pub(super) fn check_sequence(&self, batch: &BatchHeader) -> Result<(), ProducerError> {
        let got = batch.base_sequence;
        let expected = match self.last_sequence() {
            _ if batch.producer_epoch != self.epoch => 0,
            i32::MAX => 0,
            last => last.saturating_add(1),
        };
        if self.epoch == NO_PRODUCER_EPOCH || got == expected {
            return Ok(());
        }
        Err(ProducerError::OutOfOrderSequence { producer_id: batch.producer_id, expected, got })
    }

    /// Batches of an older epoch say nothing about the new one.
    pub(super) fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.kept = 0;
        }
    }

    pub(super) fn add(&mut self, epoch: i16, batch: BatchMetadata) {
        self.set_epoch(epoch);
        if self.kept == BATCHES_TO_RETAIN {
            self.recent.rotate_left(1);
            self.kept = BATCHES_TO_RETAIN.saturating_sub(1);
        }
        if let Some(slot) = self.recent.get_mut(self.kept) {
            *slot = batch;
            self.kept = self.kept.saturating_add(1);
        }
        self.last_timestamp = batch.timestamp;
    }

    /// A producer as a snapshot tells it: with its newest batch alone.
    pub(super) fn from_snapshot(
        epoch: i16,
        coordinator_epoch: i32,
        current_txn_first_offset: Option<i64>,
        last: BatchMetadata,
    ) -> ProducerEntry {
        let mut entry =
            ProducerEntry { epoch, coordinator_epoch, current_txn_first_offset, ..Default::default() };
        if last.last_offset >= 0 {
            entry.add(epoch, last);
        }
        entry.last_timestamp = last.timestamp;
        entry
    }
}
