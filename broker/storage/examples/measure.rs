//! What an append costs and how long a start takes: `cargo run --release -p milena-storage --example measure DIR`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap
)]

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use milena_records::{Batch, BatchBuilder};
use milena_storage::{LogConfig, LogDir, Origin, Owner, TopicPartition, ids};

const OWNER: Owner<'_> = Owner { cluster_id: None, node_id: 0 };

/// Wall time and this thread's time on a processor, which other programs on the machine do not change as much.
struct Watch(Instant, Duration);

impl Watch {
    fn start() -> Watch {
        Watch(Instant::now(), Watch::on_cpu())
    }

    fn on_cpu() -> Duration {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
    }

    fn cpu(&self) -> Duration {
        Watch::on_cpu() - self.1
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1?}, {:.1?} of it on a processor", self.0.elapsed(), self.cpu())
    }
}

fn batch(records: usize, size: usize) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(0);
    for _ in 0..records {
        builder.append(1_700_000_000_000, None, Some(&vec![b'x'; size]), &[]).unwrap();
    }
    builder.build().unwrap()
}

fn append(root: &Path, len: usize) {
    let dir = LogDir::open(root, OWNER).unwrap();
    let tp = TopicPartition::new(format!("append{len}"), 0);
    let mut log = dir.create_log(&tp, ids::random(), Arc::new(LogConfig::default()), 0).unwrap();
    let bytes = batch(1, len);
    let batch = Batch::parse(&bytes).unwrap();
    let count = (1 << 30) / bytes.len();
    let start = Watch::start();
    for _ in 0..count {
        log.append(&batch, Origin::Client, 0, 0).unwrap();
    }
    let ns = start.cpu().as_nanos() as f64 / count as f64;
    println!("append {} bytes: {ns:.0} ns, {:.2} s/GB", bytes.len(), ns / bytes.len() as f64);
    let (reader, start, mut offset, mut total) = (log.reader(), Watch::start(), 0, 0);
    while offset < log.log_end_offset() {
        let slice = reader.read(offset, 1 << 20, i64::MAX, true).unwrap();
        total += slice.bytes.len();
        offset += (slice.bytes.len() / bytes.len()) as i64;
    }
    println!("read of 1 MiB: {:.2} s/GB", start.cpu().as_secs_f64() / total as f64 * 1e9);
    drop((log, dir));
    let start = Watch::start();
    let dir = LogDir::open(root, OWNER).unwrap();
    let (_, report) = dir.open_log(&tp, Arc::new(LogConfig::default()), 0).unwrap();
    println!("open after a kill, {:?}: {start}, {} bytes verified", dir.open_mode(), report.verified_bytes);
}

fn open(root: &Path, count: i32) {
    let config = Arc::new(LogConfig::default());
    let dir = LogDir::open(root, OWNER).unwrap();
    let bytes = batch(3, 100);
    let start = Watch::start();
    let mut logs: Vec<_> = (0..count)
        .map(|partition| {
            let tp = TopicPartition::new("many", partition);
            (dir.create_log(&tp, ids::random(), config.clone(), 0).unwrap(), tp)
        })
        .collect();
    println!("create {count}: {start}");
    let start = Watch::start();
    for (log, _) in &mut logs {
        log.append(&Batch::parse(&bytes).unwrap(), Origin::Client, 0, 0).unwrap();
    }
    println!("append to each of {count}: {start}");
    dir.mark_recovered().unwrap();
    drop(logs);
    drop(dir);
    let start = Watch::start();
    let dir = LogDir::open(root, OWNER).unwrap();
    let mut logs: Vec<_> = (0..count)
        .map(|partition| {
            let tp = TopicPartition::new("many", partition);
            (dir.open_log(&tp, config.clone(), 0).unwrap().0, tp)
        })
        .collect();
    println!("open {count}, {:?}: {start}", dir.open_mode());
    let start = Watch::start();
    let points: Vec<_> = logs.iter_mut().map(|(log, tp)| (tp.clone(), log.close_clean().unwrap())).collect();
    dir.write_recovery_points(points.iter().map(|(tp, point)| (tp, *point))).unwrap();
    dir.mark_clean_shutdown(0).unwrap();
    println!("close {count}: {start}");
    drop(logs);
    drop(dir);
}

/// In a process of its own, so that memory freed before is not counted as nothing.
fn reopen(root: &Path) {
    let before = resident();
    let config = Arc::new(LogConfig::default());
    let start = Watch::start();
    let dir = LogDir::open(root, OWNER).unwrap();
    let found = dir.partitions().unwrap();
    let logs: Vec<_> = found
        .into_iter()
        .map(|found| dir.open_log(&found.topic_partition, config.clone(), 0).unwrap().0)
        .filter(|log| log.log_end_offset() == 3)
        .collect();
    println!("open {}, {:?}: {start}", logs.len(), dir.open_mode());
    println!("memory: {} bytes a log", (resident() - before) * 4096 / logs.len());
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse().unwrap()
}

fn main() {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    match (arguments.next(), arguments.next()) {
        (Some(verb), Some(root)) if verb == Path::new("reopen") => reopen(&root),
        (Some(root), None) => {
            for len in [16 << 10, 1 << 10] {
                append(&root.join("append"), len);
            }
            let many = root.join("many");
            open(&many, 10_000);
            let mut again = Command::new(env::current_exe().unwrap());
            assert!(again.arg("reopen").arg(many).status().unwrap().success());
        }
        _ => eprintln!("usage: measure DIR, an empty directory on the disk to measure"),
    }
}
