use super::world::*;
use crate::{Acknowledged, Belief, Leader, Leadership, Outcome};

/// `replica.lag.time.max.ms` in these tests.
const LAG: i64 = 30_000;

fn lead_two() -> Leader {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    fetched(&mut leader, B, 10);
    leader
}

#[test]
fn a_follower_joins_at_the_high_watermark_and_not_before() {
    let mut leader = lead_two();
    assert!(!fetched(&mut leader, C, 9).may_join);
    assert_eq!(leader.propose(0, LAG, nobody), None);
    assert!(fetched(&mut leader, C, 10).may_join);
    let change = leader.propose(0, LAG, nobody).unwrap();
    assert_eq!(change.old, three(5, &[ME, B]));
    assert_eq!(change.new, three(6, &[ME, B, C]));
}

#[test]
fn a_follower_joins_only_at_the_start_of_the_leader_epoch() {
    // The high watermark is not known to be anywhere yet; the log end at which the leader began is.
    let mut leader = lead(&three(5, &[ME, B]), 2);
    assert!(!fetched(&mut leader, C, 9).may_join);
    assert!(fetched(&mut leader, C, 10).may_join);
}

#[test]
fn a_new_generation_is_an_entry_to_renew() {
    let mut leader = lead_two();
    let renewed = "1.0000000b-2";
    assert!(!fetched(&mut leader, renewed, 4).may_join);
    leader.appended(12, 12, 0);
    assert!(fetched(&mut leader, renewed, 12).may_join);
    let change = leader.propose(0, LAG, nobody).unwrap();
    assert_eq!(change.new, three(6, &[ME, renewed]));
    assert_eq!(leader.high_watermark(), 10, "either entry may count: nobody has both generations");
    assert!(leader.answered(&change, Outcome::Succeeded));
    assert_eq!(leader.high_watermark(), 12);
}

#[test]
fn a_proposed_member_is_waited_for() {
    let mut leader = lead_two();
    fetched(&mut leader, C, 10);
    let change = leader.propose(0, LAG, nobody).unwrap();
    leader.appended(12, 12, 0);
    assert!(!fetched(&mut leader, B, 12).moved, "the change may be in force already");
    assert_eq!(leader.high_watermark(), 10);
    assert!(fetched(&mut leader, C, 12).moved);
    assert_eq!(leader.propose(0, LAG, nobody), None, "one at a time");
    assert!(!leader.answered(&change, Outcome::Succeeded));
    assert_eq!(leader.state(), &three(6, &[ME, B, C]));
}

#[test]
fn who_leaves_is_waited_for_until_the_change_has_succeeded() {
    let mut leader = lead(&three(5, &[ME, B, C]), 2);
    fetched(&mut leader, B, 10);
    let change = leader.propose(0, LAG, dead(|id| id == 2)).unwrap();
    assert_eq!(change.new, three(6, &[ME, B]));
    assert_eq!(leader.high_watermark(), 0);
    assert!(leader.answered(&change, Outcome::Succeeded));
    assert_eq!(leader.high_watermark(), 10);
}

#[test]
fn what_nobody_knows_of_is_repeated_and_counts_until_a_later_state_is_seen() {
    for lost in [Outcome::Unknown, Outcome::Conflict] {
        let mut leader = lead_two();
        fetched(&mut leader, C, 10);
        let change = leader.propose(0, LAG, nobody).unwrap();
        assert!(!leader.answered(&change, lost));
        leader.appended(12, 12, 0);
        assert!(!fetched(&mut leader, B, 12).moved, "never taken back");
        assert!(!leader.committed(&three(5, &[ME, B])), "the old state proves nothing");
        assert!(leader.has_pending_change() && leader.needs_a_look());
        assert_eq!(
            leader.propose(0, LAG, dead(|_| true)),
            Some(change.clone()),
            "the same, whatever has happened"
        );
        assert_eq!(leader.propose(0, LAG, dead(|_| true)), None);
        assert!(leader.committed(&three(6, &[ME, B])), "now it can never come into force");
        assert!(!leader.has_pending_change());
        assert_eq!(leader.high_watermark(), 12);
    }
}

#[test]
fn an_answer_to_an_old_change_touches_no_new_one() {
    let mut leader = lead_two();
    fetched(&mut leader, C, 10);
    let old = leader.propose(0, LAG, nobody).unwrap();
    leader.committed(&three(6, &[ME, B]));
    let new = leader.propose(0, LAG, nobody).unwrap();
    assert_eq!(new.new, three(7, &[ME, B, C]));
    leader.answered(&old, Outcome::Unknown);
    assert_eq!(leader.propose(0, LAG, nobody), None, "the new one is still under way");
    assert!(!leader.answered(&old, Outcome::Succeeded));
    assert!(leader.has_pending_change());
}

#[test]
fn who_is_behind_for_too_long_leaves() {
    let mut leader = lead(&three(5, &[ME, B, C]), 2);
    fetched_at(&mut leader, B, 10, 1_000);
    fetched_at(&mut leader, C, 10, 1_000);
    assert_eq!(leader.propose(1_000_000, LAG, nobody), None, "who has everything is never behind");
    leader.appended(11, 11, 1_000_000);
    assert!(leader.needs_a_look());
    assert_eq!(leader.propose(1_000_000 + LAG, LAG, nobody), None);
    fetched_at(&mut leader, B, 11, 1_000_000 + LAG);
    let change = leader.propose(1_000_001 + LAG, LAG, nobody).unwrap();
    assert_eq!(change.new, three(6, &[ME, B]));
    leader.answered(&change, Outcome::Succeeded);
    assert_eq!(
        leader.propose(1_000_002 + LAG, LAG, nobody),
        None,
        "who was removed joins only once it fetches"
    );
    assert!(!leader.needs_a_look());
}

#[test]
fn a_follower_that_keeps_up_with_a_busy_leader_stays() {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    for step in 0..10 {
        let now = step * LAG / 2;
        leader.appended(11 + step, 11 + step, now);
        fetched_at(&mut leader, B, 10 + step, now);
        assert_eq!(leader.propose(now, LAG, nobody), None, "always one record behind, and never far");
    }
}

#[test]
fn who_was_never_heard_of_leaves_after_the_same_time() {
    let mut leader = lead_at(&three(5, &[ME, B, C]), Leadership::Elected, 2, 500);
    fetched_at(&mut leader, B, 10, 600);
    assert_eq!(leader.propose(500 + LAG, LAG, nobody), None);
    assert_eq!(leader.propose(501 + LAG, LAG, nobody).unwrap().new, three(6, &[ME, B]));
}

#[test]
fn the_dead_leave_at_once_and_together_and_join_the_elr() {
    let mut leader = lead(&three(5, &[ME, B, C]), 2);
    let change = leader.propose(0, LAG, dead(|id| id != 0)).unwrap();
    let mut expected = three(6, &[ME]);
    expected.elr = vec![member(B), member(C)];
    assert_eq!(change.new, expected);
    leader.answered(&change, Outcome::Succeeded);
    fetched(&mut leader, B, 10);
    assert_eq!(leader.propose(0, LAG, dead(|id| id != 0)), None, "not while it is believed dead");
    let back = leader.propose(0, LAG, nobody).unwrap();
    assert_eq!(back.new, three(7, &[ME, B]), "the ELR is emptied");
}

#[test]
fn while_somebody_can_be_elected_from_the_elr_nothing_is_committed_without_it() {
    let mut alone = three(5, &[ME]);
    alone.elr = vec![member(B)];
    let mut leader = lead(&alone, 2);
    assert!(!leader.set_min_in_sync(1), "B would be elected without what it lacks");
    assert_eq!(leader.acknowledges(9), Acknowledged::NotYet);
    assert!(leader.needs_a_look());
    let change = leader.propose(0, LAG, nobody).unwrap();
    assert_eq!(change.new, three(6, &[ME]), "the same ISR, and no ELR");
    assert!(leader.answered(&change, Outcome::Succeeded));
    assert_eq!(leader.high_watermark(), 10);
    assert!(!leader.needs_a_look());
}

#[test]
fn a_leader_never_removes_itself() {
    let mut leader = lead_two();
    assert_eq!(leader.propose(0, LAG, dead(|id| id == 0)), None);
}

/// All three are in sync, and two of them are enough.
fn lead_three() -> Leader {
    let mut leader = lead(&three(5, &[ME, B, C]), 2);
    for follower in [B, C] {
        fetched(&mut leader, follower, 10);
    }
    leader.appended(12, 12, 0);
    leader
}

#[test]
fn who_cannot_append_leaves_at_once_and_comes_back_once_it_can() {
    let mut leader = lead_three();
    fetched(&mut leader, B, 12);
    assert!(leader.cannot_append(&fetch(C, 10)));
    assert!(!leader.cannot_append(&fetch(C, 10)), "no news");
    let change = leader.propose(1, LAG, nobody).unwrap();
    assert_eq!(change.new, three(6, &[ME, B]));
    fetched(&mut leader, C, 10);
    assert_eq!(leader.high_watermark(), 10, "until it is out it is waited for");
    assert!(leader.answered(&change, Outcome::Succeeded));
    assert_eq!(leader.high_watermark(), 12);
    assert!(!fetched(&mut leader, C, 10).may_join);
    assert!(fetched(&mut leader, C, 12).may_join);
    assert_eq!(leader.propose(2, LAG, nobody).unwrap().new, three(7, &[ME, B, C]));
}

#[test]
fn who_cannot_append_and_has_the_high_watermark_does_not_come_and_go() {
    let mut leader = lead_three();
    leader.cannot_append(&fetch(C, 10));
    let change = leader.propose(1, LAG, nobody).unwrap();
    leader.answered(&change, Outcome::Succeeded);
    assert_eq!(leader.high_watermark(), 10, "B does not have the rest yet");
    assert!(!fetched(&mut leader, C, 10).may_join, "it asks again for what it could not append");
    assert_eq!(leader.propose(2, LAG, nobody), None);
    assert!(fetched(&mut leader, C, 11).may_join, "it has come further");
}

#[test]
fn what_is_late_or_of_another_log_says_nothing_of_what_can_be_appended() {
    let mut leader = lead_three();
    fetched(&mut leader, C, 11);
    assert!(!leader.cannot_append(&fetch(C, 10)), "it has come further since");
    assert!(!leader.cannot_append(&fetch("2.0000000c-2", 11)), "another generation");
    let earlier = crate::FollowerFetch { leader_epoch: 2, ..fetch(C, 11) };
    assert!(!leader.cannot_append(&earlier));
    assert_eq!(leader.propose(1, LAG, nobody), None);
}

#[test]
fn who_holds_the_others_up_stays_where_too_few_would_be_left() {
    let mut leader = lead(&three(5, &[ME, B]), 2);
    fetched(&mut leader, B, 10);
    leader.appended(12, 12, 0);
    assert!(leader.cannot_append(&fetch(B, 10)));
    let silent = |_| Belief::Silent { patience_ms: 4 };
    assert_eq!(leader.propose(LAG, LAG, silent), None);
    assert_eq!(leader.propose(LAG + 1, LAG, silent).unwrap().new.isr, three(6, &[ME]).isr, "as in Kafka");

    let mut leader = lead_three();
    assert_eq!(
        leader.propose(LAG, LAG, silent),
        None,
        "a leader that hears nobody is the one that is cut off"
    );
}

#[test]
fn who_is_silent_leaves_once_it_is_behind_for_its_time() {
    let mut leader = lead_three();
    fetched(&mut leader, B, 12);
    let silent = |id| if id == 2 { Belief::Silent { patience_ms: 4_000 } } else { Belief::Well };
    assert_eq!(leader.propose(4_000, LAG, silent), None);
    assert_eq!(leader.propose(4_001, LAG, nobody), None);
    assert_eq!(leader.propose(4_001, LAG, silent).unwrap().new, three(6, &[ME, B]));
}

#[test]
fn who_is_silent_and_has_everything_stays() {
    let mut leader = lead_three();
    for follower in [B, C] {
        fetched(&mut leader, follower, 12);
    }
    assert_eq!(leader.propose(LAG * 2, LAG, |_| Belief::Silent { patience_ms: 0 }), None);
}
