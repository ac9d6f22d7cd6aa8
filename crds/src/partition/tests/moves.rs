//! Partitions that move between brokers.

use super::*;

/// Two replicas that move from 0 and 1 to 1 and 2.
fn moving() -> PartitionState {
    PartitionState::create(vec![0, 1], members(&[0, 1])).unwrap().reassign(&[1, 2]).unwrap()
}

fn joined(state: &PartitionState, brokers: &[i32]) -> PartitionState {
    state.change_isr(state.leader_epoch, members(brokers), 1).unwrap()
}

#[test]
fn a_move_begins_with_the_replicas_of_both_sides() {
    let state = moving();
    let text = "replicas=1,2,0 leader=0 leaderEpoch=0 partitionEpoch=1 isr=1.9f2c41d7-1,0.9f2c41d7-1 elr= adding=2 removing=0";
    assert_eq!(state.to_string(), text);
    assert_eq!(text.parse(), Ok(state.clone()));
    assert_eq!((state.target(), state.original()), (vec![1, 2], vec![1, 0]));
    assert_eq!(state.reassign(&[1, 2]), Err(NotPossible::Nothing));
    assert!(matches!(state.reassign(&[]), Err(NotPossible::Invalid(_))));
    assert!(matches!(state.reassign(&[3, 3]), Err(NotPossible::Invalid(_))));
    assert!(matches!(state.reassign(&[-1]), Err(NotPossible::Invalid(_))));
}

#[test]
fn it_ends_when_all_that_stay_are_in_sync_and_one_of_them_leads() {
    let state = moving();
    assert_eq!(state.complete(0), Err(NotPossible::Nothing));
    let all = joined(&state, &[0, 1, 2]);
    assert!(all.has_arrived() && !state.has_arrived());
    assert!(matches!(all.complete(0), Err(NotPossible::Invalid(_))));
    let led = all.elect(1).unwrap();
    assert_eq!(led.complete(0), Err(NotPossible::LeaderEpoch { current: 1, claimed: 0 }));
    let done = led.complete(1).unwrap();
    // Who has left sees an epoch above all in which it was a replica.
    assert_eq!(
        done.to_string(),
        "replicas=1,2 leader=1 leaderEpoch=2 partitionEpoch=4 isr=1.9f2c41d7-1,2.9f2c41d7-1 elr="
    );
    check_transition(&led, &done, 1).unwrap();
    assert_eq!(done.complete(2), Err(NotPossible::Nothing));
}

#[test]
fn where_nobody_leaves_the_leader_goes_on_in_its_epoch() {
    let state = PartitionState::create(vec![0], members(&[0])).unwrap().reassign(&[0, 1, 2]).unwrap();
    assert_eq!((state.needed_in_sync(2), state.adding.as_slice()), (1, &[1, 2][..]));
    let done = joined(&state, &[0, 1, 2]).complete(0).unwrap();
    assert_eq!((done.leader_epoch, done.needed_in_sync(2), done.is_reassigning()), (0, 2, false));
}

#[test]
fn a_cancelled_move_drops_who_has_nothing_at_once_and_others_by_the_leader() {
    let state = moving();
    let back = state.reassign(&state.original()).unwrap();
    assert_eq!((back.replicas.as_slice(), back.is_reassigning(), back.leader_epoch), (&[1, 0][..], false, 1));
    check_transition(&state, &back, 1).unwrap();
    let all = joined(&state, &[0, 1, 2]);
    let back = all.reassign(&all.original()).unwrap();
    assert_eq!((back.replicas.as_slice(), back.removing.as_slice()), (&[1, 0, 2][..], &[2][..]));
    assert_eq!((back.leader_epoch, back.complete(0).unwrap().leader_epoch), (0, 1));
    check_transition(&all, &back, 1).unwrap();
}

#[test]
fn another_order_of_the_same_replicas_is_there_at_once() {
    let next = three().reassign(&[2, 0, 1]).unwrap();
    assert_eq!(
        (next.replicas.as_slice(), next.is_reassigning(), next.leader),
        (&[2, 0, 1][..], false, Some(0))
    );
    assert_eq!(next.isr, members(&[2, 0, 1]));
    check_transition(&three(), &next, 2).unwrap();
}

#[test]
fn nobody_but_a_leader_takes_a_member_out() {
    let all = joined(&moving(), &[0, 1, 2]);
    let led = all.elect(1).unwrap();
    let same_epoch = PartitionState { leader_epoch: led.leader_epoch, ..led.complete(1).unwrap() };
    check_transition(&led, &same_epoch, 1).unwrap_err();
    let mut early = moving().elect(1).unwrap();
    let before = early.clone();
    (early.replicas, early.isr, early.adding, early.removing) = (vec![1, 2], members(&[1]), vec![], vec![]);
    (early.partition_epoch, early.leader_epoch) = (before.partition_epoch + 1, before.leader_epoch + 1);
    check_transition(&before, &early, 1).unwrap_err();
}

proptest! {
    /// Nobody who counts is lost by a move: who leaves the replicas leaves them in a higher leader epoch, and who
    /// leaves the ISR leaves one behind that has every replica.
    #[test]
    fn moves_are_legal_and_lose_nobody(
        state in any_state(), target in prop::collection::btree_set(0..1000i32, 1..5), known in any::<u8>()
    ) {
        let known = state.replicas.iter().enumerate().filter(|(at, _)| known >> (at % 8) & 1 == 1).map(|(_, id)| *id);
        let target: Vec<i32> = known.chain(target).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let steps = [state.reassign(&target), state.reassign(&state.original()), state.complete(state.leader_epoch)];
        for next in steps.into_iter().flatten() {
            check_transition(&state, &next, 1).unwrap();
            prop_assert_eq!(next.to_string().parse(), Ok(next.clone()));
            let left = state.replicas.iter().any(|id| !next.replicas.contains(id));
            prop_assert!(!left || next.leader_epoch > state.leader_epoch, "{} -> {}", state, next);
            let lost = state.isr.iter().chain(&state.elr).any(|m| next.in_isr(m.broker).or(next.in_elr(m.broker)).is_none());
            prop_assert!(!lost || next.isr.len() == next.replicas.len(), "{} -> {}", state, next);
        }
    }
}
