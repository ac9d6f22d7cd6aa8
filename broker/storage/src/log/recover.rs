//! Finding where a segment's whole batches end, and cutting what is behind.

use milena_records::BatchHeader;

use crate::{
    epochs::LeaderEpochs,
    error::StorageError,
    fs::{self, failed, not_synced},
    index::{IndexTable, OffsetEntry, SegmentIndex, TimeEntry},
    segment::{IndexBuilder, ScanEnd, Segment, clear_index_files},
};

/// After a crash on the same boot, so many bytes at the end of a segment are verified at least.
const SUSPECT_TAIL: u64 = 4 << 20;

/// How much of a segment is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Headers from the last index entry on: the log was closed in order.
    Headers,
    /// Checksums of the tail: the process died, the operating system did not.
    Tail,
    /// Checksums of the whole segment; its indexes are built anew.
    Whole,
}

/// What was found in a segment.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The offset after the last whole batch.
    pub(super) next_offset: i64,
    /// Bytes whose checksums were verified.
    pub(super) verified_bytes: u64,
    /// Bytes cut from the end, and why.
    pub(super) cut: Option<(u64, String)>,
}

/// The newest leader epoch of which both a batch and the checkpoint tell. Epochs never go back in a log, Kafka's own and
/// compacted ones included, and no checksum covers a batch's: one below this is damage. An epoch that one of the two
/// alone knows proves nothing: a checkpoint may be older than the log, a batch's may be what is damaged.
#[derive(Clone, Debug)]
pub(super) struct Confirmed<'a> {
    /// The leader epochs as the checkpoint tells them.
    stored: &'a LeaderEpochs,
    newest: i32,
}

impl Confirmed<'_> {
    pub(super) fn new(stored: &LeaderEpochs) -> Confirmed<'_> {
        Confirmed { stored, newest: -1 }
    }

    /// What is wrong with the epoch of the next batch.
    fn refusal(&mut self, header: &BatchHeader) -> Option<String> {
        let epoch = header.partition_leader_epoch;
        if (0..self.newest).contains(&epoch) {
            return Some(format!("leader epoch {epoch} behind {}", self.newest));
        }
        if epoch > self.newest && self.stored.epoch_at(header.base_offset) == Some(epoch) {
            self.newest = epoch;
        }
        None
    }
}

/// Looks at a segment, cuts what is not a whole batch, and brings its indexes up to its end.
pub(super) fn recover_segment(
    segment: &Segment,
    depth: Depth,
    interval: u32,
    confirmed: &mut Confirmed<'_>,
    epochs: &mut LeaderEpochs,
) -> Result<Found, StorageError> {
    if segment.size() == 0 {
        if depth != Depth::Headers {
            // A power cut may have taken back that they were emptied with the segment.
            clear_index_files(segment)?;
        }
        segment.set_index(SegmentIndex::new());
        return Ok(Found { next_offset: segment.base_offset, ..Found::default() });
    }
    if depth == Depth::Whole {
        // Memory may have what a failed sync kept from the disk.
        fs::drop_cache(&*segment.file()?).map_err(failed("read anew", &segment.path()))?;
    }
    let (start, index) = match depth {
        Depth::Whole => (0, None),
        Depth::Tail => trusted(segment, segment.size().saturating_sub(SUSPECT_TAIL))?,
        Depth::Headers => complete(segment)?,
    };
    let mut pass = Pass { segment, depth, start, interval };
    let mut result = pass.run(index, confirmed.clone())?;
    // Nothing is cut on the word of an index alone, nor unless every checksum before the cut was right.
    let doubtful = result.good == start && start > 0 || depth == Depth::Headers;
    if result.bad.is_some() && doubtful {
        pass = Pass { depth: Depth::Whole, start: 0, ..pass };
        result = pass.run(None, confirmed.clone())?;
    }
    confirmed.newest = result.confirmed;
    pass.settle(result, confirmed.stored, epochs)
}

/// The last indexed position, and the indexes as they are. None: begin anew.
fn complete(segment: &Segment) -> Result<(u64, Option<SegmentIndex>), StorageError> {
    if !segment.has_index_files() {
        return Ok((0, None));
    }
    let index = SegmentIndex::load(segment.dir(), segment.base_offset, segment.size())?;
    let start = index.as_ref().and_then(|index| index.offsets.last()).map_or(0, |entry| entry.position);
    Ok((u64::from(start), index))
}

/// The last indexed position up to `limit`, and the indexes cut back to it. None: begin anew.
fn trusted(segment: &Segment, limit: u64) -> Result<(u64, Option<SegmentIndex>), StorageError> {
    let (dir, base) = (segment.dir(), segment.base_offset);
    let Some(mut index) = SegmentIndex::load(dir, base, segment.size())? else { return Ok((0, None)) };
    let Some(entry) = index.offsets.last_where(dir, base, |entry| u64::from(entry.position) <= limit)? else {
        return Ok((0, None));
    };
    let after = entry.relative.saturating_add(1);
    index.truncate(dir, base, after, entry.position.saturating_add(1))?;
    Ok((u64::from(entry.position), Some(index)))
}

/// One way over a segment.
struct Pass<'a> {
    segment: &'a Segment,
    depth: Depth,
    start: u64,
    interval: u32,
}

/// The first batch of a leader epoch.
struct Beginning {
    epoch: i32,
    offset: i64,
    /// Where the batch before it ends. What was between them, compaction has taken.
    after: i64,
}

/// What a pass has found. Nothing is changed yet.
struct PassResult {
    index: SegmentIndex,
    /// The index owes nothing to its files.
    anew: bool,
    /// Leader epochs as they begin here.
    epochs: Vec<Beginning>,
    /// The newest that the checkpoint knows, too.
    confirmed: i32,
    next_offset: i64,
    /// Up to here all is well.
    good: u64,
    /// Why no further.
    bad: Option<String>,
}

impl Pass<'_> {
    fn run(
        &self,
        index: Option<SegmentIndex>,
        mut confirmed: Confirmed<'_>,
    ) -> Result<PassResult, StorageError> {
        let base = self.segment.base_offset;
        let anew = index.is_none();
        let mut builder = IndexBuilder::new(base, self.interval, index.unwrap_or_else(SegmentIndex::new));
        let mut scan = self.segment.scan(self.start, self.segment.size())?;
        let mut epochs: Vec<Beginning> = Vec::new();
        let (mut next_offset, mut good, mut bad) = (base, self.start, None);
        loop {
            let next = if self.depth == Depth::Headers {
                scan.next_header()?
            } else {
                scan.next_verified()?.map(|(scanned, _)| scanned)
            };
            let Some(batch) = next else { break };
            bad = confirmed.refusal(&batch.header);
            if bad.is_some() {
                break;
            }
            if !builder.add(&batch) {
                bad = Some(format!("offset {} is too far from the first", batch.header.last_offset()));
                break;
            }
            let epoch = batch.header.partition_leader_epoch;
            if epochs.last().is_none_or(|last| last.epoch != epoch) {
                let unknown = epochs.is_empty() && self.start > 0;
                let after = if unknown { batch.header.base_offset } else { next_offset };
                epochs.push(Beginning { epoch, offset: batch.header.base_offset, after });
            }
            good = batch.end();
            next_offset = batch.header.next_offset();
        }
        if let ScanEnd::Corrupt(why) = scan.end() {
            bad = bad.or(Some(why));
        }
        let (index, confirmed) = (builder.into_index(), confirmed.newest);
        Ok(PassResult { index, anew, epochs, confirmed, next_offset, good, bad })
    }

    /// Makes the files say what the pass has found.
    fn settle(
        &self,
        result: PassResult,
        stored: &LeaderEpochs,
        epochs: &mut LeaderEpochs,
    ) -> Result<Found, StorageError> {
        let segment = self.segment;
        // The checkpoint may tell of epochs whose records a crash took. The batches know.
        let mut told = epochs.clone();
        told.truncate_from_end(result.epochs.first().map_or(segment.base_offset, |first| first.offset));
        for Beginning { epoch, offset, after } in &result.epochs {
            // Which epoch wrote what is compacted, only the checkpoint knows.
            let between = stored
                .entries()
                .iter()
                .filter(|entry| (*after..*offset).contains(&entry.start_offset) && entry.epoch <= *epoch);
            between.for_each(|entry| told.assign(entry.epoch, entry.start_offset));
            told.assign(*epoch, *offset);
        }
        if told.entries() != epochs.entries() {
            *epochs = told;
        }
        let cut_bytes = segment.size().saturating_sub(result.good);
        if result.bad.is_some() {
            cut(segment, result.good)?;
        }
        self.settle_index(result.index, result.anew)?;
        let verified_bytes = match self.depth {
            Depth::Headers => 0,
            Depth::Tail | Depth::Whole => {
                segment.set_verified(self.start, result.good);
                result.good.saturating_sub(self.start)
            }
        };
        let cut = result.bad.map(|reason| (cut_bytes, reason));
        Ok(Found { next_offset: result.next_offset, verified_bytes, cut })
    }

    fn settle_index(&self, mut index: SegmentIndex, anew: bool) -> Result<(), StorageError> {
        let (dir, base) = (self.segment.dir(), self.segment.base_offset);
        if anew {
            clear_index_files(self.segment)?;
        }
        if self.depth == Depth::Whole {
            index.add_time_entry();
            index.flush(dir, base)?;
            IndexTable::<OffsetEntry>::ensure_file(dir, base)?;
            IndexTable::<TimeEntry>::ensure_file(dir, base)?;
        }
        self.segment.set_index(index);
        Ok(())
    }
}

/// Cuts the file, durably: what is appended next must not be followed by old bytes after a power cut.
fn cut(segment: &Segment, size: u64) -> Result<(), StorageError> {
    let file = segment.file()?;
    let path = segment.path();
    fs::set_len(&file, size).map_err(failed("truncate", &path))?;
    fs::sync_all(&file).map_err(not_synced("sync", &path))?;
    segment.set_size(size);
    Ok(())
}
