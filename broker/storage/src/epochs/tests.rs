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
    let changes = epochs.take_changes().unwrap();
    assert_eq!(changes.content, b"0\n2\n1 0\n2 10\n");
    assert!(epochs.take_changes().is_none());
    store_changes(dir.path(), &changes, Durability::Machine).unwrap();
    assert_eq!(pairs(&LeaderEpochs::load(dir.path(), true).unwrap().unwrap()), [(1, 0), (2, 10)]);
    store(dir.path(), b"0\n3\n1 0\n2 10\n", Durability::Process).unwrap();
    assert!(LeaderEpochs::load(dir.path(), true).unwrap().is_none());
}

/// The file's number: another one has taken its place where that differs.
fn stored(dir: &Path, epochs: &mut LeaderEpochs) -> u64 {
    store_changes(dir, &epochs.take_changes().unwrap(), Durability::Process).unwrap();
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(dir.join(FILE_NAME)).unwrap())
}

#[test]
fn what_only_adds_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut epochs = epochs(&[(1, 0)]);
    let first = stored(dir.path(), &mut epochs);
    epochs.assign(2, 10);
    assert_eq!(stored(dir.path(), &mut epochs), first);
    // As after a restart.
    let mut epochs = LeaderEpochs::load(dir.path(), false).unwrap().unwrap();
    epochs.assign(3, 20);
    assert_eq!(stored(dir.path(), &mut epochs), first);
    assert_eq!(pairs(&LeaderEpochs::load(dir.path(), true).unwrap().unwrap()), [(1, 0), (2, 10), (3, 20)]);
    // A line in the place of another, and fewer lines than there are.
    epochs.assign(4, 20);
    let second = stored(dir.path(), &mut epochs);
    assert_ne!(second, first);
    epochs.truncate_from_end(15);
    assert_ne!(stored(dir.path(), &mut epochs), second);
    assert_eq!(pairs(&LeaderEpochs::load(dir.path(), true).unwrap().unwrap()), [(1, 0), (2, 10)]);
    (4..200).for_each(|epoch| epochs.assign(epoch, i64::from(epoch) * 10));
    let long = stored(dir.path(), &mut epochs);
    epochs.assign(200, 2_000);
    assert_ne!(stored(dir.path(), &mut epochs), long, "longer than a sector");
}

#[test]
fn a_torn_checkpoint_is_the_old_one_the_new_one_or_none() {
    let dir = tempfile::tempdir().unwrap();
    for count in [1, 2, 8, 9, 10, 11, 30] {
        let all: Vec<(i32, i64)> = (1..=count + 1).map(|epoch| (epoch, i64::from(epoch) * 7)).collect();
        let (before, after) = (epochs(all.split_last().unwrap().1), epochs(&all));
        let (old, new) = (content(&before), content(&after));
        for cut in 0..=new.len() {
            let mut begun = old.clone();
            begun.resize(old.len().max(cut), 0);
            begun[..cut].copy_from_slice(&new[..cut]);
            let mut longer = begun.clone();
            longer.resize(new.len(), 0);
            for torn in [begun, longer, new[..cut].to_vec()] {
                store(dir.path(), &torn, Durability::Process).unwrap();
                let found = LeaderEpochs::load(dir.path(), false).unwrap().unwrap_or_default();
                assert!(
                    found.entries.is_empty() || [&before.entries, &after.entries].contains(&&found.entries),
                    "{}",
                    String::from_utf8_lossy(&torn)
                );
            }
        }
    }
}
