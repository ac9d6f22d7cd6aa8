//! Who is alive, from Leases, pods and connections.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use milena_controller::Liveness;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::pulse::follow;
use super::roster::Roster;

const SECOND: Duration = Duration::from_secs(1);

fn lease(broker: i32, epoch: i32, renewed: u32) -> Lease {
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("demo-{broker}"),
            "annotations": {
                "milena.dev/log-generation": "9f2c41d7-0",
                "milena.dev/pod-ip": "127.0.0.1",
                "milena.dev/version": "0.1.0",
            },
        },
        "spec": {
            "holderIdentity": "somebody", "leaseDurationSeconds": 3, "leaseTransitions": epoch,
            "acquireTime": "2026-01-01T00:00:10.500000Z",
            "renewTime": format!("2026-01-01T00:01:{renewed:02}.000000Z"),
        },
    }))
    .unwrap()
}

fn pod(broker: i32, state: serde_json::Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": format!("demo-{broker}") },
        "status": { "containerStatuses": [{
            "name": "broker", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": state,
        }] },
    }))
    .unwrap()
}

fn terminated(at: &str) -> serde_json::Value {
    json!({ "terminated": { "exitCode": 137, "finishedAt": at } })
}

fn liveness(roster: &Roster, broker: i32, now: Duration) -> Liveness {
    roster.brokers(now).get(&broker).map_or(Liveness::Dead, |broker| broker.liveness)
}

/// A roster with one broker that renews.
fn running() -> Roster {
    let mut roster = Roster::default();
    assert!(roster.lease("demo", &lease(0, 1, 0), true, Duration::ZERO));
    assert_eq!(liveness(&roster, 0, Duration::ZERO), Liveness::Alive);
    roster
}

#[test]
fn renewals_are_no_news() {
    let mut roster = running();
    for second in 1..10 {
        assert!(!roster.lease("demo", &lease(0, 1, second), true, SECOND * second));
    }
    assert!(roster.lease("demo", &lease(0, 2, 10), true, SECOND * 10), "a new life is");
    let mut draining = lease(0, 2, 11);
    draining
        .metadata
        .annotations
        .as_mut()
        .unwrap()
        .insert("milena.dev/draining".to_owned(), "true".to_owned());
    assert!(roster.lease("demo", &draining, true, SECOND * 11));
    assert!(roster.brokers(SECOND * 11)[&0].draining);
}

#[test]
fn what_a_list_shows_may_be_old() {
    let mut roster = Roster::default();
    roster.lease("demo", &lease(0, 1, 0), false, Duration::ZERO);
    assert_eq!(liveness(&roster, 0, Duration::ZERO), Liveness::Unknown);
    assert!(roster.lease("demo", &lease(0, 1, 1), true, SECOND), "it is renewed: that is news");
    assert_eq!(liveness(&roster, 0, SECOND), Liveness::Alive);
}

#[test]
fn a_lease_that_is_not_renewed_expires() {
    let roster = running();
    assert_eq!(roster.next_expiry(Duration::ZERO), Some(SECOND * 3));
    assert_eq!(liveness(&roster, 0, SECOND * 2), Liveness::Alive);
    assert_eq!(liveness(&roster, 0, SECOND * 3), Liveness::Dead);
    assert_eq!(roster.expired(SECOND * 3).keys().collect::<Vec<_>>(), [&0]);
}

#[test]
fn a_lease_given_back_is_dead_at_once() {
    let mut roster = running();
    let mut released = lease(0, 1, 1);
    released.spec.as_mut().unwrap().holder_identity = None;
    assert!(roster.lease("demo", &released, true, SECOND));
    assert_eq!(liveness(&roster, 0, SECOND), Liveness::Dead);
}

#[test]
fn many_that_expire_together_are_not_believed() {
    let mut roster = running();
    roster.lease("demo", &lease(1, 1, 0), true, Duration::ZERO);
    let late = SECOND * 3;
    assert!(roster.suspicious(late));
    assert_eq!(roster.expired(late).len(), 2);
    assert_eq!(liveness(&roster, 0, late), Liveness::Unknown);
    roster.answered(0, late);
    roster.gone(1, 1, late);
    assert_eq!((liveness(&roster, 0, late), liveness(&roster, 1, late)), (Liveness::Alive, Liveness::Dead));
}

#[test]
fn a_container_that_ended_took_its_process_with_it() {
    for (finished, dead) in [("2026-01-01T00:00:12Z", true), ("2026-01-01T00:00:10Z", false)] {
        let mut roster = running();
        assert_eq!(roster.pod("demo", &pod(0, terminated(finished)), SECOND), dead, "{finished}");
        assert_eq!(liveness(&roster, 0, SECOND) == Liveness::Dead, dead);
        // The next life has nothing to do with it.
        roster.lease("demo", &lease(0, 2, 2), true, SECOND);
        assert_eq!(liveness(&roster, 0, SECOND), Liveness::Alive);
    }
    let mut roster = running();
    assert!(!roster.pod("demo", &pod(0, json!({ "running": {} })), SECOND));
    assert!(!roster.pod("demo", &pod(7, terminated("2026-01-01T00:00:12Z")), SECOND), "a stranger");
    assert!(roster.pod_gone("demo", "demo-0", SECOND));
}

#[test]
fn leases_that_make_no_sense_are_left_out() {
    let mut roster = Roster::default();
    let mut wrong = lease(0, 1, 0);
    wrong.metadata.annotations = None;
    assert!(!roster.lease("demo", &wrong, true, Duration::ZERO));
    let mut other = lease(0, 1, 0);
    other.metadata.name = Some("demo-x".to_owned());
    assert!(!roster.lease("demo", &other, true, Duration::ZERO));
    assert!(roster.brokers(Duration::ZERO).is_empty());
}

#[test]
fn the_version_is_told_when_it_is_one() {
    let mut roster = running();
    assert_eq!(roster.version(1).as_deref(), Some("0.1.0"));
    assert_eq!(roster.version(2), None, "one is missing");
    let mut newer = lease(1, 1, 0);
    newer.metadata.annotations.as_mut().unwrap().insert("milena.dev/version".to_owned(), "0.2.0".to_owned());
    roster.lease("demo", &newer, true, Duration::ZERO);
    assert_eq!(roster.version(2), None, "they differ");
    assert_eq!(roster.version(0), None);
}

#[tokio::test]
async fn only_a_refusal_after_a_connection_says_that_a_process_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, mut gone) = mpsc::channel(1);
    let task = tokio::spawn(follow((3, 7), address, tell));
    // A connection that is closed while somebody still listens is made anew.
    drop(listener.accept().await.unwrap());
    let (stream, _) = listener.accept().await.unwrap();
    assert!(gone.try_recv().is_err());
    drop(listener);
    drop(stream);
    assert_eq!(gone.recv().await, Some((3, 7)));
    task.await.unwrap();
}

#[test]
fn a_lease_that_names_partitions_is_news_and_is_believed() {
    let mut roster = running();
    let mut troubled = lease(0, 1, 1);
    let text = "67e55044-10b1-426f-9247-bb680e5fe0c8/3,4";
    troubled
        .metadata
        .annotations
        .get_or_insert_default()
        .insert("milena.dev/offline-partitions".into(), text.into());
    assert!(roster.lease("demo", &troubled, true, SECOND), "no renewal alone");
    let offline = roster.brokers(SECOND)[&0].offline.clone();
    assert_eq!(offline.to_string(), text);
    assert_eq!(roster.troubled().into_iter().collect::<Vec<_>>(), [(0, offline)]);
    assert!(roster.lease("demo", &lease(0, 1, 2), true, 2 * SECOND));
    assert!(roster.troubled().is_empty(), "mended");
}

#[tokio::test]
async fn a_broker_that_takes_no_more_connections_is_not_asked_all_the_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, mut told) = mpsc::channel(1);
    let task = tokio::spawn(follow((3, 7), address, tell));
    let mut taken = 0;
    let end = tokio::time::Instant::now() + SECOND;
    while let Ok(accepted) = tokio::time::timeout_at(end, listener.accept()).await {
        drop(accepted.unwrap());
        taken += 1;
    }
    assert!((2..=6).contains(&taken), "{taken} connections in a second");
    assert!(told.try_recv().is_err(), "somebody listens");
    drop(listener);
    assert_eq!(told.recv().await, Some((3, 7)));
    task.await.unwrap();
}

#[test]
fn leaders_are_told_once_of_the_dead_and_again_of_another_life() {
    let mut roster = running();
    assert!(roster.untold(SECOND).is_empty());
    roster.gone(0, 1, SECOND);
    let told: Vec<_> = roster.untold(SECOND).into_iter().map(|one| (one.broker, one.epoch)).collect();
    assert_eq!(told, [(0, 1)]);
    let mut noted = lease(0, 1, 0);
    noted.metadata.annotations.get_or_insert_default().insert("milena.dev/believed-dead".into(), "1".into());
    roster.lease("demo", &noted, true, SECOND);
    assert_eq!(liveness(&roster, 0, SECOND), Liveness::Dead, "a note is no renewal");
    assert!(roster.untold(SECOND).is_empty());
    // The next life has the note of the last one for a moment.
    let mut next = lease(0, 2, 1);
    next.metadata.annotations.clone_from(&noted.metadata.annotations);
    roster.lease("demo", &next, true, SECOND);
    assert!(roster.untold(SECOND).is_empty());
    assert_eq!(roster.untold(SECOND * 4)[0].epoch, 2);
}

#[test]
fn nobody_is_told_of_who_left_in_order() {
    let mut roster = running();
    let mut released = lease(0, 1, 1);
    released.spec.as_mut().unwrap().holder_identity = None;
    roster.lease("demo", &released, true, SECOND);
    assert_eq!(liveness(&roster, 0, SECOND), Liveness::Dead);
    assert!(roster.untold(SECOND).is_empty(), "everybody sees that");
}
