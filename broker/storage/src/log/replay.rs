//! Knowing the producers again: the newest snapshot, and the batches behind it.

use std::{path::Path, sync::Arc};

use milena_records::Batch;

use super::snapshots::{self, Snapshots};
use crate::{
    config::LogConfig,
    error::StorageError,
    fs,
    producer::{EndTxnMarker, ProducerState},
    segment::Segment,
};

/// The offsets between which a log's producers are to be known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) log_start: i64,
    pub(super) log_end: i64,
}

/// The producers at `range.log_end`. Snapshots above it, and unreadable ones, are removed.
pub(super) fn load_producers(
    dir: &Path,
    segments: &[Arc<Segment>],
    snapshots: &mut Snapshots,
    range: Range,
    config: &LogConfig,
    now_ms: i64,
) -> Result<ProducerState, StorageError> {
    // From one that is older than the log's first segment nothing leads on: what lay between is deleted.
    let first = segments.first().map_or(0, |segment| segment.base_offset);
    snapshots.remove_where(dir, |offset| offset > range.log_end || offset < first)?;
    let mut state = ProducerState::default();
    let mut from = range.log_start;
    while let Some(offset) = snapshots.latest() {
        let loaded = fs::read_small(&snapshots::path(dir, offset))?
            .and_then(|bytes| ProducerState::from_snapshot(&bytes, now_ms, config.producer_id_expiration_ms));
        if let Some(loaded) = loaded {
            (state, from) = (loaded, offset);
            break;
        }
        tracing::warn!(log = %dir.display(), offset, "producer snapshot is corrupt; using an older one");
        snapshots.remove_where(dir, |at| at == offset)?;
    }
    if from < range.log_end {
        replay(segments, &mut state, snapshots, from)?;
        state.expire(now_ms, config.producer_id_expiration_ms);
    }
    Ok(state)
}

/// Takes note of all batches from offset `from` on.
fn replay(
    segments: &[Arc<Segment>],
    state: &mut ProducerState,
    snapshots: &mut Snapshots,
    from: i64,
) -> Result<(), StorageError> {
    let first = segments.partition_point(|segment| segment.base_offset <= from).saturating_sub(1);
    for segment in segments.get(first..).unwrap_or_default() {
        let start = if segment.base_offset < from { segment.position_before(from)? } else { 0 };
        let mut scan = segment.scan(start, segment.size())?;
        while let Some(batch) = scan.next_header()? {
            if batch.header.last_offset() < from {
                continue;
            }
            snapshots.written(crate::num::to_u64(batch.header.size_in_bytes()));
            if !batch.header.has_producer_id() {
                continue;
            }
            if !batch.header.is_control() {
                state.update(&batch.header, batch.header.base_offset);
            } else if let Some(marker) = marker_of(&segment.read_batch(&batch)?) {
                // A crash may have taken its entry in the transaction index.
                let ended = state.end(&batch.header, marker);
                ended
                    .and_then(|ended| ended.aborted)
                    .map_or(Ok(()), |aborted| segment.add_aborted(aborted))?;
            }
        }
        scan.finish()?;
    }
    Ok(())
}

/// The end of a transaction that a control batch tells; none for other control records and malformed ones.
pub(crate) fn marker_of(batch: &[u8]) -> Option<EndTxnMarker> {
    /// Control records are small; nothing larger is looked at.
    const MAX_CONTROL_BYTES: usize = 64 << 10;
    let batch = Batch::parse(batch).ok()?;
    let records = batch.records(MAX_CONTROL_BYTES).ok()?;
    let record = records.iter().next()?.ok()?;
    let (_, control_type) = record.key?.split_first_chunk::<2>()?;
    let commit = match i16::from_be_bytes(*control_type.first_chunk()?) {
        0 => false,
        1 => true,
        _ => return None,
    };
    let (_, epoch) = record.value?.split_first_chunk::<2>()?;
    Some(EndTxnMarker { commit, coordinator_epoch: i32::from_be_bytes(*epoch.first_chunk()?) })
}
