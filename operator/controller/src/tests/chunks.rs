use std::collections::BTreeMap;

use milena_crds::partitions::{MAX_PARTITIONS_PER_OBJECT, RUN};
use proptest::prelude::*;

use crate::chunks::{Chunks, Room};

proptest! {
    /// Topics that appear and grow in any order: every partition gets a place once, and objects stay in their bounds.
    #[test]
    fn objects_stay_in_their_bounds(steps in prop::collection::vec((0..8usize, 1..150i32), 1..60)) {
        let mut room = Room::new(&Chunks::default());
        let mut used: BTreeMap<u32, usize> = BTreeMap::new();
        let mut topics: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (topic, more) in steps {
            let places = topics.entry(topic).or_default();
            let from = i32::try_from(places.len()).unwrap();
            let last = places.last().map(|chunk| {
                (*chunk, places.iter().rev().take_while(|other| *other == chunk).count())
            });
            let mut next = from;
            for (chunk, run) in room.assign(from..from + more, last) {
                prop_assert_eq!(run.start, next);
                prop_assert!(run.len() <= RUN && !run.is_empty());
                next = run.end;
                *used.entry(chunk).or_default() += run.len();
                places.extend(std::iter::repeat_n(chunk, run.len()));
            }
            prop_assert_eq!(next, from + more);
        }
        prop_assert!(used.values().all(|count| *count <= MAX_PARTITIONS_PER_OBJECT));
        let all: usize = used.values().sum();
        let objects = used.len();
        prop_assert!(objects <= all.div_ceil(MAX_PARTITIONS_PER_OBJECT - RUN) + 1, "{} for {}", objects, all);
    }
}
