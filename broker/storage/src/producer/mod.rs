//! What each producer wrote last, so that a retried batch is known as one (KIP-98, KIP-360). Pure.

mod entry;
mod snapshot;

use std::collections::{BTreeMap, HashMap};

use milena_records::BatchHeader;

use crate::transactions::AbortedTransaction;

use entry::{BatchMetadata, ProducerEntry};

/// Kafka's `NO_PRODUCER_EPOCH`.
const NO_PRODUCER_EPOCH: i16 = -1;

/// Where a batch comes from, which decides what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A Produce request: epoch and sequence are checked.
    Client,
    /// A coordinator of this broker: its batches have an epoch at most, and no sequence.
    Coordinator,
    /// The leader, or the log itself: nothing is checked, it was before.
    Replication,
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It has not been seen: append it.
    New,
    /// It is in the log already, there.
    Duplicate {
        /// Offset of its first record.
        base_offset: i64,
        /// Offset of its last record.
        last_offset: i64,
        /// Its largest timestamp.
        timestamp: i64,
    },
}

/// A producer's batch that must not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// Kafka's OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error("out of order sequence of producer {producer_id}: expected {expected}, got {got}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The sequence that would follow.
        expected: i32,
        /// The batch's base sequence.
        got: i32,
    },
    /// Kafka's INVALID_PRODUCER_EPOCH: another instance of the producer has a newer epoch.
    #[error("epoch {got} of producer {producer_id} is smaller than the last seen epoch {current}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// The newest epoch seen.
        current: i16,
        /// The batch's epoch.
        got: i16,
    },
    /// Kafka's INVALID_TXN_STATE: a batch outside of a transaction while one is open.
    #[error(
        "producer {producer_id} wrote outside of its open transaction that began at offset {first_offset}"
    )]
    InvalidTxnState {
        /// The producer.
        producer_id: i64,
        /// First offset of the open transaction.
        first_offset: i64,
    },
    /// Kafka's TRANSACTION_COORDINATOR_FENCED: a marker of a coordinator that has been replaced.
    #[error("coordinator epoch {got} for producer {producer_id} is smaller than {current}")]
    CoordinatorFenced {
        /// The producer.
        producer_id: i64,
        /// The newest coordinator epoch seen.
        current: i32,
        /// The marker's.
        got: i32,
    },
}

/// The end of a transaction, as a control record says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Committed, or aborted.
    pub commit: bool,
    /// Epoch of the transaction coordinator that wrote it.
    pub coordinator_epoch: i32,
}

/// A transaction that a marker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndedTransaction {
    /// Offset of its first record.
    pub(crate) first_offset: i64,
    /// Offset of the marker.
    pub(crate) marker: i64,
    /// For the transaction index, where it was aborted.
    pub(crate) aborted: Option<AbortedTransaction>,
}

/// A producer as DescribeProducers shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Producer id.
    pub producer_id: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// Last sequence, -1 for none.
    pub last_sequence: i32,
    /// Largest timestamp of its last batch, ms.
    pub last_timestamp: i64,
    /// Epoch of the last transaction coordinator that wrote a marker, -1 for none.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub current_txn_first_offset: Option<i64>,
}

/// What a producer wrote last: its newest data, or else a marker of this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// Offset of its newest record.
    pub(crate) last_data_offset: Option<i64>,
    /// Its epoch.
    pub(crate) epoch: i16,
}

/// All producers of one log.
#[derive(Clone, Debug, Default)]
pub struct ProducerState {
    producers: HashMap<i64, ProducerEntry>,
    /// Open transactions: first offset to producer id.
    ongoing: BTreeMap<i64, i64>,
}

impl ProducerState {
    /// Whether `batch` is to be appended. Batches without a producer id always are.
    pub fn check(&self, batch: &BatchHeader, origin: Origin) -> Result<Check, ProducerError> {
        if batch.producer_id < 0 || origin == Origin::Replication {
            return Ok(Check::New);
        }
        let Some(entry) = self.producers.get(&batch.producer_id) else {
            // Nothing is known, perhaps because its records were deleted: any sequence may begin.
            return Ok(Check::New);
        };
        if origin == Origin::Client
            && let Some(found) = entry.find(batch)
        {
            return Ok(Check::Duplicate {
                base_offset: found.first_offset(),
                last_offset: found.last_offset,
                timestamp: found.timestamp,
            });
        }
        entry.check_epoch(batch)?;
        if origin == Origin::Client && !batch.is_control() {
            entry.check_sequence(batch)?;
        }
        match entry.current_txn_first_offset {
            Some(first_offset) if !batch.is_transactional() => {
                Err(ProducerError::InvalidTxnState { producer_id: batch.producer_id, first_offset })
            }
            _ => Ok(Check::New),
        }
    }

    /// Notes a data batch that is in the log, with its final offsets.
    pub fn update(&mut self, batch: &BatchHeader, base_offset: i64) {
        if batch.producer_id < 0 || batch.is_control() {
            return;
        }
        let entry = self.producers.entry(batch.producer_id).or_default();
        entry.add(
            batch.producer_epoch,
            BatchMetadata {
                last_sequence: batch.last_sequence(),
                last_offset: base_offset.saturating_add(i64::from(batch.last_offset_delta)),
                offset_delta: batch.last_offset_delta,
                timestamp: batch.max_timestamp,
            },
        );
        if batch.is_transactional() && entry.current_txn_first_offset.is_none() {
            entry.current_txn_first_offset = Some(base_offset);
            self.ongoing.insert(base_offset, batch.producer_id);
        }
    }

    /// Whether a marker may be appended.
    pub fn check_marker(&self, batch: &BatchHeader, marker: EndTxnMarker) -> Result<(), ProducerError> {
        let Some(entry) = self.producers.get(&batch.producer_id) else { return Ok(()) };
        entry.check_epoch(batch)?;
        if entry.coordinator_epoch > marker.coordinator_epoch {
            return Err(ProducerError::CoordinatorFenced {
                producer_id: batch.producer_id,
                current: entry.coordinator_epoch,
                got: marker.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Notes a marker that is in the log. The answer is the first offset of the transaction that it ended.
    pub fn end_txn(&mut self, batch: &BatchHeader, marker: EndTxnMarker) -> Option<i64> {
        let entry = self.producers.entry(batch.producer_id).or_default();
        entry.set_epoch(batch.producer_epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = batch.max_timestamp;
        let first_offset = entry.current_txn_first_offset.take()?;
        self.ongoing.remove(&first_offset);
        Some(first_offset)
    }

    /// As [`ProducerState::end_txn`]; the answer is all that is to be noted of the transaction that it ended.
    pub(crate) fn end(&mut self, batch: &BatchHeader, marker: EndTxnMarker) -> Option<EndedTransaction> {
        let first_offset = self.end_txn(batch, marker)?;
        let last_offset = batch.last_offset();
        let aborted = (!marker.commit).then(|| AbortedTransaction {
            producer_id: batch.producer_id,
            first_offset,
            last_offset,
            last_stable_offset: self.first_undecided_offset().unwrap_or(last_offset.saturating_add(1)),
        });
        Some(EndedTransaction { first_offset, marker: last_offset, aborted })
    }

    /// First offset of the oldest open transaction; the last stable offset is not above it.
    pub fn first_undecided_offset(&self) -> Option<i64> {
        self.ongoing.keys().next().copied()
    }

    /// Forgets producers that wrote nothing for `expiration_ms` and have no open transaction.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, entry| {
            entry.current_txn_first_offset.is_some()
                || now_ms.saturating_sub(entry.last_timestamp) < expiration_ms
        });
        if self.producers.is_empty() {
            self.producers.shrink_to_fit();
        }
    }

    /// What each producer wrote last.
    pub(crate) fn last_records(&self) -> HashMap<i64, LastRecord> {
        let last = |entry: &ProducerEntry| LastRecord {
            last_data_offset: entry.last().map(|batch| batch.last_offset),
            epoch: entry.epoch,
        };
        self.producers.iter().map(|(id, entry)| (*id, last(entry))).collect()
    }

    /// Number of producers known.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether no producer is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// The producers, in no order.
    pub fn active(&self) -> impl Iterator<Item = ActiveProducer> + '_ {
        self.producers.iter().map(|(&producer_id, entry)| ActiveProducer {
            producer_id,
            producer_epoch: entry.epoch,
            last_sequence: entry.last_sequence(),
            last_timestamp: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            current_txn_first_offset: entry.current_txn_first_offset,
        })
    }
}

#[cfg(test)]
mod tests;
