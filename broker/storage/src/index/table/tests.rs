use rustix::io::Errno;

use super::*;
use crate::{
    fs::faulty::{Failure, Op, Plan, mount},
    index::OffsetEntry,
};

const BASE: i64 = 1000;

fn entry(n: u32) -> OffsetEntry {
    OffsetEntry { relative: i32::try_from(n * 10).unwrap(), position: n * 100 }
}

/// Most entries in the file, the rest in memory.
fn table(dir: &Path, in_file: u32, pending: u32) -> IndexTable<OffsetEntry> {
    let mut table = IndexTable::new();
    (0..in_file).for_each(|n| table.push(entry(n)));
    table.flush(dir, BASE).unwrap();
    (in_file..in_file + pending).for_each(|n| table.push(entry(n)));
    table
}

#[test]
fn every_entry_is_found_in_file_and_memory() {
    let dir = tempfile::tempdir().unwrap();
    for (in_file, pending) in [(0, 0), (0, 5), (1, 0), (512, 3), (513, 0), (5000, 40)] {
        let table = table(dir.path(), in_file, pending);
        for n in 0..in_file + pending {
            for (sought, found) in [(n * 10, Some(entry(n))), (n * 10 + 9, Some(entry(n)))] {
                let sought = i32::try_from(sought).unwrap();
                let holds = |entry: &OffsetEntry| entry.relative <= sought;
                assert_eq!(table.last_where(dir.path(), BASE, holds).unwrap(), found);
            }
        }
        let none = table.last_where(dir.path(), BASE, |entry| entry.relative < 0).unwrap();
        assert_eq!(none, None);
    }
}

#[test]
fn a_cut_is_in_the_file_too() {
    let dir = tempfile::tempdir().unwrap();
    for keep in [0, 1, 699, 700, 705] {
        let mut table = table(dir.path(), 700, 10);
        table.truncate(dir.path(), BASE, |entry| entry.position < keep * 100).unwrap();
        assert_eq!(table.last(), keep.checked_sub(1).map(entry));
        assert_eq!(table.bytes(), u64::from(keep) * 8);
        table.push(entry(keep));
        table.flush(dir.path(), BASE).unwrap();
        let loaded = IndexTable::<OffsetEntry>::load(dir.path(), BASE).unwrap().unwrap();
        assert_eq!((loaded.last(), loaded.bytes()), (Some(entry(keep)), table.bytes()));
    }
}

/// What a full disk let through of entries is not in the file once they are truncated.
#[test]
fn a_write_that_is_refused_leaves_nothing() {
    for seed in 0..50 {
        let dir = tempfile::tempdir().unwrap();
        let disk = mount(dir.path(), seed);
        let mut table = table(dir.path(), 2, 3);
        let failure = Some(Failure { op: Op::Extend, after: 0, errno: Errno::NOSPC });
        disk.disk(|disk| disk.plan(Plan { failure, ..Plan::default() }));
        let refused = table.flush(dir.path(), BASE);
        assert!(matches!(refused, Err(StorageError::DiskFull { .. })));
        table.truncate(dir.path(), BASE, |entry| entry.position < 200).unwrap();
        table.flush(dir.path(), BASE).unwrap();
        let loaded = IndexTable::<OffsetEntry>::load(dir.path(), BASE).unwrap().unwrap();
        assert_eq!((loaded.last(), loaded.len()), (Some(entry(1)), 2), "disk {seed}");
    }
}

#[test]
fn a_file_of_odd_size_is_no_table() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(file_name(BASE, "index")), [0; 12]).unwrap();
    assert!(IndexTable::<OffsetEntry>::load(dir.path(), BASE).unwrap().is_none());
    assert!(IndexTable::<OffsetEntry>::load(dir.path(), BASE + 1).unwrap().is_none());
}
