use super::world::*;
use crate::{Answer, Belief, Learned, LogView, Outcome, Refusal, Replica, Role, Source};

fn at(leader: i32, leader_epoch: i32, partition_epoch: i32) -> milena_crds::partition::PartitionState {
    state(&format!(
        "replicas=0,1,2 leader={leader} leaderEpoch={leader_epoch} partitionEpoch={partition_epoch} isr={ME},{B},{C} elr="
    ))
}

fn new() -> Replica {
    Replica::new(member(ME), -1, false)
}

fn learn(replica: &mut Replica, leader: i32, leader_epoch: i32, partition_epoch: i32) -> Learned {
    replica.learn(&at(leader, leader_epoch, partition_epoch), Source::Cache, conditions(10))
}

#[test]
fn leads_and_follows_as_states_say() {
    let mut replica = new();
    assert_eq!(learn(&mut replica, 0, 3, 5), Learned::Leads);
    assert_eq!(learn(&mut replica, 0, 3, 6), Learned::Unchanged { moved: false });
    assert_eq!(learn(&mut replica, 1, 4, 7), Learned::Follows);
    assert_eq!(replica.follower().unwrap().leader(), 1);
    assert_eq!(learn(&mut replica, 2, 5, 8), Learned::Follows);
    assert_eq!(learn(&mut replica, 0, 6, 9), Learned::Leads);
    let offline = state(&at(0, 7, 10).to_string().replace("leader=0", "leader=none"));
    assert_eq!(replica.learn(&offline, Source::Cache, conditions(10)), Learned::Idles);
}

#[test]
fn what_is_older_is_refused() {
    let mut replica = new();
    learn(&mut replica, 1, 4, 7);
    assert_eq!(learn(&mut replica, 0, 3, 9), Learned::Refused);
    assert_eq!(learn(&mut replica, 1, 4, 6), Learned::Refused);
    assert_eq!(learn(&mut replica, 1, 4, 7), Learned::Unchanged { moved: false });
}

#[test]
fn a_higher_epoch_ends_a_leadership() {
    let mut replica = new();
    learn(&mut replica, 0, 3, 5);
    let mut ask = fetch(B, 10);
    ask.leader_epoch = 4;
    assert_eq!(replica.fetch(&ask, &log(), 0).answer, Answer::Refused(Refusal::HigherEpoch { current: 3 }));
    assert!(replica.leader().is_none());
    assert_eq!(learn(&mut replica, 0, 3, 6), Learned::Refused, "its own epoch is over");
    assert_eq!(replica.fetch(&fetch(B, 10), &log(), 0).answer, Answer::Refused(Refusal::NotLeader));
    assert_eq!(learn(&mut replica, 1, 4, 6), Learned::Follows);
    assert!(!replica.saw_epoch(4));
    assert!(replica.saw_epoch(5));
    assert!(matches!(replica.role(), Role::Idle));
}

#[test]
fn a_restarted_leader_resumes_in_the_epochs_of_its_former_life() {
    let mut replica = Replica::new(member(ME), 3, false);
    assert_eq!(learn(&mut replica, 0, 2, 4), Learned::Refused);
    assert_eq!(learn(&mut replica, 0, 3, 5), Learned::Leads);
    let leader = replica.leader_mut().unwrap();
    fetched(leader, B, 10);
    assert_eq!(leader.propose(1_000_000, 1, dead(|_| true)), None);
    assert_eq!(learn(&mut replica, 0, 4, 6), Learned::Leads);
    let leader = replica.leader_mut().unwrap();
    assert!(leader.propose(1_000_000, 1, dead(|id| id == 1)).is_some());
}

#[test]
fn who_stood_down_leads_the_same_epoch_as_after_a_restart() {
    let mut replica = new();
    learn(&mut replica, 0, 3, 5);
    assert!(replica.stand_down());
    assert_eq!(learn(&mut replica, 0, 3, 5), Learned::Leads);
    assert_eq!(replica.leader_mut().unwrap().propose(1_000_000, 1, dead(|_| true)), None);
}

#[test]
fn a_changed_generation_reads_the_store_itself_first() {
    let mut replica = Replica::new(member(ME), -1, true);
    for source in [Source::Memory, Source::Cache] {
        assert_eq!(replica.learn(&at(1, 4, 7), source, conditions(10)), Learned::Refused);
    }
    assert_eq!(replica.learn(&at(1, 4, 7), Source::Store, conditions(10)), Learned::Follows);
    assert_eq!(learn(&mut replica, 2, 5, 8), Learned::Follows);
}

#[test]
fn who_has_told_its_end_refuses_the_epochs_up_to_the_stored_one() {
    let mut replica = new();
    learn(&mut replica, 1, 4, 7);
    assert_eq!(replica.report(4, &log()), None, "somebody leads");
    let offline = milena_crds::partition::PartitionState { leader: None, ..at(1, 5, 8) };
    replica.learn(&offline, Source::Cache, conditions(10));
    assert_eq!(replica.report(6, &log()), None, "it has not seen that yet");
    let report = replica.report(5, &log()).unwrap();
    assert_eq!((report.last_epoch, report.log_end, report.refuses), (2, 10, 5));
    assert!(matches!(replica.role(), Role::Idle));
    assert_eq!(replica.report(3, &log()).unwrap().refuses, 5, "never less than before");
    assert_eq!(learn(&mut replica, 1, 5, 9), Learned::Refused);
    assert_eq!(learn(&mut replica, 1, 6, 9), Learned::Follows);
    assert_eq!(replica.report(5, &log()), None, "there is a leader again");
}

#[test]
fn an_answer_of_the_store_is_a_state_that_was_seen() {
    let mut replica = new();
    learn(&mut replica, 0, 3, 5);
    let change = replica.leader_mut().unwrap().propose(0, 1, dead(|id| id == 2)).unwrap();
    replica.answered(&change, Outcome::Succeeded);
    assert_eq!(replica.state().unwrap().partition_epoch, 6);
    assert_eq!(learn(&mut replica, 0, 3, 5), Learned::Refused);
    assert_eq!(learn(&mut replica, 1, 4, 7), Learned::Follows);
    assert!(!replica.answered(&change, Outcome::Succeeded), "too late to matter");
}

#[test]
fn an_epoch_that_wrote_nothing_is_not_that_of_the_last_record() {
    assert_eq!(FakeLog::of(&[1, 1]).last_epoch(), 1);
    assert_eq!(FakeLog { start: 4, epochs: vec![] }.last_epoch(), -1);
}

#[test]
fn who_stops_acting_on_what_it_is_shown_goes_on_where_it_was() {
    let mut replica = new();
    learn(&mut replica, 0, 3, 5);
    let leader = replica.leader_mut().unwrap();
    let change = leader.propose(0, 1000, |id| if id == 2 { Belief::Dead } else { Belief::Well }).unwrap();
    assert!(replica.suspend() && replica.leader().is_none() && !replica.suspend());
    // What it proposed is not forgotten: what comes of it is heard meanwhile.
    assert!(!replica.answered(&change, Outcome::Unknown));
    assert_eq!(learn(&mut replica, 0, 3, 5), Learned::Leads);
    let leader = replica.leader_mut().unwrap();
    assert!(leader.has_pending_change());
    assert_eq!(leader.propose(0, 1000, |_| Belief::Well), Some(change), "repeated, never taken back");
    replica.suspend();
    assert_eq!(learn(&mut replica, 1, 4, 9), Learned::Follows);
}

#[test]
fn who_has_told_what_it_remembers_acts_on_nothing_that_is_not_newer() {
    let mut replica = new();
    learn(&mut replica, 0, 3, 5);
    assert_eq!(replica.freeze(2), 3);
    assert!(matches!(replica.role(), Role::Idle));
    assert_eq!(replica.freeze(1), 3, "asked again it answers the same");
    assert_eq!(learn(&mut replica, 0, 3, 6), Learned::Refused);
    assert_eq!(replica.freeze(7), 7);
    assert_eq!(learn(&mut replica, 1, 7, 9), Learned::Refused);
    assert_eq!(learn(&mut replica, 0, 8, 9), Learned::Leads);
    assert_eq!(replica.freeze(1), 8);
}

#[test]
fn a_late_question_refuses_nothing_that_was_put_back_by_an_earlier_answer() {
    let mut replica = Replica::new(member(ME), 2, false);
    assert_eq!(replica.freeze(0), 2);
    // It starts again, and a follower that has learned of the state that was put back names its epoch.
    let mut replica = Replica::new(member(ME), 2, false);
    replica.saw_epoch(4);
    assert_eq!(replica.freeze(0), 3);
    assert_eq!(learn(&mut replica, 0, 4, 5), Learned::Leads);
}
