use super::*;

fn state(text: &str) -> PartitionState {
    text.parse().unwrap()
}

fn member(text: &str) -> Member {
    text.parse().unwrap()
}

fn lead(text: &str, leadership: Leadership, min: usize) -> Option<Leader> {
    Leader::new(member("0.0000000a-1"), &state(text), leadership, min, 10, 0)
}

const ALONE: &str = "replicas=0 leader=0 leaderEpoch=3 partitionEpoch=5 isr=0.0000000a-1 elr=";
const THREE: &str =
    "replicas=0,1,2 leader=0 leaderEpoch=3 partitionEpoch=5 isr=0.0000000a-1,1.0000000b-1,2.0000000c-1 elr=";
const TWO_OF_THREE: &str =
    "replicas=0,1,2 leader=0 leaderEpoch=3 partitionEpoch=5 isr=0.0000000a-1,1.0000000b-1 elr=";

#[test]
fn a_lone_replica_commits_what_it_appends() {
    let mut leader = lead(ALONE, Leadership::Elected, 2).unwrap();
    assert_eq!(leader.high_watermark(), 10);
    assert!(leader.has_enough_in_sync() && leader.tells_latest());
    assert!(leader.appended(12));
    assert_eq!(leader.high_watermark(), 12);
    assert!(!leader.appended(12));
}

#[test]
fn leads_only_in_its_own_generation() {
    let other_disk = ALONE.replace("isr=0.0000000a-1", "isr=0.0000000b-1");
    assert!(lead(&other_disk, Leadership::Elected, 1).is_none());
    let unclean_start = ALONE.replace("isr=0.0000000a-1", "isr=0.0000000a-2");
    assert!(lead(&unclean_start, Leadership::Elected, 1).is_none());
    let other_leader = THREE.replace("leader=0", "leader=1");
    assert!(lead(&other_leader, Leadership::Elected, 1).is_none());
}

#[test]
fn the_slowest_member_in_sync_decides() {
    let mut leader = lead(THREE, Leadership::Elected, 2).unwrap();
    assert_eq!(leader.high_watermark(), 0);
    assert!(!leader.fetched(member("1.0000000b-1"), 10));
    assert!(leader.fetched(member("2.0000000c-1"), 4));
    assert_eq!(leader.high_watermark(), 4);
    assert!(!leader.tells_latest(), "not before the log end at which it began to lead");
    assert!(leader.fetched(member("2.0000000c-1"), 10));
    assert!(leader.tells_latest());
}

#[test]
fn a_position_counts_only_for_the_generation_in_the_entry() {
    let mut leader = lead(TWO_OF_THREE, Leadership::Elected, 2).unwrap();
    assert!(!leader.fetched(member("1.0000000b-2"), 10), "the disk may have lost what it acknowledged");
    assert_eq!(leader.high_watermark(), 0);
    assert!(leader.fetched(member("1.0000000b-1"), 10));
}

#[test]
fn stands_still_below_min_in_sync() {
    let alone_of_three = THREE.replace("isr=0.0000000a-1,1.0000000b-1,2.0000000c-1", "isr=0.0000000a-1");
    let mut leader = lead(&alone_of_three, Leadership::Elected, 2).unwrap();
    assert!(!leader.has_enough_in_sync());
    assert!(!leader.appended(20));
    assert_eq!(leader.high_watermark(), 0);
    assert!(leader.set_min_in_sync(1));
    assert_eq!(leader.high_watermark(), 20);
}

#[test]
fn a_resumed_leader_waits_for_every_replica() {
    let mut leader = lead(TWO_OF_THREE, Leadership::Resumed, 2).unwrap();
    assert!(!leader.fetched(member("1.0000000b-1"), 10));
    assert_eq!(leader.high_watermark(), 0);
    assert!(leader.fetched(member("2.0000000c-9"), 7));
    assert_eq!(leader.high_watermark(), 7);
}

#[test]
fn a_follower_cannot_claim_more_than_the_leader_has() {
    let mut leader = lead(TWO_OF_THREE, Leadership::Elected, 2).unwrap();
    leader.fetched(member("1.0000000b-1"), 1_000);
    assert_eq!(leader.high_watermark(), 10);
    assert!(!leader.fetched(member("7.0000000b-1"), 1_000), "no replica of this partition");
}

#[test]
fn a_member_that_joins_must_catch_up_before_the_watermark_moves_on() {
    let mut leader = lead(TWO_OF_THREE, Leadership::Elected, 2).unwrap();
    leader.fetched(member("1.0000000b-1"), 10);
    leader.committed(&state(THREE));
    leader.appended(12);
    leader.fetched(member("1.0000000b-1"), 12);
    assert_eq!(leader.high_watermark(), 10);
    leader.fetched(member("2.0000000c-1"), 12);
    assert_eq!(leader.high_watermark(), 12);
}
