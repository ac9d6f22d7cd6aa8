use proptest::prelude::*;

use super::world::*;
use crate::{Answer, FollowerStep, LogView};

#[test]
fn asks_from_its_end_on_with_the_epoch_of_its_last_record() {
    let follower = follow(B);
    assert_eq!(follower.next_fetch(&FakeLog::of(&[1, 1, 2])), fetch_of(3, 2));
    assert_eq!(follower.next_fetch(&FakeLog::of(&[])), fetch_of(0, -1));
    assert_eq!(follower.next_fetch(&FakeLog { start: 7, epochs: vec![] }), fetch_of(7, -1));
}

fn fetch_of(offset: i64, last_epoch: i32) -> crate::FollowerFetch {
    crate::FollowerFetch { replica: member(B), leader_epoch: 3, offset, last_epoch }
}

#[test]
fn late_and_repeated_answers_are_ignored() {
    let mut follower = follow(B);
    let mut log = FakeLog::of(&[1, 1]);
    let asked = follower.next_fetch(&log);
    let answer = Answer::Records { high_watermark: 2, log_start: 0 };
    assert_eq!(follower.take(&asked, &answer, &log), FollowerStep::Append);
    log.epochs.push(2);
    assert_eq!(follower.take(&asked, &answer, &log), FollowerStep::Ignore);
    let mut older = follower.next_fetch(&log);
    older.leader_epoch = 2;
    assert_eq!(follower.take(&older, &answer, &log), FollowerStep::Ignore);
}

#[test]
fn cuts_to_the_end_of_the_last_epoch_that_both_know() {
    let mut follower = follow(B);
    let log = FakeLog::of(&[1, 1, 1, 2, 2]);
    let asked = follower.next_fetch(&log);
    let cut = |follower: &mut crate::Follower, epoch, end_offset| {
        follower.take(&asked, &Answer::Diverging { epoch, end_offset }, &log)
    };
    assert_eq!(cut(&mut follower, 2, 4), FollowerStep::Truncate(4));
    assert_eq!(cut(&mut follower, 1, 10), FollowerStep::Truncate(3));
    assert_eq!(cut(&mut follower, 1, 2), FollowerStep::Truncate(2));
    assert_eq!(cut(&mut follower, 0, 1), FollowerStep::Truncate(0));
    assert_eq!(cut(&mut follower, -1, 0), FollowerStep::Truncate(0));
    assert_eq!(cut(&mut follower, 2, 100), FollowerStep::Truncate(4), "a step that leads nowhere leads on");
}

#[test]
fn begins_anew_only_behind_its_end() {
    let mut follower = follow(B);
    let log = FakeLog::of(&[1, 1, 1]);
    let asked = follower.next_fetch(&log);
    assert_eq!(follower.take(&asked, &Answer::StartsLater { log_start: 8 }, &log), FollowerStep::StartAt(8));
    assert_eq!(follower.take(&asked, &Answer::StartsLater { log_start: 2 }, &log), FollowerStep::Ignore);
    follower.truncated(8);
    assert_eq!(follower.high_watermark(), 8, "what is gone was committed");
}

#[test]
fn the_high_watermark_never_passes_the_log_end() {
    let mut follower = follow(B);
    assert!(follower.appended(5, 9));
    assert_eq!(follower.high_watermark(), 5);
    assert!(!follower.appended(6, 4));
    assert_eq!(follower.high_watermark(), 5);
    follower.truncated(3);
    assert_eq!(follower.high_watermark(), 3);
}

/// Up to four records of rising epochs out of `pool`.
fn records(pool: &'static [i32]) -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(prop::sample::select(pool), 0..4).prop_map(|mut epochs| {
        epochs.sort_unstable();
        epochs
    })
}

/// What two logs have in common, and how each goes on: an epoch writes from one offset on, so no epoch is in both.
fn logs() -> impl Strategy<Value = (Vec<i32>, Vec<i32>, Vec<i32>)> {
    let ends =
        prop_oneof![(records(&[2, 4, 6]), records(&[3, 5, 7])), (records(&[3, 5, 7]), records(&[2, 4, 6])),];
    (records(&[0, 1, 2]), ends).prop_map(|(common, (own, leaders))| (common, own, leaders)).prop_filter(
        "the last epoch of both goes on in one of them",
        |(common, own, leaders)| {
            let goes_on = |log: &Vec<i32>| log.first() == common.last() && !common.is_empty();
            !(goes_on(own) && goes_on(leaders))
        },
    )
}

proptest! {
    /// From any log a follower comes to have the leader's, and is never cut below what both had.
    #[test]
    fn any_log_becomes_the_leaders((common, own, leaders) in logs(), cut in 0..3_i64) {
        let leaders: Vec<i32> = common.iter().chain(&leaders).copied().collect();
        let mut log = FakeLog::of(&common.iter().chain(&own).copied().collect::<Vec<_>>());
        let cut = cut.min(FakeLog::of(&leaders).log_end());
        let leader_log =
            FakeLog { start: cut, epochs: leaders[usize::try_from(cut).unwrap()..].to_vec() };
        let (end, state) = (leader_log.log_end(), three(5, &[ME, B]));
        let how = crate::Leadership::Elected;
        let mut leader = crate::Leader::new(member(ME), &state, how, 2, end, 0, 0).unwrap();
        let mut follower = follow(B);
        let common = FakeLog::of(&common).log_end();
        for _ in 0..40 {
            let asked = follower.next_fetch(&log);
            let served = leader.fetch(&asked, &leader_log, 0);
            let step = follower.take(&asked, &served.answer, &log);
            let behind = matches!(step, FollowerStep::StartAt(_));
            log.carry_out(step, &leader_log);
            let has_what_both_had = log.log_end() >= common || common <= leader_log.start;
            prop_assert!(behind || has_what_both_had, "{log:?}");
        }
        let has: Vec<i32> =
            (leader_log.start..log.log_end()).map(|offset| log.epoch_at(offset).unwrap()).collect();
        prop_assert_eq!(&leader_log.epochs, &has);
        prop_assert_eq!(leader.high_watermark(), end);
    }
}
