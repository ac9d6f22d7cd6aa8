//! A log as replication looks at it.

use milena_replication::LogView;
use milena_storage::Log;

/// What the state machines see of a log.
pub struct Seen<'a>(pub &'a Log);

impl LogView for Seen<'_> {
    fn log_start(&self) -> i64 {
        self.0.log_start_offset()
    }

    fn log_end(&self) -> i64 {
        self.0.log_end_offset()
    }

    fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        self.0.epoch_end_offset(epoch).map(|end| (end.epoch, end.end_offset))
    }

    fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.0.epoch_at(offset)
    }
}
