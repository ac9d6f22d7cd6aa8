//! Batches and a model of a log for the tests of this folder.
#![allow(dead_code, missing_docs)]

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use milena_records::{Batch, BatchBuilder, BatchHeader, Compression};
use milena_storage::{AppendInfo, Log, LogConfig, LogStart, OpenMode, Origin, RecoveryReport, StorageError};

pub const NOW: i64 = 1_700_000_000_000;

/// A batch of records with these values, one millisecond apart.
pub fn batch(timestamp: i64, values: &[&[u8]]) -> Bytes {
    built(BatchBuilder::new(0), timestamp, values)
}

pub fn compressed(codec: Compression, timestamp: i64, values: &[&[u8]]) -> Bytes {
    built(BatchBuilder::new(0).compression(codec), timestamp, values)
}

pub fn idempotent(id: i64, epoch: i16, sequence: i32, timestamp: i64, values: &[&[u8]]) -> Bytes {
    built(BatchBuilder::new(0).producer(id, epoch, sequence), timestamp, values)
}

/// A batch of a transaction of a producer in epoch 0.
pub fn in_transaction(id: i64, sequence: i32, values: &[&[u8]]) -> Bytes {
    built(BatchBuilder::new(0).producer(id, 0, sequence).transactional(), NOW, values)
}

/// The marker that commits a producer's transaction.
pub fn commit(id: i64) -> Bytes {
    marker(id, 1)
}

/// The marker that aborts a producer's transaction.
pub fn abort(id: i64) -> Bytes {
    marker(id, 0)
}

fn marker(id: i64, kind: u8) -> Bytes {
    let mut marker = BatchBuilder::new(0).producer(id, 0, -1).transactional().control();
    marker.append(NOW, Some(&[0, 0, 0, kind]), Some(&[0, 0, 0, 0, 0, 3]), &[]).unwrap();
    marker.build().unwrap()
}

pub fn built(mut builder: BatchBuilder, timestamp: i64, values: &[&[u8]]) -> Bytes {
    for (value, at) in values.iter().zip(timestamp..) {
        builder.append(at, Some(b"key"), Some(value), &[]).unwrap();
    }
    builder.build().unwrap()
}

pub fn append(log: &mut Log, bytes: &[u8]) -> Result<AppendInfo, StorageError> {
    append_in(log, bytes, 0)
}

pub fn append_in(log: &mut Log, bytes: &[u8], leader_epoch: i32) -> Result<AppendInfo, StorageError> {
    log.append(&Batch::parse(bytes).unwrap(), Origin::Client, leader_epoch, NOW)
}

/// The batch as the log stores it.
pub fn placed(bytes: &[u8], base_offset: i64, partition_leader_epoch: i32) -> Vec<u8> {
    let header = BatchHeader::parse(bytes).unwrap();
    let mut stored = BatchHeader { base_offset, partition_leader_epoch, ..header }.to_bytes().to_vec();
    stored.extend_from_slice(&bytes[stored.len()..]);
    stored
}

pub fn start(mode: OpenMode, recovery_point: i64, log_start_offset: i64) -> LogStart {
    LogStart { mode, recovery_point, log_start_offset, may_have_gaps: false }
}

pub fn open(dir: &Path, config: &Arc<LogConfig>, start: LogStart) -> (Log, RecoveryReport) {
    Log::open(dir, config.clone(), start, NOW).unwrap()
}

/// All batches from `offset` on, read in pieces of at most `max_bytes`.
pub fn read_all(log: &Log, mut offset: i64, max_bytes: usize) -> Vec<u8> {
    let reader = log.reader();
    let mut all = Vec::new();
    while offset < log.log_end_offset() {
        let slice = reader.read(offset, max_bytes, i64::MAX, true).unwrap();
        let Some(last) = last_batch(&slice.bytes) else { break };
        offset = last.next_offset();
        all.extend_from_slice(&slice.bytes);
    }
    all
}

pub fn last_batch(bytes: &[u8]) -> Option<BatchHeader> {
    milena_records::Batches::new(bytes).map(|batch| batch.unwrap().header).last()
}

/// A directory in memory where there is one: these tests sync often, and nobody cuts the power.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
