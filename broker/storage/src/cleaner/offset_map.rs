//! The newest offset of each key, in bounded memory.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
};

/// Keys that one cleaning can tell apart: about 16 MiB.
const MAX_KEYS: usize = 400_000;

/// Offsets by key. Of a key only 128 bits of hash are kept, with seeds that nobody knows, so that two keys cannot
/// be made to look the same.
#[derive(Debug)]
pub(super) struct OffsetMap {
    seeds: (RandomState, RandomState),
    offsets: HashMap<(u64, u64), i64>,
    max_keys: usize,
}

impl OffsetMap {
    pub(super) fn new() -> OffsetMap {
        OffsetMap::with_max_keys(MAX_KEYS)
    }

    pub(super) fn with_max_keys(max_keys: usize) -> OffsetMap {
        OffsetMap { seeds: (RandomState::new(), RandomState::new()), offsets: HashMap::new(), max_keys }
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        (self.seeds.0.hash_one(key), self.seeds.1.hash_one(key))
    }

    /// Notes that the newest record with `key` is at `offset`; false where there is no room for another key.
    pub(super) fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let full = self.offsets.len() >= self.max_keys;
        match self.offsets.entry(self.hash(key)) {
            Entry::Occupied(mut entry) => {
                entry.insert(offset);
                true
            }
            Entry::Vacant(_) if full => false,
            Entry::Vacant(entry) => {
                entry.insert(offset);
                true
            }
        }
    }

    /// The newest offset of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<i64> {
        self.offsets.get(&self.hash(key)).copied()
    }
}
