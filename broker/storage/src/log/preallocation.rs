//! Disk space taken ahead of the log's end. Writes into space that is allocated cost the file system less, and the
//! file is less scattered.

use std::fs::File;

use crate::fs;

/// So much is taken at a time.
const CHUNK: u64 = 1 << 20;

/// What the active segment has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Preallocation {
    /// Space is there up to this position. The file ends where its last batch does.
    up_to: u64,
}

impl Preallocation {
    /// Of a segment that has just become the active one. Its first chunk is not taken ahead, so that a log with
    /// little in it takes little.
    pub(super) fn new(size: u64) -> Preallocation {
        Preallocation { up_to: size.max(CHUNK) }
    }

    /// Has space for `len` bytes at `position`, if the file system can do that and there is some. The answer is how
    /// many bytes were taken. `at_least`: all of the segment's space is taken at once (`preallocate`).
    pub(super) fn reserve(&mut self, file: &File, position: u64, len: u64, at_least: u64) -> u64 {
        let end = position.saturating_add(len).max(at_least);
        if end <= self.up_to || self.up_to < CHUNK {
            return 0;
        }
        let missing = end.saturating_sub(self.up_to).next_multiple_of(CHUNK);
        let (from, taken) = match at_least {
            0 => (self.up_to, missing),
            // The first chunk, too.
            _ => (position, missing.saturating_add(self.up_to.saturating_sub(position))),
        };
        if fs::allocate(file, from, taken).is_err() {
            // A write needs no space taken ahead; whether there is room for it, it finds out itself.
            self.up_to = 0;
            return 0;
        }
        self.up_to = self.up_to.saturating_add(missing);
        taken
    }

    /// Gives back what is behind the end of a file that is written no more.
    pub(super) fn release(&mut self, file: &File, size: u64) {
        if self.up_to > size && self.up_to > CHUNK {
            // What stays is lost space, not lost records.
            let _ = fs::set_len(file, size);
        }
        self.up_to = 0;
    }
}
