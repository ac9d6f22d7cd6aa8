use milena_crds::names;

use super::*;

fn life(identity: &str) -> Life {
    Life {
        place: Place {
            cluster: "demo".into(),
            namespace: "kafka".into(),
            pod: "demo-1".into(),
            broker: 1,
            pod_ip: Some("10.0.0.7".into()),
            rack: None,
        },
        generation: Generation { disk: 0x9f2c_41d7, unclean_starts: 2 },
        identity: identity.into(),
    }
}

fn leaving() -> Wish {
    Wish { phase: Phase::Draining, ..Wish::default() }
}

fn owner() -> OwnerReference {
    OwnerReference { kind: "KafkaCluster".into(), name: "demo".into(), ..OwnerReference::default() }
}

fn annotation<'a>(lease: &'a Lease, name: &str) -> Option<&'a str> {
    lease.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

#[test]
fn a_lease_says_who_where_and_with_which_log() {
    let lease = life("demo-1/a").first(1, owner(), Timestamp::UNIX_EPOCH);
    assert_eq!(annotation(&lease, names::ENDPOINT), Some("demo-broker-1.kafka.svc:9092"));
    assert_eq!(annotation(&lease, names::POD_IP), Some("10.0.0.7"));
    assert_eq!(annotation(&lease, names::LOG_GENERATION), Some("9f2c41d7-2"));
    assert_eq!(annotation(&lease, names::RACK), None);
    assert_eq!(annotation(&lease, names::DRAINING), None);
    assert_eq!(lease.metadata.labels.as_ref().unwrap()[names::BROKER], "1");
    let spec = lease.spec.as_ref().unwrap();
    assert_eq!((spec.lease_transitions, spec.lease_duration_seconds), (Some(1), Some(3)));
    assert_eq!(life("demo-1/a").holder(&lease), Holder::Me);
}

#[test]
fn a_renewal_changes_the_time_alone() {
    let life = life("demo-1/a");
    let first = life.first(4, owner(), Timestamp::UNIX_EPOCH);
    let later = Timestamp::from_second(1).unwrap();
    let mut renewed = life.renewed(first.clone(), 4, &Wish::default(), later);
    renewed.spec.as_mut().unwrap().renew_time = Some(MicroTime(Timestamp::UNIX_EPOCH));
    assert_eq!(renewed, first);
}

#[test]
fn a_new_life_takes_over_with_a_higher_epoch_and_without_old_annotations() {
    let (old, new) = (life("demo-1/a"), life("demo-1/b"));
    let mut draining =
        old.renewed(old.first(4, owner(), Timestamp::UNIX_EPOCH), 4, &leaving(), Timestamp::UNIX_EPOCH);
    draining.metadata.annotations.as_mut().unwrap().insert("mine".into(), "stays".into());
    assert_eq!(new.holder(&draining), Holder::Other { identity: "demo-1/a".into(), epoch: 4 });
    let epoch = next_epoch(Some(&draining), 0);
    let later = Timestamp::from_second(9).unwrap();
    let taken = new.renewed(draining, epoch, &Wish::default(), later);
    assert_eq!(annotation(&taken, names::DRAINING), None);
    assert_eq!(annotation(&taken, "mine"), Some("stays"));
    let spec = taken.spec.unwrap();
    assert_eq!((spec.lease_transitions, spec.acquire_time), (Some(5), Some(MicroTime(later))));
}

#[test]
fn a_released_lease_is_nobodys_and_keeps_its_epoch() {
    let life = life("demo-1/a");
    let lease = life.released(life.first(4, owner(), Timestamp::UNIX_EPOCH), 4, Timestamp::UNIX_EPOCH);
    assert_eq!(life.holder(&lease), Holder::Nobody);
    assert_eq!(annotation(&lease, names::DRAINING), Some("true"));
    assert_eq!(next_epoch(Some(&lease), 0), 5);
}

#[test]
fn the_epoch_is_above_what_the_disk_remembers_too() {
    assert_eq!(next_epoch(None, 0), 1);
    assert_eq!(next_epoch(None, 7), 8);
    assert_eq!(next_epoch(None, i32::MAX), i32::MAX);
    assert_eq!(next_epoch(None, -3), 1);
}

#[test]
fn a_lease_names_what_its_broker_cannot_serve() {
    let life = life("demo-1/a");
    let first = life.first(4, owner(), Timestamp::UNIX_EPOCH);
    assert_eq!(annotation(&first, names::OFFLINE_PARTITIONS), None);
    let text = "67e55044-10b1-426f-9247-bb680e5fe0c8/0,12";
    let wish = Wish { offline: text.parse().unwrap(), ..Wish::default() };
    let troubled = life.renewed(first, 4, &wish, Timestamp::UNIX_EPOCH);
    assert_eq!(annotation(&troubled, names::OFFLINE_PARTITIONS), Some(text));
    assert_eq!(annotation(&troubled, names::DRAINING), None);
    let mended = life.renewed(troubled, 4, &Wish::default(), Timestamp::UNIX_EPOCH);
    assert_eq!(annotation(&mended, names::OFFLINE_PARTITIONS), None);
}

#[test]
fn a_renewal_takes_away_that_its_broker_is_believed_dead() {
    let life = life("demo-1/a");
    let mut lease = life.first(4, owner(), Timestamp::UNIX_EPOCH);
    assert!(!is_believed_dead(&lease));
    lease.metadata.annotations.get_or_insert_default().insert(names::BELIEVED_DEAD.into(), "4".into());
    assert!(is_believed_dead(&lease));
    assert!(!is_believed_dead(&life.renewed(lease, 4, &Wish::default(), Timestamp::UNIX_EPOCH)));
}
