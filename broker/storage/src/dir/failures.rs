//! What takes a data directory out of service, on a disk that fails.

use std::{path::Path, sync::Arc};

use milena_records::{Batch, BatchBuilder};
use rustix::io::Errno;
use uuid::Uuid;

use crate::{
    Log, LogConfig, LogDir, Origin, Owner, StorageError, TopicPartition,
    fs::faulty::{Failure, Mounted, Op, Plan, mount},
};

const NOW: i64 = 1_700_000_000_000;

struct Scene {
    mounted: Mounted,
    dir: LogDir,
    log: Log,
    _folder: tempfile::TempDir,
}

/// A directory with a log of one batch, whose next call of that kind fails.
fn failing(op: Op, errno: Errno) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let mounted = mount(folder.path(), 1);
    let dir = open(folder.path());
    let config = Arc::new(LogConfig::default());
    let mut log = dir.create_log(&TopicPartition::new("sample", 0), Uuid::from_u128(1), config, NOW).unwrap();
    append(&mut log).unwrap();
    log.close_idle_files();
    log.close_idle_files();
    mounted.disk(|disk| {
        disk.plan(Plan { failure: Some(Failure { op, after: 0, errno }), ..Plan::default() });
    });
    Scene { mounted, dir, log, _folder: folder }
}

fn open(path: &Path) -> LogDir {
    LogDir::open(path, Owner { cluster_id: None, node_id: 1 }).unwrap()
}

fn append(log: &mut Log) -> Result<(), StorageError> {
    let mut builder = BatchBuilder::new(0);
    builder.append(NOW, None, Some(b"value"), &[]).unwrap();
    let bytes = builder.build().unwrap();
    log.append(&Batch::parse(&bytes).unwrap(), Origin::Client, 0, NOW).map(drop)
}

#[test]
fn a_read_that_fails_is_a_failure_of_the_disk() {
    for errno in [Errno::IO, Errno::NXIO] {
        let scene = failing(Op::Read, errno);
        let error = scene.log.reader().read(0, 1000, i64::MAX, true).unwrap_err();
        assert!(matches!(error, StorageError::Io { .. }), "{error}");
        assert!(!scene.mounted.disk(|disk| disk.failed().is_empty()));
        assert!(scene.dir.failure().is_some_and(|why| why.contains("read")), "{:?}", scene.dir.failure());
        let refused = scene.log.reader().check_writable();
        assert!(matches!(refused, Err(StorageError::DirOffline { .. })), "{refused:?}");
    }
}

#[test]
fn no_descriptor_for_a_read_is_no_failure_of_the_disk() {
    let scene = failing(Op::Open, Errno::MFILE);
    scene.log.reader().read(0, 1000, i64::MAX, true).unwrap_err();
    assert_eq!(scene.dir.failure(), None);
    scene.log.reader().read(0, 1000, i64::MAX, true).unwrap();
}

#[test]
fn a_sync_that_finds_no_room_is_a_failure_of_the_disk_and_a_write_is_none() {
    for errno in [Errno::NOSPC, Errno::DQUOT, Errno::IO] {
        let mut scene = failing(Op::Sync, errno);
        scene.log.flush().unwrap_err();
        assert!(scene.dir.failure().is_some(), "{errno:?}: what was acknowledged may be gone");
    }
    for errno in [Errno::NOSPC, Errno::DQUOT] {
        let mut scene = failing(Op::Extend, errno);
        let error = append(&mut scene.log).unwrap_err();
        assert!(matches!(error, StorageError::DiskFull { .. }), "{error}");
        assert_eq!(scene.dir.failure(), None);
        append(&mut scene.log).unwrap();
    }
}

#[test]
fn who_sends_files_tells_of_those_that_cannot_be_read() {
    let scene = failing(Op::Allocate, Errno::NOSPC);
    let file = std::fs::canonicalize(scene.log.dir()).unwrap().join("00000000000000000000.log");
    scene.dir.read_failed(&file, &Errno::PIPE.into());
    scene.dir.read_failed(Path::new("/elsewhere/00000000000000000000.log"), &Errno::IO.into());
    assert_eq!(scene.dir.failure(), None, "a client that went away, another directory");
    scene.dir.read_failed(&file, &Errno::IO.into());
    assert!(scene.dir.failure().is_some_and(|why| why.contains("00000000000000000000.log")));
}
