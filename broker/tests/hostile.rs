//! What no client sends: the broker closes that connection, serves the others, and keeps its memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{Read, Write};

use kafka_protocol::messages::{ApiKey, MetadataRequest};
use rand::{Rng, SeedableRng, rngs::StdRng};
use support::Process;

/// Seeds of the noise; a failure names its seed.
const SEEDS: std::ops::Range<u64> = 0..200;

fn still_serves(broker: &mut Process) {
    assert!(broker.is_running(), "the broker has died");
    let answer = broker.connect().ask(12, &MetadataRequest::default().with_topics(None));
    assert_eq!(answer.brokers.len(), 1);
}

/// The connection ends, or what it says is an answer: it must not hang.
fn ends_or_answers(stream: &mut std::net::TcpStream, what: &str) {
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap_or_else(|error| panic!("{what}: {error}"));
}

#[test]
fn bodies_of_noise() {
    let mut broker = Process::start(&[]);
    for seed in SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let key = random.random_range(0..=75);
        if ApiKey::try_from(key).is_err() {
            continue;
        }
        let mut body = vec![0; random.random_range(0..400)];
        random.fill(&mut body[..]);
        // Lengths that claim everything are the likeliest to hurt.
        for byte in &mut body {
            match random.random_range(0..10) {
                0 => *byte = 0x7f,
                1 => *byte = 0xff,
                _ => {}
            }
        }
        let mut client = broker.connect();
        client.exchange(key, random.random_range(0..14), &body);
        assert!(broker.is_running(), "seed {seed}: the broker has died");
    }
    still_serves(&mut broker);
}

#[test]
fn frames_that_are_none() {
    let mut broker = Process::start(&[]);
    let cases: [(&str, &[u8]); 6] = [
        ("a length of 2 GiB", &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
        ("a negative length", &[0xff, 0xff, 0xff, 0xff]),
        ("an empty frame", &[0, 0, 0, 0]),
        ("a frame without a header", &[0, 0, 0, 2, 0, 3]),
        ("a browser", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("TLS", &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc]),
    ];
    for (what, bytes) in cases {
        let mut client = broker.connect();
        client.stream.write_all(bytes).unwrap();
        ends_or_answers(&mut client.stream, what);
    }
    still_serves(&mut broker);
}

#[test]
fn claimed_lengths_reserve_nothing() {
    let mut broker = Process::start(&[]);
    let before = broker.resident_kib();
    let mut clients: Vec<_> = (0..200).map(|_| broker.connect()).collect();
    for client in &mut clients {
        // 50 MiB are announced, a few bytes come.
        client.stream.write_all(&[0x03, 0x20, 0x00, 0x00, 0, 0, 0, 9, 0, 0]).unwrap();
    }
    still_serves(&mut broker);
    let grown = broker.resident_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more for frames that never came");
}

#[test]
fn half_a_request_and_silence_is_no_answer() {
    let mut broker = Process::start(&["--config", "connections.max.idle.ms=300"]);
    let mut client = broker.connect();
    client.stream.write_all(&[0, 0, 0, 40, 0, 3]).unwrap();
    let mut rest = Vec::new();
    assert_eq!(client.stream.read_to_end(&mut rest).unwrap(), 0, "closed after connections.max.idle.ms");
    still_serves(&mut broker);
}

#[test]
fn more_connections_than_allowed_are_refused() {
    too_many("max.connections=5");
}

#[test]
fn more_connections_of_one_address_than_allowed_are_refused() {
    too_many("max.connections.per.ip=5");
}

/// Starts a broker that lets five connections in.
fn too_many(limit: &str) {
    let mut broker = Process::start(&["--config", limit]);
    let held: Vec<_> = (0..5).map(|_| broker.connect()).collect();
    let mut one_more = broker.connect();
    let mut rest = Vec::new();
    let _ = one_more.stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
    drop(held);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while broker.connect().ask_raw(12, &MetadataRequest::default().with_topics(None)).is_none() {
        assert!(std::time::Instant::now() < deadline, "places of closed connections are not free again");
    }
    still_serves(&mut broker);
}
