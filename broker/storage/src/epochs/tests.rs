use super::*;

fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
    let mut epochs = LeaderEpochs::default();
    entries.iter().for_each(|(epoch, start)| epochs.assign(*epoch, *start));
    epochs
}

fn pairs(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
    epochs.entries().iter().map(|entry| (entry.epoch, entry.start_offset)).collect()
}

#[test]
fn an_epoch_ends_where_the_next_begins() {
    let epochs = epochs(&[(1, 10), (3, 20), (4, 20), (7, 40)]);
    assert_eq!(pairs(&epochs), [(1, 10), (4, 20), (7, 40)]);
    let end = |epoch| epochs.end_offset(epoch, 55).map(|end| (end.epoch, end.end_offset));
    assert_eq!(end(-1), None);
    assert_eq!(end(0), Some((0, 10)));
    assert_eq!(end(1), Some((1, 20)));
    assert_eq!(end(3), Some((1, 20)));
    assert_eq!(end(5), Some((4, 40)));
    assert_eq!(end(7), Some((7, 55)));
    assert_eq!(end(8), None);
}

#[test]
fn a_contradiction_drops_what_was_known() {
    let mut epochs = epochs(&[(1, 0), (2, 10), (5, 30)]);
    epochs.assign(5, 40);
    assert_eq!(pairs(&epochs), [(1, 0), (2, 10), (5, 30)]);
    epochs.assign(5, 25);
    assert_eq!(pairs(&epochs), [(1, 0), (2, 10), (5, 25)]);
    epochs.assign(2, 15);
    assert_eq!(pairs(&epochs), [(1, 0), (2, 10)]);
    epochs.assign(-1, 20);
    assert_eq!(pairs(&epochs), [(1, 0), (2, 10)]);
}

#[test]
fn truncation_keeps_the_epoch_that_covers_the_bound() {
    let mut cut = epochs(&[(1, 0), (2, 10), (5, 30)]);
    cut.truncate_from_end(30);
    assert_eq!(pairs(&cut), [(1, 0), (2, 10)]);
    cut.truncate_from_start(12);
    assert_eq!(pairs(&cut), [(2, 12)]);
    assert_eq!((cut.epoch_at(11), cut.epoch_at(12), cut.epoch_at(99)), (None, Some(2), Some(2)));
    cut.clear();
    assert_eq!(cut.latest(), None);
}

#[test]
fn the_checkpoint_is_kafkas_text() {
    let dir = tempfile::tempdir().unwrap();
    let mut epochs = epochs(&[(1, 0), (2, 10)]);
    let bytes = epochs.take_changes().unwrap();
    assert_eq!(bytes, b"0\n2\n1 0\n2 10\n");
    assert_eq!(epochs.take_changes(), None);
    store(dir.path(), &bytes, Durability::Machine).unwrap();
    assert_eq!(pairs(&LeaderEpochs::load(dir.path(), true).unwrap().unwrap()), [(1, 0), (2, 10)]);
    store(dir.path(), b"0\n3\n1 0\n2 10\n", Durability::Process).unwrap();
    assert!(LeaderEpochs::load(dir.path(), true).unwrap().is_none());
}
