//! How much room a directory has for clients' records. The file system is asked now and then; in between, what is
//! written is counted, so that no append asks.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::num::to_u64;

/// `log.dir.reserved.bytes=-1`: so large a part of the file system, and so much at most.
const DEFAULT_PART: u64 = 20;
const DEFAULT_MOST: u64 = 1 << 30;
/// With less room than this, no space is taken ahead of what is written.
const AMPLE: i64 = 64 << 20;

/// A file system's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes of the file system.
    pub total: u64,
    /// Bytes that may still be written.
    pub free: u64,
}

/// Room above what is reserved.
#[derive(Debug)]
pub(super) struct Room {
    /// Bytes until the reserve begins, as far as is known.
    left: AtomicI64,
    /// As the file system said last.
    free: AtomicU64,
    reserved: AtomicU64,
    full: AtomicBool,
}

impl Default for Room {
    /// Without bounds, until the file system was asked.
    fn default() -> Room {
        Room {
            left: AtomicI64::new(i64::MAX),
            free: AtomicU64::new(u64::MAX),
            reserved: AtomicU64::new(0),
            full: AtomicBool::new(false),
        }
    }
}

impl Room {
    /// Takes over what the file system says; `setting` is `log.dir.reserved.bytes`. The answer is whether that changed
    /// whether there is room.
    pub(super) fn look(&self, space: Space, setting: i64) -> bool {
        let reserved =
            u64::try_from(setting).unwrap_or_else(|_| (space.total / DEFAULT_PART).min(DEFAULT_MOST));
        let left = i64::try_from(space.free)
            .unwrap_or(i64::MAX)
            .saturating_sub(i64::try_from(reserved).unwrap_or(i64::MAX));
        self.free.store(space.free, Ordering::Relaxed);
        self.reserved.store(reserved, Ordering::Relaxed);
        self.left.store(left, Ordering::Relaxed);
        self.full.swap(left <= 0, Ordering::Relaxed) != (left <= 0)
    }

    /// Notes bytes that were written.
    pub(super) fn take(&self, bytes: u64) {
        self.left.fetch_sub(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Whether so many bytes can be written without the reserve.
    pub(super) fn has(&self, bytes: usize) -> bool {
        u64::try_from(self.left.load(Ordering::Relaxed)).is_ok_and(|left| to_u64(bytes) <= left)
    }

    /// Whether space may be taken ahead.
    pub(super) fn is_ample(&self) -> bool {
        self.left.load(Ordering::Relaxed) > AMPLE
    }

    /// Whether nothing but the reserve is left.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Free bytes when the file system was asked last, and reserved ones.
    pub(super) fn numbers(&self) -> (u64, u64) {
        (self.free.load(Ordering::Relaxed), self.reserved.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_twentieth_is_reserved_and_a_gibibyte_at_most() {
        for (total, reserved) in [(0, 0), (24 << 20, (24 << 20) / 20), (10 * GIB, GIB / 2), (100 * GIB, GIB)]
        {
            let room = Room::default();
            room.look(Space { total, free: total }, -1);
            assert_eq!(room.numbers(), (total, reserved));
        }
        let room = Room::default();
        room.look(Space { total: GIB, free: GIB }, 7);
        assert_eq!(room.numbers(), (GIB, 7));
    }

    #[test]
    fn what_is_written_between_two_looks_counts() {
        let room = Room::default();
        assert!(room.has(usize::MAX >> 1), "no bounds before the first look");
        assert!(!room.look(Space { total: 1000, free: 300 }, 100), "room as before");
        assert!(room.has(200) && !room.has(201));
        room.take(150);
        assert!(room.has(50) && !room.has(51));
        room.take(1000);
        assert!(!room.has(0));
        assert!(room.look(Space { total: 1000, free: 100 }, 100), "full now");
        assert!(!room.look(Space { total: 1000, free: 10 }, 100), "still full");
        assert!(!room.has(1) && room.is_full());
        assert!(room.look(Space { total: 1000, free: 1000 }, 100), "space is back");
        assert!(room.has(900) && !room.is_full());
    }
}
