use std::collections::BTreeMap;
use std::time::Duration;

use crate::Liveness::{Alive, Dead, Unknown};
use crate::lease::{Leases, Sight, Verdict};

const DURATION: Duration = Duration::from_secs(3);

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sight(epoch: i64, stamp: &str) -> Sight<'_> {
    Sight { epoch, stamp, duration: DURATION }
}

fn believed<const N: usize>(brokers: [(i32, crate::Liveness); N]) -> Verdict {
    Verdict::Brokers(BTreeMap::from(brokers))
}

#[test]
fn a_listed_lease_says_nothing_until_it_changes() {
    let mut leases = Leases::default();
    leases.observe(0, &sight(1, "a"), false, at(0));
    assert_eq!(leases.judge(at(1000)), believed([(0, Unknown)]));
    leases.observe(0, &sight(1, "a"), true, at(1500));
    assert_eq!(leases.judge(at(1500)), believed([(0, Unknown)]), "the same Lease again is no change");
    leases.observe(0, &sight(1, "b"), true, at(2000));
    assert_eq!(leases.judge(at(2000)), believed([(0, Alive)]));
    assert_eq!(leases.next_expiry(at(2000)), Some(at(5000)));
    assert_eq!(leases.judge(at(4999)), believed([(0, Alive)]));
    assert_eq!(leases.judge(at(5000)), believed([(0, Dead)]));
}

#[test]
fn a_new_broker_is_alive_at_once() {
    let mut leases = Leases::default();
    leases.observe(0, &sight(1, "a"), true, at(0));
    assert_eq!(leases.judge(at(0)), believed([(0, Alive)]));
}

#[test]
fn a_broken_watch_begins_the_wait_anew() {
    let mut leases = Leases::default();
    leases.observe(0, &sight(1, "a"), true, at(0));
    leases.watch_broken(at(2900));
    assert_eq!(leases.judge(at(3100)), believed([(0, Unknown)]));
    assert_eq!(leases.judge(at(5900)), believed([(0, Dead)]));
}

#[test]
fn a_process_that_is_gone_is_dead_at_once_and_stays_so_through_a_late_renewal() {
    let mut leases = Leases::default();
    leases.observe(0, &sight(1, "a"), true, at(0));
    leases.gone(0, 1);
    assert_eq!(leases.judge(at(10)), believed([(0, Dead)]));
    leases.observe(0, &sight(1, "b"), true, at(20));
    assert_eq!(leases.judge(at(20)), believed([(0, Dead)]));
    leases.observe(0, &sight(1, "c"), true, at(1020));
    assert_eq!(leases.judge(at(1020)), believed([(0, Alive)]), "it renews: the signal was wrong");
    leases.gone(0, 1);
    leases.observe(0, &sight(2, "d"), true, at(1100));
    leases.gone(0, 1);
    assert_eq!(leases.judge(at(1100)), believed([(0, Alive)]), "a new process, and an old signal");
}

#[test]
fn many_that_expire_together_point_at_the_api_server() {
    let mut leases = Leases::default();
    for id in 0..3 {
        leases.observe(id, &sight(1, "a"), true, at(0));
    }
    leases.observe(2, &sight(1, "b"), true, at(1000));
    assert_eq!(leases.judge(at(3500)), Verdict::Suspicious(vec![0, 1]));
    leases.answered(0, at(3500));
    leases.gone(1, 1);
    assert_eq!(leases.judge(at(3500)), believed([(0, Alive), (1, Dead), (2, Alive)]));
    leases.removed(1);
    assert_eq!(leases.judge(at(3500)), believed([(0, Alive), (2, Alive)]));
}

#[test]
fn one_of_two_is_a_single_fault() {
    let mut leases = Leases::default();
    leases.observe(0, &sight(1, "a"), true, at(0));
    leases.observe(1, &sight(1, "a"), true, at(0));
    leases.observe(1, &sight(1, "b"), true, at(2000));
    assert_eq!(leases.judge(at(3000)), believed([(0, Dead), (1, Alive)]));
}
