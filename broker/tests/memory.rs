//! Memory is bounded whatever clients do: many connections, many partitions, clients that read slowly or not at all,
//! huge fetches, requests without end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use kafka_protocol::messages::{FetchRequest, MetadataRequest, fetch_request::*};
use socket2::SockRef;
use support::{Client, Process, batch, create, frame, name, produce};
use uuid::Uuid;

const MIB: u64 = 1024;

/// Its memory once it has settled, in KiB.
fn settled(broker: &Process) -> u64 {
    std::thread::sleep(Duration::from_millis(300));
    broker.resident_kib()
}

fn fill(client: &mut Client, topic: Uuid, mib: usize) {
    for _ in 0..mib {
        produce(client, topic, 0, batch(1_000_000));
    }
}

/// Everything from the start, in one answer if it may be.
fn everything(topic: Uuid, by_name: Option<&str>) -> FetchRequest {
    let asked = FetchPartition::default().with_partition_max_bytes(i32::MAX);
    let topic = match by_name {
        Some(text) => FetchTopic::default().with_topic(name(text)),
        None => FetchTopic::default().with_topic_id(topic),
    };
    FetchRequest::default()
        .with_max_bytes(i32::MAX)
        .with_session_epoch(-1)
        .with_topics(vec![topic.with_partitions(vec![asked])])
}

fn answers_soon(broker: &Process) {
    let begun = Instant::now();
    let mut client = broker.connect();
    client.ask(12, &MetadataRequest::default().with_topics(Some(Vec::new())));
    assert!(begun.elapsed() < Duration::from_secs(15), "others wait {:?}", begun.elapsed());
}

#[test]
fn idle_connections() {
    const COUNT: u32 = 5_000;
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    create(&mut client, "t", 1);
    let before = settled(&broker);
    let held: Vec<TcpStream> = (0..COUNT)
        .map(|_| {
            let mut client = broker.connect();
            client.ask(12, &MetadataRequest::default().with_topics(Some(Vec::new())));
            client.stream
        })
        .collect();
    let each = (settled(&broker).saturating_sub(before)) * 1024 / u64::from(COUNT);
    println!("{each} bytes for each idle connection");
    assert!(each < 16 * 1024, "{each} bytes for each idle connection");
    answers_soon(&broker);
    drop(held);
}

#[test]
fn idle_partitions() {
    const COUNT: i32 = 2_000;
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    create(&mut client, "warm", 10);
    let before = settled(&broker);
    create(&mut client, "many", COUNT);
    let each = (settled(&broker).saturating_sub(before)) * 1024 / u64::try_from(COUNT).unwrap();
    println!("{each} bytes for each idle partition");
    assert!(each < 8 * 1024, "{each} bytes for each idle partition");
}

#[test]
fn huge_fetches_that_nobody_reads_wait_on_disk() {
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    let topic = create(&mut client, "t", 1);
    fill(&mut client, topic, 60);
    let before = settled(&broker);
    let held: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = broker.connect().stream;
            stream.write_all(&frame(16, 1, &everything(topic, None))).unwrap();
            stream
        })
        .collect();
    let grown = settled(&broker).saturating_sub(before);
    println!("{grown} KiB for 50 answers of 55 MiB");
    assert!(grown < 16 * MIB, "{grown} KiB for 50 answers of 55 MiB");
    answers_soon(&broker);
    // Who does read gets all of it.
    let mut last = held.into_iter().next_back().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut length = [0; 4];
    last.read_exact(&mut length).unwrap();
    let length = u64::try_from(i32::from_be_bytes(length)).unwrap();
    assert!(length > 50_000_000);
    assert_eq!(std::io::copy(&mut last.take(length), &mut std::io::sink()).unwrap(), length);
}

/// Bytes of answers that the system holds for a broker's clients, in KiB.
fn on_their_way(broker: &Process) -> u64 {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{:04X}", broker.port);
    let queued = sockets.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (sent, _) = fields[4].split_once(':').unwrap();
        fields[1].ends_with(&local).then(|| u64::from_str_radix(sent, 16).unwrap())
    });
    queued.sum::<u64>() / 1024
}

#[test]
fn what_the_system_holds_for_clients_that_read_nothing_has_a_budget() {
    const COUNT: usize = 200;
    let each = "milena.socket.unsent.bytes=1048576";
    let taken = |all: &str| {
        let broker = Process::start(&["--config", each, "--config", all]);
        let mut client = broker.connect();
        let topic = create(&mut client, "t", 1);
        fill(&mut client, topic, 10);
        let held: Vec<TcpStream> = (0..COUNT)
            .map(|_| {
                let mut stream = broker.connect().stream;
                SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
                stream.write_all(&frame(16, 1, &everything(topic, None))).unwrap();
                stream
            })
            .collect();
        // Until it takes no more.
        let (mut before, mut now) = (0, on_their_way(&broker));
        while now > before || now == 0 {
            settled(&broker);
            (before, now) = (now, on_their_way(&broker));
        }
        answers_soon(&broker);
        drop(held);
        now
    };
    let without = taken("milena.queued.max.unsent.bytes=1073741824");
    let with = taken("milena.queued.max.unsent.bytes=4194304");
    println!(
        "{with} KiB for {COUNT} answers of 10 MB, of which the system may take 4 MiB; without that {without} KiB"
    );
    assert!(without > 100 * MIB, "{without} KiB");
    // The budget as often as the logarithm of their number says, a third more for how the system counts, and their least.
    assert!(with < 30 * MIB, "{with} KiB");
}

#[test]
fn answers_that_wait_in_memory_have_a_budget() {
    let broker = Process::start(&["--config", "milena.queued.max.response.bytes=16777216"]);
    let mut client = broker.connect();
    let topic = create(&mut client, "t", 1);
    fill(&mut client, topic, 8);
    // Clients of old versions get message sets, which are made in memory.
    client.ask_raw(4, &everything(topic, Some("t"))).unwrap();
    let before = settled(&broker);
    let held: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = broker.connect().stream;
            stream.write_all(&legacy_fetch()).unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    let mut most = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        most = most.max(broker.resident_kib().saturating_sub(before));
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("{most} KiB for 60 answers of 8 MiB, of which 16 MiB may wait");
    assert!(most < 120 * MIB, "{most} KiB more");
    let begun = Instant::now();
    produce(&mut client, topic, 0, batch(10));
    assert!(begun.elapsed() < Duration::from_secs(5), "who produces does not wait: {:?}", begun.elapsed());
    drop(held);
    answers_soon(&broker);
}

/// Fetch 3 of everything, which the schemas no longer have.
fn legacy_fetch() -> Vec<u8> {
    let mut body: Vec<u8> = Vec::new();
    body.extend(1_i16.to_be_bytes());
    body.extend(3_i16.to_be_bytes());
    body.extend(7_i32.to_be_bytes());
    body.extend((-1_i16).to_be_bytes());
    body.extend((-1_i32).to_be_bytes());
    body.extend(100_i32.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend(i32::MAX.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend(1_i16.to_be_bytes());
    body.extend(b"t");
    body.extend(1_i32.to_be_bytes());
    body.extend(0_i32.to_be_bytes());
    body.extend(0_i64.to_be_bytes());
    body.extend(i32::MAX.to_be_bytes());
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

#[test]
fn requests_without_end_wait_in_the_socket() {
    let broker = Process::start(&[]);
    let mut client = broker.connect();
    let topic = create(&mut client, "t", 1);
    fill(&mut client, topic, 4);
    let before = settled(&broker);
    let requests = frame(16, 1, &everything(topic, None)).repeat(1_000);
    let held: Vec<TcpStream> = (0..20)
        .map(|_| {
            let stream = broker.connect().stream;
            stream.set_nonblocking(true).unwrap();
            let mut sent = 0;
            let until = Instant::now() + Duration::from_millis(50);
            while sent < requests.len() && Instant::now() < until {
                match (&stream).write(&requests[sent..]) {
                    Ok(count) => sent += count,
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
            stream
        })
        .collect();
    let grown = settled(&broker).saturating_sub(before);
    println!("{grown} KiB for 20 clients that only write");
    assert!(grown < 16 * MIB, "{grown} KiB for 20 clients that only write");
    answers_soon(&broker);
    drop(held);
}

#[test]
fn a_request_that_does_not_arrive_gives_its_memory_back() {
    let settings = ["queued.max.request.bytes=2097152", "milena.request.progress.ms=2000"];
    let broker = Process::start(&["--config", settings[0], "--config", settings[1]]);
    let mut client = broker.connect();
    let topic = create(&mut client, "t", 1);
    let mut stalled = half_a_request(&broker, 2_000_000);
    // There is no memory for another one until that one is given up.
    produce(&mut client, topic, 0, batch(1_000_000));
    let begun = Instant::now();
    assert_eq!(stalled.read(&mut [0; 1]).unwrap_or(0), 0, "it is closed");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // One that drips is given up, too; one that arrives in parts of a useful size is not.
    let mut dripping = half_a_request(&broker, 2_000_000);
    let closed = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        dripping.write_all(&[0; 100]).is_err()
    });
    assert!(closed, "it drips for ten seconds");
    let whole = frame(13, 1, &produce_of(topic, 600_000));
    let mut slow = broker.connect();
    let begun = Instant::now();
    for part in whole.chunks(100_000) {
        slow.stream.write_all(part).unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(slow.receive().is_some(), "it took {:?}", begun.elapsed());
}

/// A connection on which the beginning of a request of that size was sent.
fn half_a_request(broker: &Process, size: u32) -> TcpStream {
    let mut stream = broker.connect().stream;
    stream.write_all(&size.to_be_bytes()).unwrap();
    stream.write_all(&vec![0; 100_000]).unwrap();
    stream
}

fn produce_of(topic: Uuid, size: usize) -> kafka_protocol::messages::ProduceRequest {
    use kafka_protocol::messages::produce_request::*;
    let data = PartitionProduceData::default().with_records(Some(batch(size)));
    let topic = TopicProduceData::default().with_topic_id(topic).with_partition_data(vec![data]);
    kafka_protocol::messages::ProduceRequest::default()
        .with_acks(1)
        .with_timeout_ms(1_000)
        .with_topic_data(vec![topic])
}
