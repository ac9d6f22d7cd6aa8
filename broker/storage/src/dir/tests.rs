use std::{fs, sync::Arc};

use bytes::Bytes;
use milena_records::{Batch, BatchBuilder};

use super::*;
use crate::{Log, LogConfig, Origin, RecoveryReport};

const OWNER: Owner<'_> = Owner { cluster_id: Some("demo-cluster"), node_id: 4 };

fn partition() -> TopicPartition {
    TopicPartition::new("sample.v1-2", 0)
}

/// Appends batches of one record each.
fn fill(log: &mut Log, batches: usize, leader_epoch: i32) {
    let mut builder = BatchBuilder::new(0);
    builder.append(0, None, Some(b"value"), &[]).unwrap();
    let bytes: Bytes = builder.build().unwrap();
    let batch = Batch::parse(&bytes).unwrap();
    for _ in 0..batches {
        log.append(&batch, Origin::Client, leader_epoch, 0).unwrap();
    }
}

fn open(path: &Path) -> LogDir {
    LogDir::open(path, OWNER).unwrap()
}

#[test]
fn one_broker_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    assert!(matches!(LogDir::open(dir.path(), OWNER), Err(StorageError::DirInUse { .. })));
    drop(first);
    open(dir.path());
}

#[test]
fn a_directory_belongs_to_one_broker_of_one_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let id = open(dir.path()).directory_id();
    let text = fs::read_to_string(dir.path().join("meta.properties")).unwrap();
    let expected =
        format!("version=1\ncluster.id=demo-cluster\nnode.id=4\ndirectory.id={}\n", crate::ids::encode(id));
    assert_eq!(text, expected);
    let wrong = |owner| LogDir::open(dir.path(), owner).unwrap_err().to_string();
    assert!(wrong(Owner { node_id: 5, ..OWNER }).ends_with("belongs to broker 4, not to 5"));
    assert!(
        wrong(Owner { cluster_id: Some("other"), ..OWNER })
            .ends_with("belongs to cluster demo-cluster, not to other")
    );
    let again = LogDir::open(dir.path(), Owner { cluster_id: None, ..OWNER }).unwrap();
    assert_eq!((again.cluster_id(), again.directory_id()), ("demo-cluster", id));
}

#[test]
fn a_directory_that_cannot_be_made_is_one_clear_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = LogDir::open(&file.path().join("data"), OWNER).unwrap_err();
    assert!(matches!(error, StorageError::DirNotWritable { .. }), "{error}");
}

#[test]
fn the_marker_is_gone_while_the_broker_runs() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join(".kafka_cleanshutdown");
    let first = open(dir.path());
    assert_eq!(first.open_mode(), OpenMode::Recover);
    let generation = first.generation();
    first.mark_recovered().unwrap();
    first.mark_clean_shutdown(12).unwrap();
    assert_eq!(fs::read_to_string(&marker).unwrap(), r#"{"version":0,"brokerEpoch":12}"#);
    drop(first);
    let second = open(dir.path());
    assert_eq!((second.open_mode(), second.generation()), (OpenMode::Clean, generation));
    assert!(!marker.exists());
    drop(second);
    // Killed, on the same boot.
    let third = open(dir.path());
    assert_eq!((third.open_mode(), third.generation()), (OpenMode::SameBoot, generation));
}

#[test]
fn partitions_are_found_again_with_their_topic_ids_and_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let config = Arc::new(LogConfig::default());
    let id = crate::ids::random();
    let first = open(dir.path());
    first.create_log(&partition(), id, config.clone(), 0).unwrap();
    assert!(first.create_log(&partition(), id, config.clone(), 0).is_err());
    let tp = partition();
    first.write_recovery_points([(&tp, 17)].into_iter()).unwrap();
    first.write_log_start_offsets([(&tp, 5)].into_iter()).unwrap();
    first.write_high_watermarks([(&tp, 16)].into_iter()).unwrap();
    let text = fs::read_to_string(dir.path().join("recovery-point-offset-checkpoint")).unwrap();
    assert_eq!(text, "0\n1\nsample.v1-2 0 17\n");
    fs::create_dir(dir.path().join("not a partition")).unwrap();
    fs::create_dir(dir.path().join("odd-007")).unwrap();
    drop(first);

    let second = open(dir.path());
    let found = second.partitions().unwrap();
    let path = dir.path().join("sample.v1-2-0");
    assert_eq!(found, [PartitionDir { topic_partition: tp.clone(), topic_id: Some(id), path }]);
    let start = second.log_start(&tp);
    // What is committed counts only where the logs are known to have it.
    assert_eq!((start.recovery_point, start.log_start_offset, second.high_watermark(&tp)), (17, 5, 0));
    let (log, report) = second.open_log(&tp, config, 0).unwrap();
    assert_eq!((log.log_start_offset(), log.topic_id()), (5, Some(id)));
    assert_eq!(report, RecoveryReport { log_end_offset: 5, ..RecoveryReport::default() });
}

#[test]
fn what_is_deleted_goes_and_what_is_set_aside_stays() {
    let dir = tempfile::tempdir().unwrap();
    let config = Arc::new(LogConfig::default());
    let first = open(dir.path());
    let (gone, stray) = (partition(), TopicPartition::new("x".repeat(249), 0));
    for tp in [&gone, &stray] {
        first.create_log(tp, crate::ids::random(), config.clone(), 0).unwrap();
    }
    let path = first.delete_partition(&gone).unwrap();
    assert!(path.to_str().unwrap().ends_with("-delete"));
    first.set_aside(&stray).unwrap();
    assert!(first.partitions().unwrap().is_empty());
    // A topic of the same name can be made at once.
    first.create_log(&gone, crate::ids::random(), config, 0).unwrap();
    drop(first);
    let second = open(dir.path());
    assert!(!path.exists());
    assert_eq!(second.partitions().unwrap().len(), 1);
    assert_eq!(second.strays().unwrap().len(), 1);
    remove_directory(&path).unwrap();
}

#[test]
fn a_high_watermark_counts_as_long_as_its_log_has_lost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = Arc::new(LogConfig::default());
    let tp = partition();
    let first = open(dir.path());
    let mut log = first.create_log(&tp, crate::ids::random(), config.clone(), 0).unwrap();
    fill(&mut log, 10, 0);
    first.mark_recovered().unwrap();
    first.write_high_watermarks([(&tp, 8)].into_iter()).unwrap();
    drop((log, first));

    // Killed on the same boot; then the log is cut, and written again behind the cut.
    let second = open(dir.path());
    assert_eq!((second.open_mode(), second.high_watermark(&tp)), (OpenMode::SameBoot, 8));
    let mut log = second.open_log(&tp, config.clone(), 0).unwrap().0;
    log.truncate_to(9, 0).unwrap();
    assert_eq!(second.high_watermark(&tp), 8, "all of that is still there");
    log.truncate_to(5, 0).unwrap();
    fill(&mut log, 10, 1);
    // Written with what was collected before the cut.
    second.write_high_watermarks([(&tp, 8)].into_iter()).unwrap();
    second.mark_recovered().unwrap();
    drop((log, second));
    let third = open(dir.path());
    assert_eq!((third.open_mode(), third.high_watermark(&tp)), (OpenMode::SameBoot, 5));
    drop(third);

    // A start that cannot rely on the logs forgets it, for later starts, too.
    sync_failed::note(dir.path());
    let fourth = open(dir.path());
    assert_eq!((fourth.open_mode(), fourth.high_watermark(&tp)), (OpenMode::Recover, 0));
    fourth.mark_recovered().unwrap();
    drop(fourth);
    assert_eq!(open(dir.path()).high_watermark(&tp), 0);
}

#[test]
fn checkpoints_of_an_older_topic_say_nothing_about_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = Arc::new(LogConfig::default());
    let tp = partition();
    let first = open(dir.path());
    first.create_log(&tp, crate::ids::random(), config.clone(), 0).unwrap();
    first.write_log_start_offsets([(&tp, 1000)].into_iter()).unwrap();
    first.delete_partition(&tp).unwrap();
    first.create_log(&tp, crate::ids::random(), config.clone(), 0).unwrap();
    // Killed before checkpoints were written anew.
    drop(first);
    let second = open(dir.path());
    assert_eq!(second.open_log(&tp, config, 0).unwrap().0.log_start_offset(), 0);
}
