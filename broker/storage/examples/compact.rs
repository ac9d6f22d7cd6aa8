//! What a compaction costs: `cargo run --release -p milena-storage --example compact DIR`.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::{env, path::Path, sync::Arc, time::Duration};

use milena_records::{Batch, BatchBuilder, Compression};
use milena_storage::{CleanerLimits, Log, LogConfig, Origin};

const BYTES: usize = 512 << 20;
const NOW: i64 = 1_700_000_000_000;

fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Writes records of that size with so many keys, in batches of 16 KiB, and compacts them.
fn compact(dir: &Path, size: usize, keys: u32, codec: Compression) {
    let config = LogConfig { cleanup_compact: true, segment_bytes: 128 << 20, ..LogConfig::default() };
    let mut log = Log::create(dir, None, Arc::new(config), NOW).unwrap();
    let value: Vec<u8> = (0..size).map(|at| b'a'.wrapping_add(u8::try_from(at % 23).unwrap())).collect();
    let mut state = 1u32;
    let mut written = 0;
    while written < BYTES {
        let mut builder = BatchBuilder::new(0).compression(codec);
        while builder.uncompressed_len() < 16 << 10 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = format!("key-{:010}", (state >> 4) % keys);
            builder.append(NOW, Some(key.as_bytes()), Some(&value), &[]).unwrap();
        }
        written += builder.uncompressed_len();
        let bytes = builder.build().unwrap();
        log.append(&Batch::parse(&bytes).unwrap(), Origin::Client, 0, NOW).unwrap();
    }
    log.roll(NOW).unwrap();
    let before = log.size_in_bytes();
    let began = on_cpu();
    let task = log.clean_task(NOW, log.log_end_offset()).unwrap().unwrap();
    let cleaned = task.run(&CleanerLimits::default(), &()).unwrap();
    let stats = cleaned.stats();
    log.install(cleaned).unwrap().remove().unwrap();
    let cpu = (on_cpu() - began).as_secs_f64();
    println!(
        "{size} B, {keys} keys, {codec}: {} MB to {} MB, {:.2} CPU s, {:.2} s for each GB of the log, {stats:?}",
        before >> 20,
        log.size_in_bytes() >> 20,
        cpu,
        cpu / before as f64 * 1e9,
    );
}

fn main() {
    let root = env::args().nth(1).unwrap_or_else(|| "/tmp/milena-compact".to_owned());
    let root = Path::new(&root);
    for (size, keys, codec) in [
        (1000, 50_000, Compression::None),
        (1000, 400_000, Compression::None),
        (100, 500_000, Compression::None),
        (100, 500_000, Compression::Lz4),
        (100, 500_000, Compression::Zstd),
    ] {
        compact(&root.join(format!("{size}-{keys}-{codec}")), size, keys, codec);
    }
    std::fs::remove_dir_all(root).unwrap();
}
