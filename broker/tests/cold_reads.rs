//! Records that are not in memory are read from the disk, and others do not wait for that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    fs::File,
    io::IoSliceMut,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use kafka_protocol::messages::{FetchRequest, MetadataRequest, fetch_request::*};
use rustix::{
    fs::{Advice, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
};
use support::{Process, create, produce};
use uuid::Uuid;

const BATCHES: u32 = 64;
const BATCH_BYTES: usize = 500_000;

/// A batch whose bytes no other has.
fn batch(number: u32) -> bytes::Bytes {
    let mut builder = milena_records::BatchBuilder::new(0);
    let mut value = vec![u8::try_from(number % 251).unwrap(); BATCH_BYTES];
    value[..4].copy_from_slice(&number.to_be_bytes());
    builder.append(1_000, None, Some(&value), &[]).unwrap();
    builder.build().unwrap()
}

fn segment(broker: &Process) -> PathBuf {
    broker.data.path().join("t-0/00000000000000000000.log")
}

/// Writes everything out and drops it from memory. False where the file system keeps it there.
fn make_cold(file: &File) -> bool {
    file.sync_all().unwrap();
    fadvise(file, 0, None, Advice::DontNeed).unwrap();
    let mut byte = [0];
    let looked = preadv2(file, &mut [IoSliceMut::new(&mut byte)], 8 << 20, ReadWriteFlags::NOWAIT);
    looked == Err(Errno::AGAIN)
}

fn from(topic: Uuid, offset: u32) -> FetchRequest {
    let asked =
        FetchPartition::default().with_fetch_offset(i64::from(offset)).with_partition_max_bytes(i32::MAX);
    FetchRequest::default()
        .with_max_bytes(i32::MAX)
        .with_session_epoch(-1)
        .with_topics(vec![FetchTopic::default().with_topic_id(topic).with_partitions(vec![asked])])
}

#[test]
fn cold_records_come_from_the_disk_and_hold_nobody_up() {
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    let topic = create(&mut client, "t", 1);
    let mut expected = Vec::new();
    for number in 0..BATCHES {
        let mut stored = batch(number).to_vec();
        produce(&mut client, topic, 0, batch(number));
        stored[..8].copy_from_slice(&i64::from(number).to_be_bytes());
        stored[12..16].copy_from_slice(&0_i32.to_be_bytes());
        expected.push(stored);
    }
    let file = File::open(segment(&broker)).unwrap();
    let done = AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        let pings = scope.spawn(|| longest_ping(&broker, &done));
        for first in [0, BATCHES / 2, BATCHES - 1, 0] {
            let is_cold = make_cold(&file);
            println!("from batch {first}: cold {is_cold}");
            let answer = client.ask(16, &from(topic, first));
            let records = answer.responses[0].partitions[0].records.clone().unwrap();
            assert!(records == expected[usize::try_from(first).unwrap()..].concat(), "from batch {first}");
        }
        done.store(true, Ordering::Release);
        pings.join().unwrap()
    });
    println!("others waited for {longest:?} at most");
    assert!(longest < Duration::from_secs(5), "{longest:?}");
}

/// How long other connections wait for small answers meanwhile.
fn longest_ping(broker: &Process, done: &AtomicBool) -> Duration {
    let mut clients: Vec<_> = (0..8).map(|_| broker.connect()).collect();
    let mut longest = Duration::ZERO;
    while !done.load(Ordering::Acquire) {
        for client in &mut clients {
            let begun = Instant::now();
            client.ask(12, &MetadataRequest::default().with_topics(Some(Vec::new())));
            longest = longest.max(begun.elapsed());
        }
    }
    longest
}
