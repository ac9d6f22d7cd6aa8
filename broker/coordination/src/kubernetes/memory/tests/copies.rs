//! Several log directories, of which one fails, is lost, or was away.

use std::path::Path;

use milena_storage::{LogDirs, Owner};

use super::*;

/// Log directories `0`, `1` and so on of a broker.
struct Disks {
    folder: TempDir,
    count: usize,
}

impl Disks {
    fn new(count: usize) -> Disks {
        Disks { folder: tempfile::tempdir().unwrap(), count }
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    fn file(&self, number: usize) -> PathBuf {
        self.path(number).join("last-known-state")
    }

    /// What is remembered in one directory alone.
    fn held(&self, number: usize) -> Vec<Option<PartitionState>> {
        at(self.file(number)).unwrap().resume().map_or(Vec::new(), |image| states(&image))
    }

    /// A life of the broker.
    fn start(&self) -> (LogDirs, Memory) {
        let paths: Vec<PathBuf> = (0..self.count).map(|number| self.path(number)).collect();
        let dirs = LogDirs::open(&paths, Owner { cluster_id: None, node_id: 0 }).unwrap();
        let memory = Memory::open(Home::in_all(&dirs), 0, GENERATION).unwrap();
        (dirs, memory)
    }
}

/// The states of topic `a`.
fn states(image: &ClusterImage) -> Vec<Option<PartitionState>> {
    image.topic("a").map_or(Vec::new(), |topic| topic.partitions.to_vec())
}

fn seen(all: &[(i32, i32)]) -> ClusterImage {
    let states: Vec<_> = all.iter().map(|(leader, partition)| Some(state(*leader, *partition))).collect();
    image(&[topic(1, "a", &states)])
}

fn out_of_service(dirs: &LogDirs) -> Vec<&Path> {
    dirs.out_of_service().map(|(path, _)| path).collect()
}

#[test]
fn the_first_directory_is_lost_and_the_second_tells() {
    let disks = Disks::new(2);
    let (dirs, mut memory) = disks.start();
    memory.remember_epoch(7);
    memory.remember(&seen(&[(1, 1)]));
    memory.remember(&seen(&[(2, 2)]));
    drop((dirs, memory));
    fs::remove_dir_all(disks.path(0)).unwrap();
    let (_dirs, mut memory) = disks.start();
    assert_eq!((memory.broker_epoch(), states(&memory.resume().unwrap())), (7, vec![Some(state(2, 2))]));
    let shown = memory.remember(&seen(&[(1, 1)]));
    assert_eq!((states(&shown), shown.older), (vec![None], 1), "it is older than what was seen");
    assert_eq!(disks.held(0), [Some(state(2, 2))], "the new directory has it, too");
}

#[test]
fn of_two_that_differ_the_newest_goes() {
    for behind in [0, 1] {
        let disks = Disks::new(2);
        let (dirs, mut memory) = disks.start();
        memory.remember(&seen(&[(1, 1)]));
        let older = fs::read(disks.file(behind)).unwrap();
        memory.remember(&seen(&[(2, 2)]));
        memory.remember(&image(&[topic(1, "a", &[Some(state(3, 3))]), topic(2, "b", &[])]));
        drop((dirs, memory));
        fs::write(disks.file(behind), older).unwrap();
        let (_dirs, memory) = disks.start();
        let known = memory.resume().unwrap();
        assert_eq!(states(&known), [Some(state(3, 3))], "{behind} is behind");
        assert!(known.topic("b").is_some());
    }
}

#[test]
fn what_a_crash_left_of_a_write_is_not_newer() {
    let disks = Disks::new(2);
    let (dirs, mut memory) = disks.start();
    memory.remember(&seen(&[(1, 1)]));
    let before = fs::metadata(disks.file(0)).unwrap().len();
    memory.remember(&seen(&[(2, 2)]));
    drop((dirs, memory));
    let whole = fs::read(disks.file(0)).unwrap();
    for cut in before..whole.len().try_into().unwrap() {
        fs::write(disks.file(0), &whole[..usize::try_from(cut).unwrap()]).unwrap();
        let (_dirs, memory) = disks.start();
        assert_eq!(states(&memory.resume().unwrap()), [Some(state(2, 2))], "cut at {cut}");
    }
}

#[test]
fn a_directory_that_was_away_takes_no_state_back() {
    let disks = Disks::new(2);
    let (dirs, mut memory) = disks.start();
    for epoch in 1..9 {
        memory.remember(&seen(&[(epoch, epoch), (1, 1)]));
    }
    drop((dirs, memory));
    // Elsewhere less was written, and of the second partition something newer.
    fs::remove_file(disks.file(1)).unwrap();
    let mut alone = at(disks.file(1)).unwrap();
    alone.remember(&seen(&[(5, 5), (4, 4)]));
    let (_dirs, memory) = disks.start();
    assert_eq!(states(&memory.resume().unwrap()), [Some(state(8, 8)), Some(state(4, 4))]);
}

#[test]
fn a_copy_that_fails_costs_its_directory_and_not_the_broker() {
    for failing in [0, 1] {
        let disks = Disks::new(3);
        let (dirs, mut memory) = disks.start();
        memory.remember(&seen(&[(1, 1)]));
        assert!(!disks.file(2).exists(), "two are enough");
        // Neither the file takes anything, nor can another be put in its place.
        fs::remove_file(disks.file(failing)).unwrap();
        memory.copies.let_writes_be_refused(failing);
        let shown = memory.remember(&seen(&[(2, 2)]));
        assert_eq!((states(&shown), shown.unkept), (vec![Some(state(2, 2))], false));
        assert!(!memory.behind().load(Ordering::Acquire));
        assert_eq!(out_of_service(&dirs), [disks.path(failing)]);
        for kept in (0..3).filter(|number| *number != failing) {
            assert_eq!(disks.held(kept), [Some(state(2, 2))], "directory {kept}");
        }
        memory.remember(&seen(&[(3, 3)]));
        assert!(!disks.file(failing).exists(), "what is out of service is not written to");
    }
}

#[test]
fn a_copy_without_room_is_written_again_once_there_is() {
    let disks = Disks::new(2);
    let (dirs, mut memory) = disks.start();
    memory.remember(&seen(&[(1, 1)]));
    memory.copies.let_writes_fail(0);
    let shown = memory.remember(&seen(&[(2, 2)]));
    assert_eq!(states(&shown), [Some(state(2, 2))]);
    assert_eq!((disks.held(0), disks.held(1)), (vec![Some(state(1, 1))], vec![Some(state(2, 2))]));
    assert!(out_of_service(&dirs).is_empty(), "a full disk is no failure");
    memory.remember(&seen(&[(3, 3)]));
    assert_eq!((disks.held(0), disks.held(1)), (vec![Some(state(3, 3))], vec![Some(state(3, 3))]));
}

#[test]
fn no_copy_at_all_holds_this_brokers_partitions() {
    let disks = Disks::new(2);
    let (dirs, mut memory) = disks.start();
    memory.remember(&seen(&[(1, 1)]));
    (0..2).for_each(|copy| memory.copies.let_writes_fail(copy));
    let shown = memory.remember(&seen(&[(2, 2)]));
    assert_eq!((states(&shown), shown.unkept), (vec![Some(state(1, 1))], true));
    assert!(memory.behind().load(Ordering::Acquire) && out_of_service(&dirs).is_empty());
    memory.remember(&seen(&[(2, 2)]));
    assert_eq!((disks.held(0), disks.held(1)), (vec![Some(state(2, 2))], vec![Some(state(2, 2))]));
}

#[test]
fn a_copy_that_cannot_be_read_costs_its_directory() {
    let disks = Disks::new(2);
    let (dirs, mut memory) = disks.start();
    memory.remember(&seen(&[(1, 1)]));
    drop((dirs, memory));
    fs::remove_file(disks.file(0)).unwrap();
    fs::create_dir(disks.file(0)).unwrap();
    let (dirs, memory) = disks.start();
    assert_eq!(states(&memory.resume().unwrap()), [Some(state(1, 1))]);
    assert_eq!(out_of_service(&dirs), [disks.path(0)]);
}
