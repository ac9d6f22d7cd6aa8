use super::*;

fn stored(boot_id: &str, recovered: &str) -> Boot {
    Boot {
        generation: Generation { disk_id: Uuid::from_u64_pair(1, 2), unclean_starts: 3 },
        boot_id: boot_id.to_owned(),
        recovered_boot_id: recovered.to_owned(),
        kafka_epoch: None,
    }
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
    boot.keep_kafka_epoch(Some(12));
    boot.keep_kafka_epoch(None);
    boot.store(dir.path()).unwrap();
    assert_eq!(Boot::read(dir.path()).unwrap().unwrap().kafka_epoch(), Some(12));
    std::fs::write(dir.path().join(FILE_NAME), "version=1\ndisk.id=x\n").unwrap();
    assert!(matches!(Boot::read(dir.path()), Err(StorageError::BadFile { .. })));
}
