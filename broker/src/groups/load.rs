//! Reading a partition of `__consumer_offsets` back.

use std::sync::Arc;

use milena_groups::{Config, Coordinator, Effects, Replay};
use milena_records::Batches;
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
            // The offsets of a transaction count from its end marker on, and there are no transactions yet.
            if batch.header.is_control() || batch.header.is_transactional() {
                continue;
            }
            let records = batch.records(MAX_DECOMPRESSED_BYTES).map_err(|error| error.to_string())?;
            for record in &records {
                let record = record.map_err(|error| error.to_string())?;
                take_over(&mut replay, record.offset, record.key, record.value);
            }
        }
        if offset <= before {
            return Err(format!("no batch at offset {offset}, below the log's end at {end}"));
        }
    }
    Ok(replay)
}

/// A record that cannot be understood is no reason to lose all others.
fn take_over(replay: &mut Replay, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
    let Some(key) = key else { return };
    if let Err(error) = replay.record(offset, key, value) {
        warn!(offset, %error, "a record of __consumer_offsets is left out");
    }
}
