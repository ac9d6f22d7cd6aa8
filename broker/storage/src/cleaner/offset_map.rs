//! The newest offset of each key, in bounded memory. Pure.

use std::hash::{BuildHasher, RandomState};

/// Two halves of a key's hash, and its offset plus one; 0 there: the slot is free.
type Slot = [u64; 3];
/// Bytes of a slot: as many as in Kafka's `SkimpyOffsetMap`.
const SLOT_BYTES: usize = size_of::<Slot>();

/// Offsets by key. Of a key only 128 bits of hash are kept, with seeds that nobody knows, so that two keys cannot
/// be made to look the same. Memory is taken as slots are used.
#[derive(Debug)]
pub(super) struct OffsetMap {
    seeds: (RandomState, RandomState),
    slots: Vec<Slot>,
    keys: usize,
    max_keys: usize,
}

/// There is no room for another key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl OffsetMap {
    /// A map of at most `bytes` that is filled to `load_percent` of them, and no larger than `keys` need.
    pub(super) fn new(bytes: usize, load_percent: usize, keys: usize) -> OffsetMap {
        let slots = bytes.div_euclid(SLOT_BYTES).min(keys.saturating_add(keys / 2).saturating_add(2));
        let max_keys = (slots.saturating_mul(load_percent) / 100).min(slots.saturating_sub(1));
        let seeds = (RandomState::new(), RandomState::new());
        OffsetMap { seeds, slots: vec![[0; 3]; slots], keys: 0, max_keys }
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        (self.seeds.0.hash_one(key), self.seeds.1.hash_one(key))
    }

    /// The slot of a hash, or the free one where it would be. There is always a free one, but in a map of none.
    fn find(&self, (high, low): (u64, u64)) -> Option<usize> {
        let count = self.slots.len();
        let start = usize::try_from(high.checked_rem(u64::try_from(count).ok()?)?).ok()?;
        (start..count).chain(0..start).find(|at| {
            self.slots.get(*at).is_some_and(|slot| slot[2] == 0 || (slot[0], slot[1]) == (high, low))
        })
    }

    /// Notes that the newest record with `key` is at `offset`, which is not negative.
    pub(super) fn put(&mut self, key: &[u8], offset: i64) -> Result<(), Full> {
        let hash = self.hash(key);
        let full = self.keys >= self.max_keys;
        let slot = self.find(hash).and_then(|at| self.slots.get_mut(at)).ok_or(Full)?;
        if slot[2] == 0 {
            if full {
                return Err(Full);
            }
            self.keys = self.keys.saturating_add(1);
        }
        *slot = [hash.0, hash.1, offset.cast_unsigned().wrapping_add(1)];
        Ok(())
    }

    /// The newest offset of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<i64> {
        let slot = self.slots.get(self.find(self.hash(key))?)?;
        (slot[2] != 0).then(|| slot[2].wrapping_sub(1).cast_signed())
    }

    /// Keys in it, and how many it takes.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.keys, self.max_keys)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_map_until_it_is_full(
            slots in 0_usize..40,
            load in 0_usize..=100,
            puts in prop::collection::vec((0_u16..60, 0_i64..1000), 0..200),
        ) {
            let mut map = OffsetMap::new(slots * SLOT_BYTES, load, usize::MAX / 2);
            let mut model: HashMap<u16, i64> = HashMap::new();
            let room = (slots * load / 100).min(slots.saturating_sub(1));
            for (key, offset) in puts {
                let fits = model.contains_key(&key) || model.len() < room;
                prop_assert_eq!(map.put(&key.to_be_bytes(), offset).is_ok(), fits);
                if fits {
                    model.insert(key, offset);
                }
            }
            for key in 0..60_u16 {
                prop_assert_eq!(map.get(&key.to_be_bytes()), model.get(&key).copied());
            }
            prop_assert_eq!(map.usage(), (model.len(), room));
        }
    }

    #[test]
    fn is_no_larger_than_its_keys_need() {
        let mut map = OffsetMap::new(1 << 30, 90, 1000);
        assert!(map.slots.len() < 2000);
        for key in 0..1000_u32 {
            map.put(&key.to_be_bytes(), 1).unwrap();
        }
    }
}
