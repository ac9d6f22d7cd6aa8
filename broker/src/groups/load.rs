//! Reading a partition of `__consumer_offsets` back.

use std::sync::Arc;

use milena_groups::{Config, Coordinator, Effects, Replay};
use milena_records::{Batch, Batches};
use milena_storage::LogReader;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::{Token, clock, shard::Shard};
use crate::partitions::Waiter;

/// Bytes that are read at a time.
const READ_BYTES: usize = 1024 * 1024;
/// What a batch may decompress to. What this broker writes is not compressed.
const MAX_DECOMPRESSED_BYTES: usize = 64 * 1024 * 1024;

/// Reads all groups of a shard's partition; nothing if this broker stops leading it meanwhile.
///
/// # Errors
/// Why the log cannot be read.
pub async fn load(
    shard: &Shard,
    config: Arc<Config>,
) -> Result<Option<(Coordinator<Token>, Effects<Token>)>, String> {
    let reader = shard.partition.reader().clone();
    let end = reader.log_end_offset();
    let replay = spawn_blocking(move || read(&reader, end)).await.map_err(|error| error.to_string())??;
    if !committed(shard, end).await {
        return Ok(None);
    }
    let mut effects = Effects::default();
    let coordinator = replay.finish(config, clock::now_ms(), &mut effects);
    Ok(Some((coordinator, effects)))
}

/// What is above the high watermark may be lost with this leader: nobody is told of it before it is committed.
/// False if another leader epoch begins first.
async fn committed(shard: &Shard, end: i64) -> bool {
    loop {
        let waiter = Arc::new(Waiter::default());
        // Asked for before looking: an advance in between is not missed.
        shard.partition.wake_on_advance(&waiter);
        if !shard.is_current() {
            return false;
        }
        if shard.partition.high_watermark() >= end {
            return true;
        }
        waiter.woken().await;
    }
}

fn read(reader: &LogReader, end: i64) -> Result<Replay, String> {
    let mut replay = Replay::default();
    let mut offset = reader.log_start_offset();
    while offset < end {
        let slice = reader.read(offset, READ_BYTES, end, true).map_err(|error| error.to_string())?;
        let before = offset;
        for batch in Batches::new(&slice.bytes) {
            let batch = batch.map_err(|error| error.to_string())?;
            offset = batch.header.next_offset();
            take_batch(&mut replay, &batch)?;
        }
        if offset <= before {
            return Err(format!("no batch at offset {offset}, below the log's end at {end}"));
        }
    }
    Ok(replay)
}

fn take_batch(replay: &mut Replay, batch: &Batch<'_>) -> Result<(), String> {
    let header = &batch.header;
    let records = batch.records(MAX_DECOMPRESSED_BYTES).map_err(|error| error.to_string())?;
    for record in &records {
        let record = record.map_err(|error| error.to_string())?;
        let Some(key) = record.key else { continue };
        if header.is_control() {
            if let Some(is_committed) = is_commit(key) {
                replay.end_transaction(header.producer_id, is_committed);
            }
            continue;
        }
        let taken = match header.is_transactional() {
            true => replay.record_in_transaction(header.producer_id, record.offset, key, record.value),
            false => replay.record(record.offset, key, record.value),
        };
        // A record that cannot be understood is no reason to lose all others.
        if let Err(error) = taken {
            warn!(offset = record.offset, %error, "a record of __consumer_offsets is left out");
        }
    }
    Ok(())
}

/// Whether the key of a control record is that of a commit, or of an abort; none for other control records.
fn is_commit(key: &[u8]) -> Option<bool> {
    let (_version, kind) = key.split_first_chunk::<2>()?;
    match i16::from_be_bytes(*kind.first_chunk()?) {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use milena_groups::log::{OffsetKey, OffsetValue, Record};
    use milena_records::BatchBuilder;

    use super::*;

    fn commit_of(offset: i64) -> Record {
        let key = OffsetKey { group_id: "g".into(), topic: "sample".into(), partition: 0 };
        let value = OffsetValue {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
            commit_timestamp_ms: 0,
            expire_timestamp_ms: None,
            topic_id: None,
        };
        Record::Offset { key, value: Some(value) }
    }

    /// What is committed after a commit of 5 at offset 0, and these within a transaction at offset 1.
    fn committed(marker: Option<u8>, later: Option<i64>) -> i64 {
        let mut replay = Replay::default();
        let mut take = |builder: BatchBuilder, key: &[u8], value: Option<&[u8]>| {
            let mut builder = builder;
            builder.append(0, Some(key), value, &[]).unwrap();
            let bytes = builder.build().unwrap();
            take_batch(&mut replay, &Batch::parse(&bytes).unwrap()).unwrap();
        };
        let first = commit_of(5).encode().unwrap();
        take(BatchBuilder::new(0), &first.key, first.value.as_deref());
        let second = commit_of(9).encode().unwrap();
        let in_transaction = |offset| BatchBuilder::new(offset).producer(7, 0, 0).transactional();
        take(in_transaction(1), &second.key, second.value.as_deref());
        if let Some(later) = later {
            let later = commit_of(later).encode().unwrap();
            take(BatchBuilder::new(2), &later.key, later.value.as_deref());
        }
        if let Some(marker) = marker {
            take(in_transaction(3).control(), &[0, 0, 0, marker], Some(&[0; 6]));
        }
        let mut effects = Effects::<Token>::default();
        let coordinator = replay.finish(Arc::new(Config::default()), 0, &mut effects);
        coordinator.fetch_all("g", false)[0].partitions[0].offset
    }

    #[test]
    fn offsets_of_a_transaction_count_once_it_is_committed() {
        assert_eq!(committed(None, None), 5);
        assert_eq!(committed(Some(0), None), 5);
        assert_eq!(committed(Some(1), None), 9);
        assert_eq!(committed(Some(1), Some(7)), 7, "the newest record counts");
    }
}
