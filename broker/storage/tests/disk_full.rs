//! A disk without room, as a file size limit shows it: the log stays as it was, and goes on when there is room.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation
)]

mod support;

use std::{env, process::Command, sync::Arc};

use milena_storage::{Log, LogConfig, OpenMode, StorageError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{NOW, append, batch, placed, read_all, start};

const LIMITED: &str = "MILENA_TEST_LIMITED";
const NAME: &str = "appends_fail_until_there_is_room";

/// Runs this test again in a process whose files cannot grow beyond 64 KiB, and which is not killed for trying.
fn run_limited() {
    let script = r#"trap "" XFSZ; ulimit -S -f 128; exec "$0" --exact "$1" --nocapture"#;
    let output = Command::new("/bin/sh")
        .args(["-c", script])
        .args([env::current_exe().unwrap().as_os_str(), NAME.as_ref()])
        .env(LIMITED, "1")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
}

#[test]
fn appends_fail_until_there_is_room() {
    if env::var_os(LIMITED).is_none() {
        return run_limited();
    }
    let dir = support::scratch();
    let config = Arc::new(LogConfig { index_interval_bytes: 100, ..LogConfig::default() });
    let mut log = Log::create(dir.path(), None, config.clone(), NOW).unwrap();
    let value = vec![7; 3000];
    let mut expected = Vec::new();
    let error = loop {
        let bytes = batch(NOW, &[&value]);
        match append(&mut log, &bytes) {
            Ok(info) => expected.extend(placed(&bytes, info.base_offset, 0)),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StorageError::DiskFull { .. }), "{error}");
    let size = std::fs::metadata(dir.path().join("00000000000000000000.log")).unwrap().len();
    assert_eq!(size, expected.len() as u64, "a part of the refused batch stayed");
    assert_eq!(read_all(&log, 0, 1 << 20), expected);

    // A small batch fits still, a large one does not, and neither harms the other.
    let small = batch(NOW, &[b"small"]);
    for _ in 0..2 {
        let info = append(&mut log, &small).unwrap();
        expected.extend(placed(&small, info.base_offset, 0));
        assert!(matches!(append(&mut log, &batch(NOW, &[&value])), Err(StorageError::DiskFull { .. })));
    }

    let hard = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: hard, maximum: hard }).unwrap();
    let bytes = batch(NOW, &[&value]);
    let info = append(&mut log, &bytes).unwrap();
    expected.extend(placed(&bytes, info.base_offset, 0));
    assert_eq!(read_all(&log, 0, 1 << 20), expected);
    drop(log);
    let (log, report) = support::open(dir.path(), &config, start(OpenMode::SameBoot, 0, 0));
    assert!(!report.lost_bytes(), "{report:?}");
    assert_eq!(read_all(&log, 0, 1 << 20), expected);
}
