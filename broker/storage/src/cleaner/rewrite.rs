//! Which records of a batch stay.

use std::collections::HashSet;

use milena_records::{
    Batch, BatchBuilder, BatchHeader, HEADER_LEN, Header, Record, RecordsError, TimestampType,
};

use super::offset_map::OffsetMap;

/// A batch that decompresses to more stays as it is.
const MAX_DECOMPRESSED: usize = 256 << 20;

/// What stays of a batch.
pub(super) enum Kept {
    All,
    Some(Vec<u8>),
    None,
}

/// Notes the keys of a batch; false where the map has no room for all of them.
pub(super) fn note_keys(bytes: &[u8], map: &mut OffsetMap) -> bool {
    let Ok(batch) = Batch::parse(bytes) else { return true };
    if is_opaque(&batch.header) {
        return true;
    }
    // Records that cannot be read stay, and supersede nothing.
    let Ok(records) = batch.records(MAX_DECOMPRESSED) else { return true };
    records
        .iter()
        .map_while(Result::ok)
        .all(|record| record.key.is_none_or(|key| map.put(key, record.offset)))
}

/// Whether the batch's records may or may not count.
fn is_opaque(header: &BatchHeader) -> bool {
    header.is_control() || header.is_transactional()
}

/// The rule by which records stay.
pub(super) struct Survivors<'a> {
    pub(super) map: &'a OffsetMap,
    /// Below it, records have been through a cleaning.
    pub(super) first_dirty: i64,
    /// Tombstones with an older timestamp go, once they have been through a cleaning: readers had
    /// `delete.retention.ms` to see them.
    pub(super) tombstones_from: i64,
    pub(super) newest_batches: &'a HashSet<i64>,
}

impl Survivors<'_> {
    /// What stays of a batch whose checksum is right.
    pub(super) fn of(&self, bytes: &[u8]) -> Result<Kept, RecordsError> {
        let batch = Batch::parse(bytes)?;
        let header = &batch.header;
        if is_opaque(header) {
            return Ok(Kept::All);
        }
        let Ok(records) = batch.records(MAX_DECOMPRESSED) else { return Ok(Kept::All) };
        let Ok(all) = records.iter().collect::<Result<Vec<Record<'_>>, _>>() else { return Ok(Kept::All) };
        let stay: Vec<&Record<'_>> = all.iter().filter(|record| self.stays(record)).collect();
        if stay.len() == all.len() {
            return Ok(Kept::All);
        }
        if stay.is_empty() {
            let known_by = header.has_producer_id() && self.newest_batches.contains(&header.last_offset());
            return Ok(if known_by { Kept::All } else { Kept::None });
        }
        rebuild(header, &stay).map(Kept::Some)
    }

    fn stays(&self, record: &Record<'_>) -> bool {
        // A compacted topic takes no record without a key; one from before it was compacted has no place in it.
        let Some(key) = record.key else { return false };
        if self.map.get(key).is_some_and(|newest| newest > record.offset) {
            return false;
        }
        let old_tombstone = record.value.is_none()
            && record.offset < self.first_dirty
            && record.timestamp < self.tombstones_from;
        !old_tombstone
    }
}

/// The batch with these records alone. Its offsets, sequences and leader epoch stay those of the whole.
fn rebuild(header: &BatchHeader, records: &[&Record<'_>]) -> Result<Vec<u8>, RecordsError> {
    let mut builder = BatchBuilder::new(header.base_offset)
        .compression(header.compression()?)
        .producer(header.producer_id, header.producer_epoch, header.base_sequence)
        .leader_epoch(header.partition_leader_epoch);
    if header.timestamp_type() == TimestampType::LogAppendTime {
        builder = builder.log_append_time(header.max_timestamp);
    }
    for record in records {
        let headers: Vec<Header<'_>> = record.headers.collect();
        builder.append_at(record.offset, record.timestamp, record.key, record.value, &headers)?;
    }
    let built = builder.build()?;
    let encoded = built.get(HEADER_LEN..).unwrap_or_default();
    let last_offset_delta = header.last_offset_delta;
    let header = BatchHeader { last_offset_delta, ..BatchHeader::parse(&built)? }.with_crc_of(encoded);
    Ok([&header.to_bytes(), encoded].concat())
}
