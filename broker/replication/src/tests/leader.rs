use super::world::*;
use crate::{Acknowledged, Answer, Leader, Leadership, Refusal};

const ALONE: &str = "replicas=0 leader=0 leaderEpoch=3 partitionEpoch=5 isr=0.0000000a-1 elr=";

#[test]
fn a_lone_replica_commits_what_it_appends() {
    let mut leader = lead(&state(ALONE), 2);
    assert_eq!(leader.high_watermark(), 10);
    assert!(leader.has_enough_in_sync() && leader.tells_latest());
    assert!(leader.appended(12, 12, 0));
    assert_eq!(leader.high_watermark(), 12);
    assert!(!leader.appended(12, 12, 0));
}

#[test]
fn leads_only_in_its_own_generation() {
    let lead = |text: &str| Leader::new(member(ME), &state(text), Leadership::Elected, 1, 10, 0, 0);
    assert!(lead(&ALONE.replace("isr=0.0000000a-1", "isr=0.0000000b-1")).is_none(), "another disk");
    assert!(lead(&ALONE.replace("isr=0.0000000a-1", "isr=0.0000000a-2")).is_none(), "an unclean start");
    assert!(lead(&three(5, &[ME, B]).to_string().replace("leader=0", "leader=1")).is_none());
}

#[test]
fn the_slowest_member_in_sync_decides() {
    let mut leader = lead(&three(5, &[ME, B, C]), 2);
    assert_eq!(leader.high_watermark(), 0);
    assert!(!fetched(&mut leader, B, 10).moved);
    assert!(fetched(&mut leader, C, 4).moved);
    assert_eq!(leader.high_watermark(), 4);
    assert!(!leader.tells_latest(), "not before the log end at which it began to lead");
    assert!(fetched(&mut leader, C, 10).moved);
    assert!(leader.tells_latest());
}

#[test]
fn a_position_counts_only_for_the_generation_in_the_entry() {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    assert!(!fetched(&mut leader, "1.0000000b-2", 10).moved, "the disk may have lost what it acknowledged");
    assert_eq!(leader.high_watermark(), 0);
    assert!(fetched(&mut leader, B, 10).moved);
}

#[test]
fn a_position_counts_only_in_this_epoch() {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    let mut late = fetch(B, 10);
    late.leader_epoch = 2;
    let served = leader.fetch(&late, &log(), 0);
    assert_eq!(served.answer, Answer::Refused(Refusal::LowerEpoch { current: 3 }));
    assert!(!served.moved && leader.high_watermark() == 0);
}

#[test]
fn a_position_counts_only_where_the_logs_agree() {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    let mut other = fetch(B, 10);
    other.last_epoch = 1;
    let served = leader.fetch(&other, &log(), 0);
    assert_eq!(served.answer, Answer::Diverging { epoch: 1, end_offset: 5 });
    assert_eq!(leader.high_watermark(), 0);
    let longer = leader.fetch(&fetch(B, 12), &log(), 0);
    assert_eq!(longer.answer, Answer::Diverging { epoch: 2, end_offset: 10 });
    assert_eq!(leader.high_watermark(), 0);
}

#[test]
fn a_late_request_takes_nothing_back() {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    fetched(&mut leader, B, 10);
    fetched(&mut leader, B, 4);
    leader.appended(11, 11, 0);
    assert_eq!(leader.follower_end(1), Some(10));
}

#[test]
fn stands_still_below_min_in_sync() {
    let mut leader = lead(&three(5, &[ME]), 2);
    assert!(!leader.has_enough_in_sync());
    assert!(!leader.appended(20, 20, 0));
    assert_eq!(leader.high_watermark(), 0);
    assert_eq!(leader.acknowledges(19), Acknowledged::NotEnoughReplicas);
    assert!(leader.set_min_in_sync(1));
    assert_eq!(leader.high_watermark(), 20);
    assert_eq!(leader.acknowledges(19), Acknowledged::Yes);
    assert_eq!(leader.acknowledges(20), Acknowledged::NotYet);
}

#[test]
fn a_resumed_leader_waits_for_every_replica_and_proposes_nothing() {
    let mut leader = lead_at(&three(5, &[ME, B]), Leadership::Resumed, 2, 0);
    assert!(!fetched(&mut leader, B, 10).moved);
    assert_eq!(leader.high_watermark(), 0);
    assert!(fetched(&mut leader, "2.0000000c-9", 7).moved);
    assert_eq!(leader.high_watermark(), 7);
    assert_eq!(leader.propose(100_000, 10, dead(|_| true)), None);
}

#[test]
fn strangers_are_refused() {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    for stranger in ["7.0000000b-1", ME] {
        let served = fetched(&mut leader, stranger, 10);
        assert_eq!(served.answer, Answer::Refused(Refusal::NotReplica));
    }
}

#[test]
fn a_member_that_joins_must_catch_up_before_the_watermark_moves_on() {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    fetched(&mut leader, B, 10);
    leader.committed(&three(6, &[ME, B, C]));
    leader.appended(12, 12, 0);
    fetched(&mut leader, B, 12);
    assert_eq!(leader.high_watermark(), 10);
    fetched(&mut leader, C, 12);
    assert_eq!(leader.high_watermark(), 12);
}

#[test]
fn who_begins_with_an_empty_log_is_told_where() {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    let mut log = log();
    log.start = 100;
    leader.appended(110, 110, 0);
    let served = leader.fetch(&fetch(B, 0), &log, 0);
    assert_eq!(served.answer, Answer::StartsLater { log_start: 100 });
    let mut behind = fetch(B, 50);
    behind.last_epoch = 1;
    assert_eq!(leader.fetch(&behind, &log, 0).answer, Answer::StartsLater { log_start: 100 });
    let mut ready = fetch(B, 100);
    ready.last_epoch = -1;
    assert!(matches!(leader.fetch(&ready, &log, 0).answer, Answer::Records { log_start: 100, .. }));
}

#[test]
fn the_leaders_own_copy_counts_as_far_as_it_is_durable() {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    fetched(&mut leader, B, 10);
    assert!(!leader.appended(12, 10, 0));
    assert!(!fetched(&mut leader, B, 12).moved);
    assert!(leader.appended(12, 12, 0), "the follower need not ask again");
    assert_eq!(leader.high_watermark(), 12);
}
