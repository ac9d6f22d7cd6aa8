use proptest::prelude::*;
use uuid::Uuid;

use super::*;

mod moves;

const DISK: u32 = 0x9f2c_41d7;

fn generation(unclean_starts: u32) -> Generation {
    Generation { disk: DISK, unclean_starts }
}

fn member(broker: i32) -> Member {
    Member { broker, generation: generation(1) }
}

fn members(brokers: &[i32]) -> Vec<Member> {
    brokers.iter().copied().map(member).collect()
}

/// Three replicas, all in sync, led by the first.
fn three() -> PartitionState {
    PartitionState::create(vec![0, 1, 2], members(&[0, 1, 2])).unwrap()
}

#[test]
fn the_text_is_the_one_of_the_design() {
    let text = "replicas=0,1,2 leader=0 leaderEpoch=3 partitionEpoch=5 isr=0.9f2c41d7-1,2.9f2c41d7-1 elr=1.9f2c41d7-1";
    let state: PartitionState = text.parse().unwrap();
    assert_eq!((state.leader, state.leader_epoch, state.partition_epoch), (Some(0), 3, 5));
    assert_eq!((state.isr.clone(), state.elr.clone()), (members(&[0, 2]), members(&[1])));
    assert_eq!(state.to_string(), text);
    let offline = "replicas=7 leader=none leaderEpoch=0 partitionEpoch=1 isr=7.00000001-0 elr=";
    assert_eq!(offline.parse::<PartitionState>().unwrap().to_string(), offline);
}

#[test]
fn one_state_has_one_text() {
    let wrong = [
        "",
        "replicas= leader=none leaderEpoch=0 partitionEpoch=0 isr= elr=",
        "replicas=0 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr= ",
        "replicas=0  leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr=",
        "replicas=00 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr=",
        "replicas=0 leader=+0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr=",
        "replicas=0 leader=0 leaderEpoch=-1 partitionEpoch=0 isr=0.9f2c41d7-1 elr=",
        "replicas=0 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9F2C41D7-1 elr=",
        "replicas=0 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d-1 elr=",
        "replicas=0 leader=0 leaderEpoch=2147483648 partitionEpoch=0 isr=0.9f2c41d7-1 elr=",
        "replicas=0 leader=1 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr=",
        "replicas=0 leader=0 leaderEpoch=0 partitionEpoch=0 isr= elr=0.9f2c41d7-1",
        "replicas=0,0 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr=",
        "replicas=0,1 leader=0 leaderEpoch=0 partitionEpoch=0 isr=1.9f2c41d7-1,0.9f2c41d7-1 elr=",
        "replicas=0,1 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr=0.9f2c41d7-1",
        "replicas=0 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1,1.9f2c41d7-1 elr=",
        "leader=0 replicas=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr=",
        "replicas=0 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr= adding= removing=",
        "replicas=0,1 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr= adding=1",
        "replicas=0,1 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr= adding=2 removing=",
        "replicas=0,1 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr= adding=0,1 removing=",
        "replicas=0,1,2 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr= adding=2,1 removing=",
        "replicas=0,1,2 leader=0 leaderEpoch=0 partitionEpoch=0 isr=0.9f2c41d7-1 elr= adding=1 removing=1",
    ];
    for text in wrong {
        assert!(text.parse::<PartitionState>().is_err(), "{text}");
    }
    let many: Vec<String> = (0..=MAX_REPLICAS).map(|id| id.to_string()).collect();
    let text = format!("replicas={} leader=none leaderEpoch=0 partitionEpoch=0 isr= elr=", many.join(","));
    assert!(text.parse::<PartitionState>().is_err());
    assert!("9f2c41d7-1".parse::<Generation>().is_ok());
    assert!("0.9f2c41d7-01".parse::<Member>().is_err());
}

#[test]
fn errors_repeat_only_the_beginning_of_a_long_text() {
    let error = "x".repeat(MAX_TEXT * 2).parse::<PartitionState>().unwrap_err();
    assert!(error.to_string().len() < 300);
}

#[test]
fn keys_are_topic_id_and_partition() {
    let key = PartitionKey { topic_id: Uuid::from_u128(1), partition: 12 };
    assert_eq!(key.to_string(), "00000000-0000-0000-0000-000000000001/12");
    assert_eq!(key.to_string().parse(), Ok(key));
    let wrong = ["", "1/2", "00000000000000000000000000000001/0", "00000000-0000-0000-0000-000000000001/-1"];
    for text in wrong {
        assert!(text.parse::<PartitionKey>().is_err(), "{text}");
    }
}

#[test]
fn an_election_out_of_the_isr_leaves_it_as_it_is() {
    let next = three().elect(1).unwrap();
    assert_eq!((next.leader, next.leader_epoch, next.partition_epoch), (Some(1), 1, 1));
    assert_eq!(next.isr, three().isr);
    assert_eq!(three().elect(3), Err(NotPossible::NotEligible(3)));
}

#[test]
fn who_leaves_below_min_insync_replicas_joins_the_elr() {
    let two = three().change_isr(0, members(&[0, 1]), 2).unwrap();
    assert_eq!(two.elr, []);
    let one = two.change_isr(0, members(&[0]), 2).unwrap();
    assert_eq!(one.elr, members(&[1]));
    let back = one.change_isr(0, members(&[2, 0]), 2).unwrap();
    assert_eq!((back.isr, back.elr), (members(&[0, 2]), vec![]));
}

#[test]
fn the_elr_goes_without_a_change_of_the_isr_once_that_is_large_enough() {
    let one = three().change_isr(0, members(&[0, 1]), 2).unwrap().change_isr(0, members(&[0]), 2).unwrap();
    assert_eq!(one.change_isr(0, members(&[0]), 2), Err(NotPossible::Nothing));
    let next = one.change_isr(0, members(&[0]), 1).unwrap();
    assert_eq!((&next.isr, next.elr.len()), (&members(&[0]), 0));
    check_transition(&one, &next, 1).unwrap();
    check_transition(&one, &next, 2).unwrap_err();
    let elected = PartitionState { leader_epoch: next.leader_epoch + 1, ..next };
    check_transition(&one, &elected, 1).unwrap_err();
}

#[test]
fn who_is_elected_from_the_elr_is_alone_and_the_former_isr_joins_the_elr() {
    let one = three().change_isr(0, members(&[0, 1]), 2).unwrap().change_isr(0, members(&[0]), 2).unwrap();
    let next = one.offline().unwrap().elect(1).unwrap();
    assert_eq!((next.leader, next.isr, next.elr), (Some(1), members(&[1]), members(&[0])));
    // Even where min.insync.replicas has come down: only a leader takes out who may have the records.
    check_transition(&one.offline().unwrap(), &one.offline().unwrap().elect(1).unwrap(), 1).unwrap();
}

#[test]
fn a_leader_changes_the_isr_only_in_its_own_epoch_and_never_itself() {
    let state = three().elect(1).unwrap();
    let old = state.change_isr(0, members(&[1]), 2);
    assert_eq!(old, Err(NotPossible::LeaderEpoch { current: 1, claimed: 0 }));
    assert!(matches!(state.change_isr(1, members(&[0, 2]), 2), Err(NotPossible::Invalid(_))));
    assert_eq!(state.change_isr(1, members(&[0, 1, 2]), 2), Err(NotPossible::Nothing));
    let offline = state.offline().unwrap();
    assert_eq!(offline.change_isr(2, members(&[0]), 2), Err(NotPossible::Offline));
    assert_eq!(offline.offline(), Err(NotPossible::Offline));
}

#[test]
fn recovery_renews_one_entry_on_the_same_disk() {
    let state = three().offline().unwrap();
    let next = state.recover(2, generation(3), 7).unwrap();
    assert_eq!((next.leader, next.leader_epoch), (Some(2), 8));
    assert_eq!(next.in_isr(2), Some(generation(3)));
    assert_eq!(next.in_isr(0), Some(generation(1)));
    assert_eq!(state.recover(2, generation(1), 0), Err(NotPossible::OtherDisk(2)));
    let other = Generation { disk: 1, unclean_starts: 9 };
    assert_eq!(state.recover(2, other, 0), Err(NotPossible::OtherDisk(2)));
    assert_eq!(state.recover(9, generation(3), 0), Err(NotPossible::NotEligible(9)));
}

#[test]
fn epochs_do_not_wrap() {
    let last = PartitionState { partition_epoch: i32::MAX, ..three() };
    assert_eq!(last.elect(1), Err(NotPossible::EpochsUsedUp));
    let last = PartitionState { leader_epoch: i32::MAX, ..three() };
    assert_eq!(last.offline(), Err(NotPossible::EpochsUsedUp));
}

#[test]
fn illegal_steps_are_found() {
    let state = three().elect(1).unwrap();
    let bad = |change: fn(&mut PartitionState)| {
        let mut next = state.offline().unwrap();
        change(&mut next);
        check_transition(&state, &next, 2).unwrap_err().to_string()
    };
    assert!(bad(|next| next.partition_epoch += 1).contains("partition epoch"));
    assert!(bad(|next| next.replicas.push(3)).contains("by a move alone"));
    assert!(bad(|next| next.leader_epoch = 0).contains("never falls"));
    assert!(bad(|next| next.leader_epoch = 1).contains("raises the leader epoch"));
    assert!(bad(|next| next.isr.truncate(1)).contains("joins the ELR"));
    assert!(bad(|next| next.isr.truncate(2)).contains("joins the ELR"));
    assert!(bad(|next| next.elr = next.isr.split_off(2)).contains("leader alone"));
    let removes = |next: &mut PartitionState| {
        (next.isr, next.elr, next.leader) = (members(&[0, 2]), members(&[1]), Some(2));
    };
    assert!(bad(removes).contains("leaves the ISR"));
    assert!(
        bad(|next| {
            next.leader = Some(0);
            next.isr[0].generation = Generation { disk: 1, unclean_starts: 9 };
        })
        .contains("generation")
    );
}

fn any_generation() -> impl Strategy<Value = Generation> {
    (any::<u32>(), any::<u32>()).prop_map(|(disk, unclean_starts)| Generation { disk, unclean_starts })
}

/// Valid states: each replica is in the ISR, in the ELR or in neither.
fn any_state() -> impl Strategy<Value = PartitionState> {
    // The last number: a replica that is added, or that is removed, or that stays.
    let replica = (any_generation(), 0..3u8, 0..6u8);
    let replicas = prop::collection::btree_map(0..1000i32, replica, 1..6);
    let epochs = (0..i32::MAX, 0..i32::MAX);
    (replicas, epochs, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(replicas, epochs, pick, led)| {
            let of = |wanted: u8| {
                let all = replicas.iter().filter(move |(_, (_, set, _))| *set == wanted);
                all.map(|(broker, (generation, ..))| Member { broker: *broker, generation: *generation })
            };
            // Who has the least id stays, so that there is somebody before and after.
            let moving = |wanted: u8| {
                let all = replicas.iter().skip(1).filter(move |(_, (.., moves))| *moves == wanted);
                all.map(|(broker, _)| *broker).collect()
            };
            let isr: Vec<_> = of(0).collect();
            let leader = (led && !isr.is_empty()).then(|| pick.get(&isr).broker);
            PartitionState {
                replicas: replicas.keys().copied().collect(),
                leader,
                leader_epoch: epochs.0,
                partition_epoch: epochs.1,
                elr: of(1).collect(),
                adding: moving(0),
                removing: moving(1),
                isr,
            }
        },
    )
}

proptest! {
    #[test]
    fn states_read_back_as_they_were_written(state in any_state()) {
        prop_assert_eq!(state.validate(), Ok(()));
        prop_assert_eq!(state.to_string().parse(), Ok(state));
    }

    #[test]
    fn what_is_read_is_written_as_it_was(text in "replicas=[0-2,]{1,5} leader=([0-2]|none) leaderEpoch=[0-9]{1,2} partitionEpoch=[0-9] isr=([0-2][.]0000000[ab]-[01],?){0,3} elr=([0-2][.]0000000[ab]-[01]){0,1}") {
        if let Ok(state) = text.parse::<PartitionState>() {
            prop_assert_eq!(state.to_string(), text);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), broken in any_state(), cut in any::<prop::sample::Index>()) {
        let _ = text.parse::<PartitionState>();
        let _ = text.parse::<PartitionKey>();
        let whole = broken.to_string();
        let part: String = whole.chars().take(cut.index(whole.len())).collect();
        // A text cut within its last number, or without its last ELR entry, is a text of another state.
        if let Ok(state) = part.parse::<PartitionState>() {
            prop_assert_eq!(state.to_string(), part);
        }
    }

    /// Whatever the functions return is a legal successor, and the promise of the ELR holds: who was in ISR or ELR and
    /// leaves both leaves an ISR of at least min.insync.replicas behind.
    #[test]
    fn every_change_is_legal(
        state in any_state(), min in 1..4usize, broker in 0..1000i32, kept in any::<u8>(), generation in any_generation()
    ) {
        let renewed = state.in_isr(broker).map_or(generation, |old| Generation { unclean_starts: old.unclean_starts.saturating_add(1), ..old });
        let isr = state.isr.iter().enumerate().filter(|(i, m)| kept >> (i % 8) & 1 == 1 || Some(m.broker) == state.leader);
        let isr: Vec<_> = isr.map(|(_, member)| *member).collect();
        let any_member = state.isr.iter().chain(&state.elr).map(|m| m.broker).next().unwrap_or(broker);
        let changes = [
            state.elect(any_member),
            state.elect(broker),
            state.offline(),
            state.change_isr(state.leader_epoch, isr, min),
            state.recover(any_member, renewed, 0),
        ];
        for next in changes.into_iter().flatten() {
            check_transition(&state, &next, min).unwrap();
            let gone = state.isr.iter().chain(&state.elr).any(|m| next.in_isr(m.broker).or(next.in_elr(m.broker)).is_none());
            prop_assert!(!gone || next.isr.len() >= min, "{} -> {}", state, next);
        }
    }
}
