//! A log that moves between directories, cut short at any step.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{path::PathBuf, sync::Arc};

use milena_storage::{Log, LogConfig, LogDir, LogDirs, Owner, TopicPartition, ids};
use support::{NOW, append, batch, read_all};

const OWNER: Owner<'_> = Owner { cluster_id: None, node_id: 0 };

struct Scene {
    folder: tempfile::TempDir,
    tp: TopicPartition,
    content: Vec<u8>,
}

impl Scene {
    /// Two directories, and a log in the first.
    fn new() -> (Scene, LogDirs, Log) {
        let folder = support::scratch();
        let tp = TopicPartition::new("sample", 0);
        let scene = Scene { folder, tp, content: Vec::new() };
        let dirs = scene.open();
        let config = Arc::new(LogConfig::default());
        let mut log = dirs.opened()[0].create_log(&scene.tp, ids::random(), config, NOW).unwrap();
        for text in ["one", "two", "three"] {
            append(&mut log, &batch(NOW, &[text.as_bytes()])).unwrap();
        }
        let content = read_all(&log, 0, 1 << 20);
        (Scene { content, ..scene }, dirs, log)
    }

    fn open(&self) -> LogDirs {
        let paths: Vec<PathBuf> = ["a", "b"].iter().map(|name| self.folder.path().join(name)).collect();
        LogDirs::open(&paths, OWNER).unwrap()
    }

    fn future(&self, to: &LogDir) -> Log {
        let config = Arc::new(LogConfig::default());
        let mut future = to.create_future(&self.tp, ids::random(), config, NOW).unwrap();
        future.append_as_follower(&self.content, NOW).unwrap();
        future
    }
}

#[test]
fn a_log_moves_with_all_that_it_has() {
    let (scene, dirs, mut log) = Scene::new();
    let [from, to] = dirs.opened() else { panic!() };
    let mut future = scene.future(to);
    future.delete_records(1).unwrap();
    let mut moved = to.adopt_future(&mut future, &scene.tp, from, NOW).unwrap();
    log.delete();
    let rest = to.finish_move(&scene.tp, from).unwrap();
    assert!(rest.exists() && !from.partition_path(&scene.tp).exists());
    assert_eq!((moved.log_start_offset(), moved.recovery_point()), (1, 3));
    assert_eq!(to.moved_from(&scene.tp).unwrap(), None);
    append(&mut moved, &batch(NOW, &[b"four"])).unwrap();
    drop((log, future, moved, dirs));
    // Killed: what is left is found where it is.
    let dirs = scene.open();
    let holding = dirs.holding(&scene.tp);
    assert_eq!(holding.len(), 1);
    let (log, report) = holding[0].open_log(&scene.tp, Arc::new(LogConfig::default()), NOW).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset(), report.lost_bytes()), (1, 4, false));
    assert!(!rest.exists());
}

#[test]
fn a_copy_that_was_not_finished_is_found_by_the_next_start() {
    let (scene, dirs, log) = Scene::new();
    let future = scene.future(&dirs.opened()[1]);
    let (path, id) = (future.dir().to_owned(), future.topic_id());
    assert!(path.to_str().unwrap().ends_with("-future"));
    let nobodys = dirs.opened()[1].path().join("cut-short-future");
    std::fs::create_dir(&nobodys).unwrap();
    drop((future, log, dirs));
    let dirs = scene.open();
    assert!(!nobodys.exists());
    let [found] = &dirs.opened()[1].futures().unwrap()[..] else { panic!("one copy") };
    assert_eq!((&found.topic_partition, found.topic_id, &found.path), (&scene.tp, id, &path));
    assert_eq!(dirs.holding(&scene.tp)[0].path(), dirs.opened()[0].path());
    let config = Arc::new(LogConfig::default());
    let again = dirs.opened()[1].open_future(found, config, NOW).unwrap();
    assert_eq!(read_all(&again, 0, 1 << 20), scene.content);
}

#[test]
fn a_move_that_was_cut_short_says_which_copy_counts() {
    let (scene, dirs, log) = Scene::new();
    let [from, to] = dirs.opened() else { panic!() };
    let mut future = scene.future(to);
    let mut moved = to.adopt_future(&mut future, &scene.tp, from, NOW).unwrap();
    append(&mut moved, &batch(NOW, &[b"only there"])).unwrap();
    drop((future, moved, log, dirs));
    let dirs = scene.open();
    let [from, to] = dirs.opened() else { panic!() };
    assert_eq!(dirs.holding(&scene.tp).len(), 2);
    assert_eq!(to.moved_from(&scene.tp).unwrap(), Some(from.directory_id()));
    assert_eq!(from.moved_from(&scene.tp).unwrap(), None);
    to.finish_move(&scene.tp, from).unwrap();
    assert_eq!(dirs.holding(&scene.tp)[0].path(), to.path());
    let (log, _) = to.open_log(&scene.tp, Arc::new(LogConfig::default()), NOW).unwrap();
    assert_eq!(log.log_end_offset(), 4);
}
