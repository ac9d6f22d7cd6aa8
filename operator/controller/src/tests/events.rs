use milena_crds::partition::{Generation, Offline, PartitionKey};

use super::World;
use crate::{Broker, Liveness};

#[test]
fn a_restarted_leader_leads_again_in_a_new_epoch() {
    let mut world = World::new(1);
    world.create("a", 3);
    world.settle();
    let writes = world.writes.0;
    world.start(0, true);
    world.settle();
    assert_eq!(world.writes.0, writes + 1, "one write for all partitions of an object");
    for state in world.states("a") {
        assert_eq!((state.leader, state.leader_epoch, state.partition_epoch), (Some(0), 1, 1));
    }
    // Also when nobody was looking.
    world.start(0, true);
    world.restart_controller();
    world.settle();
    assert!(world.states("a").iter().all(|state| state.leader_epoch == 2));
}

#[test]
fn a_dead_broker_takes_its_partitions_offline_and_brings_them_back() {
    let mut world = World::new(2);
    world.create("a", 2);
    world.settle();
    world.kill(0);
    world.settle();
    let leaders: Vec<_> = world.states("a").iter().map(|state| state.leader).collect();
    assert_eq!(leaders, [None, Some(1)]);
    assert_eq!(world.reason("a"), "PartitionsOffline");
    assert_eq!(
        world.condition("a").message,
        "1 of 2 partitions have no leader; partition 0: broker 0 is down"
    );
    assert_eq!(world.controller.summary().offline, 1);
    world.start(0, true);
    world.settle();
    assert_eq!(world.reason("a"), "Ready");
    assert_eq!(world.states("a")[0].leader_epoch, 2);
    assert_eq!(world.controller.summary().offline, 0);
}

#[test]
fn nobody_acts_on_a_broker_that_was_not_heard_of_yet() {
    let mut world = World::new(1);
    world.create("a", 1);
    world.settle();
    let state = world.states("a");
    world.set_liveness(0, Liveness::Unknown);
    world.settle();
    assert_eq!(world.states("a"), state);
}

#[test]
fn a_machine_that_lost_power_is_recovered_from_and_reported() {
    let mut world = World::new(1);
    world.create("a", 1);
    world.settle();
    world.kill(0);
    world.settle();
    world.start(0, false);
    world.settle();
    let state = &world.states("a")[0];
    assert_eq!((state.leader, state.isr[0].generation.unclean_starts), (Some(0), 1));
    let loss = world.notes.iter().find(|note| note.reason == "PossibleLoss").unwrap();
    assert_eq!(loss.topic.as_deref(), Some("a"));
}

#[test]
fn another_disk_stays_offline_until_a_person_decides() {
    let mut world = World::new(1);
    world.create("a", 1);
    world.settle();
    let broker = world.brokers[&0].clone();
    let generation = Generation { disk: 7, unclean_starts: 0 };
    world.set_broker(0, Broker { generation, epoch: broker.epoch + 1, ..broker });
    world.settle();
    assert_eq!(world.states("a")[0].leader, None);
    assert!(world.condition("a").message.contains("another disk"));
    assert!(world.condition("a").message.contains("delete the topic"));
}

#[test]
fn a_draining_broker_gets_no_new_partitions() {
    let mut world = World::new(2);
    let broker = world.brokers[&0].clone();
    world.set_broker(0, Broker { draining: true, ..broker });
    world.create("a", 4);
    world.settle();
    assert!(world.states("a").iter().all(|state| state.leader == Some(1)));
}

#[test]
fn five_thousand_partitions_fail_over_in_twenty_writes() {
    let mut world = World::new(1);
    for index in 0..50 {
        world.create(&format!("t{index}"), 100);
    }
    world.settle();
    let writes = world.writes.0;
    world.kill(0);
    world.step();
    assert_eq!(world.controller.summary().offline, 5000);
    assert!(world.writes.0 - writes <= 25, "{}", world.writes.0 - writes);
}

#[test]
fn what_a_broker_cannot_serve_is_led_by_nobody_until_it_can() {
    let mut world = World::new(1);
    world.create("a", 2);
    world.settle();
    let (id, broker) = (world.id("a"), world.brokers[&0].clone());
    let key = PartitionKey { topic_id: id, partition: 1 };
    world.set_broker(0, Broker { offline: Offline::named([key].into()), ..broker.clone() });
    world.settle();
    let leaders: Vec<Option<i32>> = world.states("a").iter().map(|state| state.leader).collect();
    assert_eq!(leaders, [Some(0), None], "the other one goes on");
    assert!(world.condition("a").message.contains("out of service"), "{}", world.condition("a").message);
    world.set_broker(0, broker);
    world.settle();
    assert!(world.states("a").iter().all(|state| state.leader == Some(0)));
}
