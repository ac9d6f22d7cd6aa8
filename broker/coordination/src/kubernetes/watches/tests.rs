use kube::core::error_boundary::InvalidObject;

use super::*;

fn lease(name: &str) -> DeserializeGuard<Lease> {
    let mut lease = Lease::default();
    lease.metadata.name = Some(name.to_owned());
    DeserializeGuard(Ok(lease))
}

fn unreadable(name: &str) -> DeserializeGuard<Lease> {
    let metadata = lease(name).0.unwrap().metadata;
    DeserializeGuard(Err(InvalidObject { error: "spec: no such type".into(), metadata }))
}

fn seen(objects: &mut Objects<Lease>, events: Vec<Event<DeserializeGuard<Lease>>>) -> Vec<String> {
    let changes = events.into_iter().flat_map(|event| objects.take(Ok(event)));
    let show = |change: Of<Lease>| match change {
        Of::Applied(object) => format!("applied {}", object.name_any()),
        Of::Gone(name) => format!("gone {name}"),
        Of::Listed => "listed".to_owned(),
        Of::Broken => "broken".to_owned(),
    };
    changes.map(show).collect()
}

#[test]
fn a_new_list_shows_what_went_while_nobody_looked() {
    let mut objects = Objects::new();
    let first = vec![
        Event::Init,
        Event::InitApply(lease("a")),
        Event::InitApply(lease("b")),
        Event::InitDone,
        Event::Apply(lease("c")),
        Event::Delete(lease("a")),
        Event::Delete(lease("never seen")),
    ];
    assert_eq!(seen(&mut objects, first), ["applied a", "applied b", "listed", "applied c", "gone a"]);
    let again = vec![Event::Init, Event::InitApply(lease("c")), Event::InitDone];
    assert_eq!(seen(&mut objects, again), ["applied c", "gone b", "listed"]);
}

#[test]
fn an_object_that_cannot_be_read_is_left_out_alone() {
    let mut objects = Objects::new();
    let list =
        vec![Event::Init, Event::InitApply(unreadable("a")), Event::InitApply(lease("b")), Event::InitDone];
    assert_eq!(seen(&mut objects, list), ["applied b", "listed"]);
    assert!(seen(&mut objects, vec![Event::Apply(unreadable("b"))]).is_empty());
    assert_eq!(seen(&mut objects, vec![Event::Delete(unreadable("b"))]), ["gone b"]);
}

#[test]
fn patience_grows_to_its_limit_and_comes_back_after_a_quiet_time() {
    let (mut patience, now) = (Patience::default(), Instant::now());
    let waits: Vec<Duration> = (0..10)
        .map(|_| {
            // An item between two failures is no success.
            patience.reset();
            patience.wait(now)
        })
        .collect();
    assert!(waits[0] <= Patience::FIRST && waits[0] >= Patience::FIRST / 2);
    assert!(waits.iter().all(|wait| *wait <= Patience::LONGEST));
    assert!(waits[9] >= Patience::LONGEST / 2);
    assert!(patience.wait(now + Patience::QUIET) >= Patience::LONGEST / 2);
    assert!(patience.wait(now + 3 * Patience::QUIET) <= Patience::FIRST);
}
