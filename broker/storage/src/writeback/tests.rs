use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use milena_records::{Batch, BatchBuilder};

use super::*;
use crate::{Log, LogConfig, LogDir, Origin, Owner, TopicPartition, ids};

const OWNER: Owner<'_> = Owner { cluster_id: None, node_id: 0 };
const NOW: i64 = 1_700_000_000_000;

fn open(path: &Path) -> LogDir {
    LogDir::open(path, OWNER).unwrap()
}

fn log(dir: &LogDir, index: i32, segment_bytes: u32) -> Log {
    let config = LogConfig { segment_bytes, ..LogConfig::default() };
    dir.create_log(&TopicPartition::new("sample", index), ids::random(), Arc::new(config), NOW).unwrap()
}

/// Appends about so many bytes, in batches of 64 KiB.
fn fill(log: &mut Log, bytes: u64) {
    let value = vec![7; 64 << 10];
    let mut builder = BatchBuilder::new(0);
    builder.append(NOW, None, Some(&value), &[]).unwrap();
    let batch = builder.build().unwrap();
    for _ in 0..bytes / (64 << 10) {
        log.append(&Batch::parse(&batch).unwrap(), Origin::Client, 0, NOW).unwrap();
    }
}

fn sent(segment: &Segment) -> u64 {
    segment.write_back.up_to()
}

/// All that is due was started: what is left is too near the end, or not worth a write.
fn is_done(segment: &Segment) -> bool {
    sent(segment) + LAG + LEAST + PAGE > segment.size()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_appended_goes_to_the_disk_by_itself_but_for_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let dir = open(folder.path());
    let mut logs: Vec<Log> = (0..3).map(|index| log(&dir, index, 4 << 20)).collect();
    for _ in 0..2 {
        logs.iter_mut().for_each(|log| fill(log, 6 << 20));
        for log in &logs {
            let segments = log.shared.segments();
            assert!(segments.len() > 1);
            for segment in segments.iter() {
                wait_until("pages are sent", || is_done(segment));
                assert!(sent(segment) <= segment.size().saturating_sub(LAG));
                assert_eq!(sent(segment) % PAGE, 0);
            }
        }
        // Each has left the list by itself, and is found again by the next append.
        wait_until("nothing grows", || {
            let is_left = |segment: &Arc<Segment>| !segment.write_back.is_queued();
            logs.iter().all(|log| log.shared.segments().iter().all(is_left))
        });
    }
    assert_eq!(dir.failure(), None);
}

#[test]
fn zero_leaves_it_to_the_kernel_and_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let dir = open(folder.path());
    dir.limit_write_back(0);
    let mut log = log(&dir, 0, 1 << 30);
    fill(&mut log, 4 << 20);
    std::thread::sleep(INTERVAL * 3);
    let segment = log.shared.segments()[0].clone();
    assert_eq!(sent(&segment), 0);
    dir.limit_write_back(1 << 20);
    fill(&mut log, 1 << 20);
    wait_until("pages are sent", || is_done(&segment));
}

#[test]
fn a_log_that_is_cut_or_deleted_meanwhile_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let dir = open(folder.path());
    let mut log = log(&dir, 0, 1 << 30);
    fill(&mut log, 8 << 20);
    let segment = log.shared.segments()[0].clone();
    wait_until("pages are sent", || is_done(&segment));
    log.truncate_to(10, NOW).unwrap();
    assert!(segment.size() < 1 << 20);
    fill(&mut log, 8 << 20);
    wait_until("pages are sent after the cut", || is_done(&segment));
    fill(&mut log, 8 << 20);
    log.delete();
    std::fs::remove_dir_all(log.dir()).unwrap();
    wait_until("the segment is let go", || !segment.write_back.is_queued());
    assert_eq!(dir.failure(), None);
}

#[test]
fn little_is_on_its_way_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let dir = open(folder.path());
    let mut log = log(&dir, 0, 1 << 30);
    dir.limit_write_back(0);
    fill(&mut log, 8 << 20);
    let segment = log.shared.segments()[0].clone();
    let mut in_flight = InFlight::default();
    for part in 0..8 {
        in_flight.start(&log.shared, &segment, part << 20, 1 << 20).unwrap();
        in_flight.wait_until_below(3 << 20);
        assert!(in_flight.bytes <= 3 << 20, "{}", in_flight.bytes);
    }
    in_flight.wait_until_below(0);
    assert!(in_flight.started.is_empty());
}
