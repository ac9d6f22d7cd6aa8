//! A directory that Apache Kafka compacted and did not stop in order: its cleaner leaves gaps where segments end.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use milena_storage::{LogConfig, LogDir, OpenMode, Owner, TopicPartition};
use support::{NOW, batch, placed, scratch, start};

const OWNER: Owner<'_> = Owner { cluster_id: None, node_id: 1 };

/// Segments at 0, 10 and 20, each with a batch of two records at its base offset: the rest was compacted away.
fn write_segments(partition: &std::path::Path) {
    std::fs::create_dir_all(partition).unwrap();
    for base_offset in [0, 10, 20] {
        let bytes = placed(&batch(NOW, &[b"one", b"two"]), base_offset, 0);
        std::fs::write(partition.join(format!("{base_offset:020}.log")), bytes).unwrap();
    }
}

#[test]
fn nothing_that_kafka_acknowledged_is_cut_where_its_cleaner_left_a_gap() {
    let folder = scratch();
    let tp = TopicPartition::new("compacted", 0);
    write_segments(&folder.path().join("compacted-0"));
    std::fs::create_dir(folder.path().join("__cluster_metadata-0")).unwrap();
    let dir = LogDir::open(folder.path(), OWNER).unwrap();
    assert_eq!(dir.open_mode(), OpenMode::Recover, "nothing says that it was stopped in order");
    let config = LogConfig { cleanup_compact: true, ..LogConfig::default() };
    let (log, report) = dir.open_log(&tp, config.into(), NOW).unwrap();
    assert!(!report.lost_bytes(), "{report:?}");
    assert_eq!(log.log_end_offset(), 22);
    for (offset, found) in [(0, 0), (2, 10), (11, 10), (12, 20), (21, 20)] {
        let slice = log.reader().read(offset, 1 << 20, i64::MAX, true).unwrap();
        assert_eq!(slice.first_batch_base_offset, found, "at {offset}");
    }
}

#[test]
fn without_kafka_a_gap_is_what_a_power_cut_took() {
    let folder = scratch();
    let partition = folder.path().join("sample-0");
    write_segments(&partition);
    let opened = support::open(&partition, &LogConfig::default().into(), start(OpenMode::Recover, 0, 0));
    assert_eq!(opened.0.log_end_offset(), 2);
    assert!(opened.1.lost_bytes());
}
