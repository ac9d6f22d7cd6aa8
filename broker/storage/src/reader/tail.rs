//! Reading at a log's end, from memory.

use super::LogReader;
use crate::{
    error::StorageError,
    tail::{TailLimits, TailSlice},
};

impl LogReader {
    /// Somebody reads at the log's end: what is appended next may stay in memory for it.
    pub fn note_tail_reader(&self) {
        self.shared.tail.note_reader();
    }

    /// Whole batches from the one that contains `offset` on, byte for byte as they are in the log, where all that
    /// there is within the limits is in memory, and little. None: [`LogReader::locate`] or [`LogReader::read`] them.
    ///
    /// # Errors
    /// [`StorageError::OffsetOutOfRange`], or the log is deleted.
    pub fn read_tail(&self, offset: i64, limits: TailLimits) -> Result<Option<TailSlice>, StorageError> {
        self.attempt(Some(offset), || {
            self.check_range(offset)?;
            let up_to = limits.up_to.min(self.log_end_offset());
            if offset >= up_to {
                return Ok(None);
            }
            Ok(self.shared.tail.read(offset, &TailLimits { up_to, ..limits }))
        })
    }
}
