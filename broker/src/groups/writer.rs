//! From writes to batches in the log.

use std::collections::VecDeque;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use milena_groups::Write;
use milena_records::{BatchBuilder, RecordsError};

use crate::partitions::{Partition, PartitionError, Produced};

/// Writes that wait are appended together, up to about so many bytes.
const MAX_BATCH_BYTES: usize = 256 * 1024;

/// Takes the writes that go into the next batch; none if none wait.
pub fn take(outbox: &mut VecDeque<Write>) -> Option<Vec<Write>> {
    let mut taken = vec![outbox.pop_front()?];
    let mut bytes = size(taken.first()?);
    while let Some(next) = outbox.front() {
        bytes = bytes.saturating_add(size(next));
        if bytes > MAX_BATCH_BYTES {
            break;
        }
        taken.extend(outbox.pop_front());
    }
    Some(taken)
}

fn size(write: &Write) -> usize {
    let bytes = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
    write.records.iter().map(|record| record.key.len() + bytes(&record.value)).sum()
}

/// Appends writes as one batch.
///
/// # Errors
/// As [`Partition::append_own`]; NOT_LEADER_OR_FOLLOWER, too, if another leader epoch has begun.
pub fn append(
    partition: &Partition,
    leader_epoch: i32,
    writes: &[Write],
) -> Result<Produced, PartitionError> {
    if partition.state().leader_epoch != leader_epoch {
        let message = "another leader epoch has begun";
        return Err(PartitionError::new(partition.index, ResponseError::NotLeaderOrFollower, message));
    }
    let batch = build(writes).map_err(|error| PartitionError::records(partition.index, &error))?;
    partition.append_own(&batch)
}

fn build(writes: &[Write]) -> Result<Bytes, RecordsError> {
    let mut builder = BatchBuilder::new(0);
    for write in writes {
        for record in &write.records {
            builder.append(write.timestamp_ms, Some(&record.key), record.value.as_deref(), &[])?;
        }
    }
    builder.build()
}
