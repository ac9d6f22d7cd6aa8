//! Who sends as fast as it can keeps nobody else waiting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use kafka_protocol::messages::{MetadataRequest, ProduceRequest, produce_request::*};
use support::{Client, Process, batch, create, frame};

/// Bytes of each of its requests.
const LARGE: usize = 300_000;
/// How often another asks meanwhile.
const PINGS: u32 = 200;
/// Requests of the one that are answered while another waits for its answer, at most, on the average: the broker's turn is
/// one of them, and the rest is for threads of this test that come late. Without turns it is 30 to 200.
const AT_ONCE: u32 = 10;

/// Sends requests without waiting for their answers, and counts these.
fn flood(mut sender: Client, request: Vec<u8>, answered: Arc<AtomicU32>, over: Arc<AtomicBool>) {
    let mut receiver = sender.twin();
    let counts = thread::spawn(move || {
        while receiver.receive().is_some() {
            answered.fetch_add(1, Ordering::Relaxed);
        }
    });
    while !over.load(Ordering::Relaxed) {
        sender.stream.write_all(&request).unwrap();
    }
    sender.stream.shutdown(std::net::Shutdown::Both).unwrap();
    counts.join().unwrap();
}

#[test]
fn requests_that_never_end_let_others_have_their_turn() {
    // With one thread nobody else can look what has arrived.
    let broker = Process::start_with(&[], &[("TOKIO_WORKER_THREADS", "1")]);
    let mut other = broker.connect();
    let topic = create(&mut other, "t", 1);
    let data = PartitionProduceData::default().with_records(Some(batch(LARGE)));
    let data = TopicProduceData::default().with_topic_id(topic).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(1).with_timeout_ms(1_000).with_topic_data(vec![data]);
    let (answered, over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let flooding = {
        let (answered, over, sender) = (answered.clone(), over.clone(), broker.connect());
        thread::spawn(move || flood(sender, frame(13, 1, &request), answered, over))
    };
    while answered.load(Ordering::Relaxed) < 20 {
        thread::yield_now();
    }
    let waited: u32 = (0..PINGS)
        .map(|_| {
            let before = answered.load(Ordering::Relaxed);
            other.ask(12, &MetadataRequest::default().with_topics(Some(Vec::new())));
            answered.load(Ordering::Relaxed) - before
        })
        .sum();
    over.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
    println!("{waited} requests of the other were answered during {PINGS}");
    assert!(waited <= PINGS * AT_ONCE, "{waited} requests of the other were answered during {PINGS}");
}
