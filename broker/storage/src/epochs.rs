//! Which leader epoch began at which offset: the leader epoch cache and its checkpoint file.

use std::path::Path;

use crate::{
    checkpoint,
    error::StorageError,
    fs::{self, Durability},
};

/// Name of the checkpoint file in a log's directory.
pub(crate) const FILE_NAME: &str = "leader-epoch-checkpoint";
/// Content of at most this length is written over what it begins with: a disk writes so much as one, and a process that is
/// killed leaves all or nothing of it.
const SECTOR: usize = 512;

/// The first offset that a leader epoch wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// Leader epoch.
    pub epoch: i32,
    /// Its first offset.
    pub start_offset: i64,
}

/// The answer to "where does this leader epoch end" (OffsetForLeaderEpoch, KIP-101, KIP-279).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest known epoch that is not larger than the one asked for.
    pub epoch: i32,
    /// The offset after its last record.
    pub end_offset: i64,
}

/// Leader epochs of one log. Epochs and start offsets both rise from entry to entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaderEpochs {
    entries: Vec<EpochEntry>,
    /// The file does not say so yet.
    dirty: bool,
    /// The file says so, but may not survive the machine.
    unsynced: bool,
    /// The file has the first of these entries, and no others.
    begun: bool,
}

/// What is to be written to the checkpoint file.
#[derive(Debug)]
pub(crate) struct Changes {
    content: Vec<u8>,
    /// It says what the file says, and more.
    adds: bool,
}

impl LeaderEpochs {
    /// Reads the checkpoint, which may not survive the machine unless it is `synced`; one that is missing or unreadable counts as empty, for the log can tell it again.
    pub(crate) fn load(dir: &Path, synced: bool) -> Result<Option<LeaderEpochs>, StorageError> {
        let path = dir.join(FILE_NAME);
        let Some(bytes) = fs::read_small(&path)? else { return Ok(None) };
        let parse = |line: &str| {
            let (epoch, start) = line.split_once(' ')?;
            Some(EpochEntry { epoch: epoch.trim().parse().ok()?, start_offset: start.trim().parse().ok()? })
        };
        // What a power cut left may have the length of the newest content and the bytes of the one before.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
        let text = bytes.get(..end).unwrap_or_default();
        let lines = match text.last() {
            None | Some(b'\n') => checkpoint::parse(text, parse),
            Some(_) => Err("the last line is not whole".to_owned()),
        };
        match lines {
            Ok(lines) => {
                let mut epochs = LeaderEpochs::default();
                lines.into_iter().for_each(|entry| epochs.assign(entry.epoch, entry.start_offset));
                epochs.begun = bytes == content(&epochs);
                (epochs.dirty, epochs.unsynced) = (false, !synced);
                Ok(Some(epochs))
            }
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "leader epoch checkpoint is unreadable; rebuilding it");
                Ok(None)
            }
        }
    }

    /// Notes that `epoch` writes from `start_offset` on. Entries that contradict it are dropped.
    pub(crate) fn assign(&mut self, epoch: i32, start_offset: i64) {
        if epoch < 0 {
            return;
        }
        let known = |last: EpochEntry| last.epoch == epoch && last.start_offset <= start_offset;
        while self
            .latest()
            .is_some_and(|last| !known(last) && (last.epoch >= epoch || last.start_offset >= start_offset))
        {
            self.entries.pop();
            (self.dirty, self.begun) = (true, false);
        }
        if self.latest().is_some_and(known) {
            return;
        }
        self.entries.push(EpochEntry { epoch, start_offset });
        self.dirty = true;
    }

    /// The newest epoch.
    pub(crate) fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// Where `epoch` ends in a log that ends at `log_end_offset`; none where nothing is known about it.
    pub(crate) fn end_offset(&self, epoch: i32, log_end_offset: i64) -> Option<EpochEnd> {
        if epoch < 0 {
            return None;
        }
        if self.latest().is_some_and(|last| last.epoch == epoch) {
            return Some(EpochEnd { epoch, end_offset: log_end_offset });
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let higher = self.entries.get(above)?;
        // Records of an epoch below all that are known are gone: the oldest start is the best answer.
        let floor = above.checked_sub(1).and_then(|i| self.entries.get(i)).map_or(epoch, |entry| entry.epoch);
        Some(EpochEnd { epoch: floor, end_offset: higher.start_offset })
    }

    /// The epoch that wrote `offset`.
    pub(crate) fn epoch_at(&self, offset: i64) -> Option<i32> {
        let above = self.entries.partition_point(|entry| entry.start_offset <= offset);
        above.checked_sub(1).and_then(|i| self.entries.get(i)).map(|entry| entry.epoch)
    }

    /// Forgets epochs that began at or after `end_offset`.
    pub(crate) fn truncate_from_end(&mut self, end_offset: i64) {
        let keep = self.entries.partition_point(|entry| entry.start_offset < end_offset);
        if keep < self.entries.len() {
            (self.dirty, self.begun) = (true, false);
        }
        self.entries.truncate(keep);
    }

    /// Forgets epochs that ended before `start_offset`; the one that covers it begins there now. The file keeps them
    /// until it is written for another reason: a crash may take a deletion back.
    pub(crate) fn truncate_from_start(&mut self, start_offset: i64) {
        let covered = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(first) = covered.checked_sub(1) else { return };
        self.begun &= first == 0;
        if let Some(entry) = self.entries.get_mut(first).filter(|entry| entry.start_offset < start_offset) {
            entry.start_offset = start_offset;
            self.begun = false;
        }
        self.entries.drain(..first);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.dirty |= !self.entries.is_empty();
        self.begun = false;
        self.entries.clear();
    }

    /// All entries, oldest first.
    pub(crate) fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The checkpoint file's new content, if it has changed since it was last taken.
    pub(crate) fn take_changes(&mut self) -> Option<Changes> {
        self.unsynced |= self.dirty;
        let dirty = std::mem::take(&mut self.dirty);
        dirty.then(|| Changes { content: content(self), adds: std::mem::replace(&mut self.begun, true) })
    }

    /// The checkpoint file's content, if it is not known to be on disk.
    pub(crate) fn take_unsynced(&mut self) -> Option<Vec<u8>> {
        let pending = self.dirty || self.unsynced;
        (self.dirty, self.unsynced) = (false, false);
        pending.then(|| content(self))
    }

    /// Whether the file is to be written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The file has to be written (again).
    pub(crate) fn mark_dirty(&mut self) {
        (self.dirty, self.begun) = (true, false);
    }
}

/// The checkpoint file's content.
pub(crate) fn content(epochs: &LeaderEpochs) -> Vec<u8> {
    checkpoint::format(epochs.entries.iter().map(|entry| format!("{} {}", entry.epoch, entry.start_offset)))
}

/// Writes what has changed. Where the machine's death does not count and a line is added, as thousands of logs do when a
/// broker begins to lead them, the file is written over: to put another one in its place makes the file system write
/// that to the disk at once. What a power cut leaves of it is the old content, the new one, or none that can be read.
pub(crate) fn store_changes(
    dir: &Path,
    changes: &Changes,
    durability: Durability,
) -> Result<(), StorageError> {
    let over = changes.adds && durability == Durability::Process && changes.content.len() <= SECTOR;
    if over && fs::write_over(&dir.join(FILE_NAME), &changes.content)? {
        return Ok(());
    }
    store(dir, &changes.content, durability)
}

/// Writes the checkpoint file.
pub(crate) fn store(dir: &Path, content: &[u8], durability: Durability) -> Result<(), StorageError> {
    fs::write_atomic(&dir.join(FILE_NAME), content, durability)
}

#[cfg(test)]
mod tests;
