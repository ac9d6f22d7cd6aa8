//! Why a partition refuses a request.

use kafka_protocol::{ResponseError, error::ParseResponseErrorCode};
use milena_records::RecordsError;
use milena_storage::{ProducerError, StorageError};

/// Kafka's error for a partition, with a message for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PartitionError {
    /// Number of the partition.
    pub partition: i32,
    /// Kafka's error code.
    pub code: ResponseError,
    /// What was wrong, with the wrong value.
    pub message: String,
    /// Leader and leader epoch to go to instead, where that is why (KIP-951).
    pub leader: Option<(i32, i32)>,
}

impl PartitionError {
    /// An error with that code and message.
    pub fn new(partition: i32, code: ResponseError, message: impl Into<String>) -> PartitionError {
        PartitionError { partition, code, message: message.into(), leader: None }
    }

    /// The error that a client is given for bytes that are no proper records.
    pub fn records(partition: i32, error: &RecordsError) -> PartitionError {
        let code = error.kafka_error().code().err().unwrap_or(ResponseError::CorruptMessage);
        PartitionError::new(partition, code, error.to_string())
    }

    /// The error that a client is given for what its log says.
    pub fn storage(partition: i32, error: &StorageError) -> PartitionError {
        let code = match error {
            StorageError::Records(error) => return PartitionError::records(partition, error),
            StorageError::Producer(error) => producer_code(error),
            StorageError::OffsetOutOfRange { .. } => ResponseError::OffsetOutOfRange,
            StorageError::BatchTooLarge { .. } => ResponseError::RecordListTooLarge,
            StorageError::Corrupt { .. } => ResponseError::CorruptMessage,
            // Retriable: clients try again, and succeed where space returns or another broker leads.
            _ => ResponseError::KafkaStorageError,
        };
        PartitionError::new(partition, code, error.to_string())
    }
}

fn producer_code(error: &ProducerError) -> ResponseError {
    match error {
        ProducerError::OutOfOrderSequence { .. } => ResponseError::OutOfOrderSequenceNumber,
        ProducerError::InvalidProducerEpoch { .. } => ResponseError::InvalidProducerEpoch,
        ProducerError::InvalidTxnState { .. } => ResponseError::InvalidTxnState,
        ProducerError::CoordinatorFenced { .. } => ResponseError::TransactionCoordinatorFenced,
    }
}
