//! A log that is cut while a slow client is in the middle of an answer out of it.

use std::{io::Read, path::Path, sync::Arc};

use bytes::Bytes;
use milena_protocol::{FetchAnswer, FetchedPartition, FetchedTopic, Records};
use milena_records::{Batch, BatchBuilder, Batches};
use milena_storage::{Log, LogConfig, Origin};
use tokio::net::TcpListener;

use super::*;

const BATCHES: i64 = 200;
const BATCH_BYTES: usize = 100_000;

fn append(log: &mut Log, kind: u8) -> Bytes {
    let mut builder = BatchBuilder::new(0);
    builder.append(1_000, None, Some(&vec![kind; BATCH_BYTES]), &[]).unwrap();
    let batch = builder.build().unwrap();
    log.append(&Batch::parse(&batch).unwrap(), Origin::Client, 0, 1_000).unwrap();
    batch
}

fn log(dir: &Path) -> Log {
    let mut log = Log::create(dir, None, Arc::new(LogConfig::default()), 1_000).unwrap();
    for _ in 0..BATCHES {
        append(&mut log, b'o');
    }
    log
}

/// An answer with all of the log, which stays in its file.
fn answer(log: &Log) -> ResponseFrame {
    let slice = log.reader().locate(0, usize::MAX, i64::MAX, true).unwrap().unwrap();
    let range = FileRange::new(slice.file, slice.position, slice.len, &slice.changes, slice.seen);
    let partition = FetchedPartition {
        index: 0,
        error_code: 0,
        high_watermark: BATCHES,
        last_stable_offset: BATCHES,
        log_start_offset: 0,
        diverging: None,
        leader: None,
        preferred_read_replica: -1,
        aborted: Vec::new(),
        records: Records::File(range),
    };
    let topic = FetchedTopic { name: "t".into(), id: uuid::Uuid::nil(), partitions: vec![partition] };
    FetchAnswer { topics: vec![topic], ..FetchAnswer::default() }.into_frame(12, 1).unwrap()
}

/// Writes until the client has to read first, or there is nothing more.
fn fill(stream: &TcpStream, frame: &mut ResponseFrame) -> io::Result<()> {
    while !frame.is_empty() {
        match write_some(stream, frame) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Cuts the log at that batch while the client has read nothing, and has another history follow. Answers how many
/// batches of the old and of the new one the client gets.
async fn cut_at(offset: i64) -> (i64, i64) {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path());
    let mut frame = answer(&log);
    let mut before = [io::IoSlice::new(&[]); 4];
    let (count, _) = frame.slices(&mut before);
    let head: usize = before[..count].iter().map(|slice| slice.len()).sum();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    stream.writable().await.unwrap();
    fill(&stream, &mut frame).unwrap();
    assert!(!frame.is_empty(), "the client's buffers hold 20 MB");
    log.truncate_to(offset, 1_000).unwrap();
    while log.log_end_offset() < BATCHES {
        append(&mut log, b'n');
    }
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        // However the connection ends.
        let _ = client.read_to_end(&mut all);
        all
    });
    let error = loop {
        stream.writable().await.unwrap();
        if let Err(error) = fill(&stream, &mut frame) {
            break error;
        }
        assert!(!frame.is_empty(), "sent to its end");
    };
    assert!(error.to_string().contains("truncated"), "{error}");
    drop(stream);
    let got = reader.join().unwrap();
    judge(&got[head..])
}

/// Batches that a client takes for good, by history. They have to be at the offsets that they say, the old ones first.
fn judge(bytes: &[u8]) -> (i64, i64) {
    let (mut old, mut new) = (0, 0);
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        if batch.verify_crc().is_err() {
            break;
        }
        assert_eq!(batch.header.base_offset, old + new);
        match batch.bytes.get(BATCH_BYTES / 2) {
            Some(b'n') => new += 1,
            _ => {
                assert_eq!(new, 0, "old records behind new ones");
                old += 1;
            }
        }
    }
    (old, new)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_sent_yet_is_never_sent() {
    let (old, new) = cut_at(BATCHES - 10).await;
    assert!(old > 0 && old < BATCHES - 10, "{old} batches");
    assert_eq!(new, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_never_becomes_another_history() {
    // The kernel sends from the page cache: of the page in which the cut is, a client may see what it holds now.
    let (old, new) = cut_at(5).await;
    assert!((5..BATCHES).contains(&old), "{old} batches");
    assert_eq!(new, 0);
}
