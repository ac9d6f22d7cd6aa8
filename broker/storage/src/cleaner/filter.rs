//! What stays of a batch. Pure; the rules are those of Kafka's `Cleaner` and `MemoryRecords.filterTo`.

use std::collections::HashMap;

use milena_records::{Batch, BatchBuilder, BatchHeader, Header, Record, RecordsError};

use super::{
    offset_map::{Full, OffsetMap},
    transactions::{Aborted, Met},
};
use crate::{log::marker_of, producer::LastRecord};

/// A batch that decompresses to more stays as it is.
const MAX_DECOMPRESSED: usize = 256 << 20;

/// What stays of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// All of it, as it is.
    All,
    /// This in its place.
    Some(Vec<u8>),
    /// Nothing.
    None,
}

/// Notes the keys of a batch from offset `from` on.
pub(super) fn note_keys(
    bytes: &[u8],
    from: i64,
    aborted: Option<&Aborted>,
    map: &mut OffsetMap,
) -> Result<(), Full> {
    let Ok(batch) = Batch::parse(bytes) else { return Ok(()) };
    if batch.header.is_control() || aborted.is_some_and(|aborted| aborted.contains(&batch.header)) {
        return Ok(());
    }
    // Records that cannot be read stay, and supersede nothing.
    let Ok(records) = batch.records(MAX_DECOMPRESSED) else { return Ok(()) };
    let readable = records.iter().map_while(Result::ok).filter(|record| record.offset >= from);
    for record in readable {
        if let Some(key) = record.key {
            map.put(key, record.offset)?;
        }
    }
    Ok(())
}

/// The rule by which records stay, and where the pass over the log has come to.
pub(super) struct Filter<'a> {
    pub(super) map: &'a OffsetMap,
    /// The keys of records from here on are not in the map: they stay.
    pub(super) end: i64,
    /// Where the new segment ends, and the next one begins.
    pub(super) upper_bound: i64,
    pub(super) now_ms: i64,
    pub(super) delete_retention_ms: i64,
    /// None until the log has shown a transaction.
    pub(super) aborted: Option<Aborted>,
    /// What each producer wrote last: it stays known.
    pub(super) last_records: &'a HashMap<i64, LastRecord>,
    /// The last offset of the newest batch in what is cleaned, by which a producer is known where later ones go.
    pub(super) settled: &'a HashMap<i64, i64>,
    pub(super) met: Met,
    /// Offsets of markers that ended transactions whose data the pass has met.
    pub(super) ends: Vec<i64>,
    /// Which records of the batch stay; kept for its memory.
    pub(super) stay: Vec<bool>,
}

impl Filter<'_> {
    /// What stays of a batch whose checksum is right. Batches come in the order of the log.
    pub(super) fn batch(&mut self, bytes: &[u8]) -> Result<Kept, RecordsError> {
        let batch = Batch::parse(bytes)?;
        if batch.header.is_control() { self.control(&batch) } else { self.data(&batch) }
    }

    /// A marker is needed until the data of its transaction is gone, and then, like a tombstone, until readers had
    /// `delete.retention.ms` to see it.
    fn control(&mut self, batch: &Batch<'_>) -> Result<Kept, RecordsError> {
        let header = &batch.header;
        let is_marker = marker_of(batch.bytes).is_some();
        let was_emptied = header.record_count == 0;
        let is_needed = is_marker && self.met.marker(header);
        if is_needed {
            self.ends.push(header.base_offset);
        }
        if was_emptied || (is_marker && !is_needed) {
            if was_emptied || self.horizon_has_passed(header) {
                return Ok(self.nothing_left(header));
            }
            if header.delete_horizon().is_none() {
                return self.with_horizon(batch);
            }
        }
        Ok(Kept::All)
    }

    fn data(&mut self, batch: &Batch<'_>) -> Result<Kept, RecordsError> {
        let header = &batch.header;
        self.met.data(header);
        if self.aborted.as_ref().is_some_and(|aborted| aborted.contains(header)) {
            return Ok(self.nothing_left(header));
        }
        let Ok(records) = batch.records(MAX_DECOMPRESSED) else { return Ok(Kept::All) };
        let horizon_has_passed = self.horizon_has_passed(header);
        self.stay.clear();
        let mut tombstones = false;
        for record in records.iter() {
            let Ok(record) = record else { return Ok(Kept::All) };
            let stays = self.stays(&record, horizon_has_passed);
            tombstones |= stays && record.value.is_none();
            self.stay.push(stays);
        }
        let left = self.stay.iter().filter(|stays| **stays).count();
        let begins_horizon =
            tombstones && header.delete_horizon().is_none() && header.last_offset() < self.end;
        if left == 0 {
            return Ok(self.nothing_left(header));
        }
        if left == self.stay.len() && !begins_horizon {
            return Ok(Kept::All);
        }
        let mut builder = BatchBuilder::rest_of(header)?;
        if begins_horizon {
            builder = builder.delete_horizon(self.new_horizon());
        }
        for (record, stays) in records.iter().zip(&self.stay) {
            if *stays {
                append(&mut builder, &record?)?;
            }
        }
        Ok(Kept::Some(builder.build()?.into()))
    }

    fn stays(&self, record: &Record<'_>, horizon_has_passed: bool) -> bool {
        if record.offset >= self.end {
            return true;
        }
        // A compacted topic takes no record without a key; one from before it was compacted has no place in it.
        let Some(key) = record.key else { return false };
        if self.map.get(key).is_some_and(|newest| newest > record.offset) {
            return false;
        }
        record.value.is_some() || !horizon_has_passed
    }

    fn horizon_has_passed(&self, header: &BatchHeader) -> bool {
        header.delete_horizon().is_some_and(|horizon| horizon <= self.now_ms)
    }

    fn new_horizon(&self) -> i64 {
        self.now_ms.saturating_add(self.delete_retention_ms)
    }

    /// The same control record in a batch that may go some day.
    fn with_horizon(&self, batch: &Batch<'_>) -> Result<Kept, RecordsError> {
        let mut builder = BatchBuilder::rest_of(&batch.header)?.delete_horizon(self.new_horizon());
        for record in &batch.records(MAX_DECOMPRESSED)? {
            append(&mut builder, &record?)?;
        }
        Ok(Kept::Some(builder.build()?.into()))
    }

    /// A batch without records stays as a header where it tells the producer's last sequence or epoch, or where its
    /// segment ends: readers then get past the gap, and recovery sees that nothing is missing.
    fn nothing_left(&self, header: &BatchHeader) -> Kept {
        let tells_producer = header.has_producer_id()
            && self.last_records.get(&header.producer_id).is_some_and(|last| match last.last_data_offset {
                Some(offset) => header.last_offset() == offset,
                None => header.is_control() && header.producer_epoch == last.epoch,
            });
        let tells_producer =
            tells_producer || self.settled.get(&header.producer_id) == Some(&header.last_offset());
        if !tells_producer && header.next_offset() != self.upper_bound {
            return Kept::None;
        }
        if header.record_count == 0 {
            return Kept::All;
        }
        Kept::Some(header.emptied().to_bytes().to_vec())
    }
}

fn append(builder: &mut BatchBuilder, record: &Record<'_>) -> Result<(), RecordsError> {
    let headers: Vec<Header<'_>> = record.headers.collect();
    builder.append_at(record.offset, record.timestamp, record.key, record.value, &headers)
}
