//! Random events. The store checks each write against the rules; here is checked what holds once all is written.

use std::collections::BTreeMap;

use milena_crds::partition::PartitionState;
use proptest::prelude::*;

use super::World;
use crate::{Liveness, Removal};

const BROKERS: i32 = 3;

#[derive(Clone, Debug)]
enum Event {
    Create(u8, i32),
    Grow(u8, i32),
    Delete(u8),
    Lose(u8),
    Kill(i32),
    Doubt(i32),
    Start(i32, bool),
    RestartController,
    Step,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..6u8, 1..70i32).prop_map(|(topic, count)| Event::Create(topic, count)),
        2 => (0..6u8, 1..70i32).prop_map(|(topic, more)| Event::Grow(topic, more)),
        2 => (0..6u8).prop_map(Event::Delete),
        1 => (0..6u8).prop_map(Event::Lose),
        3 => (0..BROKERS).prop_map(Event::Kill),
        1 => (0..BROKERS).prop_map(Event::Doubt),
        4 => (0..BROKERS, any::<bool>()).prop_map(|(broker, clean)| Event::Start(broker, clean)),
        1 => Just(Event::RestartController),
        6 => Just(Event::Step),
    ]
}

fn happen(world: &mut World, event: &Event) {
    let name = |topic: &u8| format!("t{topic}");
    match event {
        Event::Create(topic, count) if !world.topics.contains_key(&name(topic)) => {
            world.create(&name(topic), *count);
        }
        Event::Grow(topic, more) if world.topics.contains_key(&name(topic)) => {
            world.change(&name(topic), |topic| topic.spec.partitions += more);
        }
        Event::Create(..) | Event::Grow(..) => {}
        Event::Delete(topic) => world.delete(&name(topic), Removal::Seen),
        Event::Lose(topic) => world.delete(&name(topic), Removal::FoundMissing),
        Event::Kill(broker) => world.kill(*broker),
        Event::Doubt(broker) => world.set_liveness(*broker, Liveness::Unknown),
        Event::Start(broker, clean) => world.start(*broker, *clean),
        Event::RestartController => world.restart_controller(),
        Event::Step => {
            world.step();
        }
    }
}

/// Who led each partition in each leader epoch.
type Led = BTreeMap<(String, i32), Option<i32>>;

fn one_leader_an_epoch(world: &World, led: &mut Led) -> Result<(), TestCaseError> {
    for (key, text) in world.chunks.values().flat_map(|spec| &spec.partitions) {
        let state: PartitionState = text.parse().unwrap();
        let before = led.insert((key.clone(), state.leader_epoch), state.leader);
        prop_assert!(before.is_none_or(|before| before == state.leader), "{} {}", key, text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_the_rules_hold(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new(BROKERS);
        let mut led = Led::new();
        for event in &events {
            happen(&mut world, event);
            one_leader_an_epoch(&world, &mut led)?;
        }
        world.settle();
        one_leader_an_epoch(&world, &mut led)?;
        // Then all is well: every topic has what it asks for.
        (0..BROKERS).for_each(|broker| world.start(broker, true));
        world.settle();
        one_leader_an_epoch(&world, &mut led)?;
        for (name, topic) in &world.topics {
            let states = world.states(name);
            prop_assert_eq!(states.len(), usize::try_from(topic.spec.partitions).unwrap());
            prop_assert!(states.iter().all(|state| state.leader.is_some()), "{:?}", states);
            prop_assert_eq!(world.reason(name), "Ready");
        }
        prop_assert_eq!(world.controller.summary().offline, 0);
        prop_assert_eq!(world.unclean, 0, "nobody asked for one");
        // And nothing is left to do, for this controller and for the next one.
        let writes = world.writes;
        world.restart_controller();
        world.settle();
        prop_assert_eq!(world.writes, writes);
    }
}
