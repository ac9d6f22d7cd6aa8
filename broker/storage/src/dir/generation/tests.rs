use super::*;

fn stored(boot_id: &str, recovered: &str) -> Boot {
    Boot {
        generation: Generation { disk_id: Uuid::from_u64_pair(1, 2), unclean_starts: 3 },
        boot_id: boot_id.to_owned(),
        recovered_boot_id: recovered.to_owned(),
        kafka_epoch: None,
        directories: BTreeSet::new(),
        failed: BTreeSet::new(),
    }
}

const ID: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn seen(directory_id: Uuid, stored: Option<Boot>, clean: bool) -> Seen {
    Seen { directory_id, stored, clean }
}

impl Boot {
    /// A start of a broker with this directory alone.
    fn started(self, clean: bool, boot_id: String) -> Boot {
        start(vec![seen(ID, Some(self), clean)], &boot_id).boots.remove(0)
    }
}

#[test]
fn directories_of_a_broker_have_one_generation() {
    let first = start(vec![seen(ID, None, false), seen(OTHER, None, false)], "a");
    let [one, two] = first.boots.try_into().unwrap();
    assert_eq!((one.generation, first.lost.len()), (two.generation, 0));
    let again = |one: Boot, two: Boot, clean: (bool, bool), boot: &str| {
        start(vec![seen(ID, Some(one), clean.0), seen(OTHER, Some(two), clean.1)], boot)
    };
    let killed = again(one.clone(), two.clone(), (false, false), "a");
    assert_eq!(killed.boots[0].generation, one.generation, "killed on the same boot");
    let power_cut = again(one.clone(), two.clone(), (true, false), "b");
    assert!(power_cut.boots.iter().all(|boot| boot.generation.unclean_starts == 1), "one of them was open");

    let mut failed = two.clone();
    failed.note_failure(OTHER);
    let after = again(one.clone(), failed.clone(), (true, false), "a");
    assert_eq!(after.boots[0].generation.unclean_starts, 1, "a failed disk may have lost something");
    assert!(!after.boots[1].recovered_on_this_boot() && after.boots[1].failed.is_empty());
    let without = start(vec![seen(ID, Some(failed), true)], "a");
    assert_eq!(without.boots[0].failed.len(), 1, "still to be told when it comes back");
}

#[test]
fn a_directory_that_is_missing_is_remembered_until_it_is_back() {
    let both = start(vec![seen(ID, None, false), seen(OTHER, None, false)], "a");
    let [one, two] = both.boots.try_into().unwrap();
    let alone = start(vec![seen(ID, Some(one.clone()), true)], "a");
    assert_eq!(alone.lost, [OTHER].into());
    assert_eq!(alone.boots[0].generation, one.generation, "what is here lost nothing");
    let replaced =
        start(vec![seen(ID, Some(alone.boots[0].clone()), true), seen(Uuid::max(), None, false)], "a");
    assert_eq!(replaced.lost, [OTHER].into(), "an empty one in its place is not it");
    let back = start(vec![seen(ID, Some(one), true), seen(OTHER, Some(two), true)], "a");
    assert!(back.lost.is_empty());
    // All are new: another disk.
    let new = start(vec![seen(Uuid::max(), None, false)], "a");
    assert_ne!(new.boots[0].generation.disk_id, back.boots[0].generation.disk_id);
}

#[test]
fn only_an_unclean_start_on_another_boot_counts() {
    for (clean, boot, unclean_starts) in [
        (true, "a", 3),
        (true, "b", 3),
        (false, "a", 3),
        (false, "b", 4),
        // A machine that does not tell its boots apart cannot promise anything.
        (false, "", 4),
    ] {
        let started = stored("a", "a").started(clean, boot.to_owned());
        assert_eq!(started.generation.unclean_starts, unclean_starts, "clean {clean}, boot {boot}");
        assert_eq!(started.boot_id, boot);
    }
    assert_eq!(stored("", "").started(false, String::new()).generation.unclean_starts, 4);
}

#[test]
fn a_recovery_that_was_interrupted_is_done_again_in_full() {
    let started = stored("a", "a").started(false, "b".to_owned());
    assert!(!started.recovered_on_this_boot());
    // Killed before all logs were recovered.
    let mut again = started.clone().started(false, "b".to_owned());
    assert_eq!(again.generation, started.generation);
    assert!(!again.recovered_on_this_boot());
    again.mark_recovered();
    assert!(again.started(false, "b".to_owned()).recovered_on_this_boot());
}

#[test]
fn the_file_goes_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut boot = stored("a", "");
    boot.store(dir.path()).unwrap();
    assert_eq!(Boot::read(dir.path()).unwrap(), Some(boot.clone()));
    assert_eq!(boot.generation().to_string(), "AAAAAAAAAAEAAAAAAAAAAg.3");
    boot.directories = [ID, OTHER].into();
    boot.note_failure(OTHER);
    boot.keep_kafka_epoch(Some(12));
    boot.keep_kafka_epoch(None);
    boot.store(dir.path()).unwrap();
    assert_eq!(Boot::read(dir.path()).unwrap(), Some(boot));
    std::fs::write(dir.path().join(FILE_NAME), "version=1\ndisk.id=x\n").unwrap();
    assert!(matches!(Boot::read(dir.path()), Err(StorageError::BadFile { .. })));
}
