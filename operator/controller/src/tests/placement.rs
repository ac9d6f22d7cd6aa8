use proptest::prelude::*;

use crate::broker::{Broker, Brokers, Liveness};
use crate::placement::{Load, TooFew, place};

fn brokers(count: i32, racks: Option<i32>) -> Brokers {
    let broker = |id: i32| Broker {
        liveness: Liveness::Alive,
        epoch: 1,
        generation: Default::default(),
        rack: racks.map(|racks| format!("zone-{}", id % racks)),
        draining: false,
        offline: Default::default(),
        older: Default::default(),
    };
    (0..count).map(|id| (id, broker(id))).collect()
}

#[test]
fn too_few_brokers_are_said() {
    let mut load = Load::default();
    assert_eq!(place(1, 3, &brokers(2, None), 2, &mut load), Err(TooFew { wanted: 3, there: 2 }));
    assert_eq!(place(1, 0, &brokers(2, None), 2, &mut load), Err(TooFew { wanted: 1, there: 2 }));
    assert_eq!(place(1, 1, &brokers(2, None), 0, &mut load), Err(TooFew { wanted: 1, there: 0 }));
    assert_eq!(load, Load::default());
}

#[test]
fn a_new_broker_takes_what_is_new() {
    let mut load = Load::default();
    place(10, 1, &brokers(2, None), 2, &mut load).unwrap();
    let new = place(5, 1, &brokers(3, None), 3, &mut load).unwrap();
    assert_eq!(new, vec![vec![2]; 5]);
}

proptest! {
    #[test]
    fn leaders_and_replicas_are_even(
        count in 1..12i32, replicas in 1..4usize, topics in prop::collection::vec(1..20usize, 1..12)
    ) {
        let (brokers, mut load) = (brokers(count, None), Load::default());
        prop_assume!(replicas <= usize::try_from(count).unwrap());
        for partitions in topics {
            for placed in place(partitions, replicas, &brokers, count, &mut load).unwrap() {
                let distinct: std::collections::BTreeSet<_> = placed.iter().collect();
                prop_assert_eq!(distinct.len(), replicas);
            }
        }
        let shares: Vec<_> = (0..count).map(|id| load.share(id)).collect();
        let spread = |of: &dyn Fn(usize) -> usize| {
            let all: Vec<_> = (0..shares.len()).map(of).collect();
            all.iter().max().unwrap() - all.iter().min().unwrap()
        };
        prop_assert!(spread(&|i| shares[i].leaders) <= 1, "{:?}", shares);
        prop_assert!(spread(&|i| shares[i].replicas) <= 1, "{:?}", shares);
    }

    #[test]
    fn replicas_are_on_as_many_racks_as_there_are(racks in 1..4i32, each in 1..4i32, partitions in 1..40usize) {
        let (brokers, mut load) = (brokers(racks * each, Some(racks)), Load::default());
        let replicas = usize::try_from((racks * each).min(3)).unwrap();
        for placed in place(partitions, replicas, &brokers, racks * each, &mut load).unwrap() {
            let on: std::collections::BTreeSet<_> = placed.iter().map(|id| id % racks).collect();
            prop_assert_eq!(on.len(), replicas.min(usize::try_from(racks).unwrap()));
        }
    }

    #[test]
    fn what_goes_out_is_what_came_in(replicas in prop::collection::vec(prop::collection::vec(0..5i32, 1..4), 0..20)) {
        let mut load = Load::default();
        replicas.iter().for_each(|replicas| load.add(replicas));
        replicas.iter().rev().for_each(|replicas| load.remove(replicas));
        prop_assert_eq!(load, Load::default());
    }
}
