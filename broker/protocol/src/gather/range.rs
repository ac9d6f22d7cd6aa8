//! Bytes that stay in a file until they are sent.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A range of a file, which holds the bytes that are meant as long as a counter does not move.
#[derive(Debug, Clone)]
pub struct FileRange {
    file: Arc<File>,
    position: u64,
    len: usize,
    changes: Arc<AtomicU64>,
    seen: u64,
}

impl FileRange {
    /// `len` bytes from `position` on. Whoever changes bytes of the file counts `changes` up before and after; `seen`
    /// is its value from before the range was looked up.
    pub fn new(file: Arc<File>, position: u64, len: usize, changes: &Arc<AtomicU64>, seen: u64) -> Self {
        Self { file, position, len, changes: changes.clone(), seen }
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the bytes begin in the file.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the file still holds what was looked up.
    pub fn is_current(&self) -> bool {
        self.changes.load(Ordering::SeqCst) == self.seen
    }

    pub(super) fn advance(&mut self, count: usize) {
        let count = count.min(self.len);
        self.position += u64::try_from(count).unwrap_or(0);
        self.len -= count;
    }
}
