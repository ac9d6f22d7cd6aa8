//! Fetch sessions (KIP-227) as clients meet them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::{Duration, Instant};

use kafka_protocol::{
    ResponseError,
    messages::{delete_topics_request::DeleteTopicState, fetch_request::*, fetch_response::PartitionData, *},
};
use support::{Client, Process, batch, create, name, produce};
use uuid::Uuid;

const VERSION: i16 = 16;

/// One client's session.
struct Session {
    client: Client,
    id: i32,
    epoch: i32,
    max_bytes: i32,
    min_bytes: i32,
    wait: Duration,
}

impl Session {
    fn new(client: Client) -> Session {
        let wait = Duration::from_millis(20);
        Session { client, id: 0, epoch: 0, max_bytes: 1 << 20, min_bytes: 1, wait }
    }

    fn request(&self, topic: Uuid, offsets: &[(i32, i64)], forgotten: &[i32]) -> FetchRequest {
        let partitions: Vec<FetchPartition> = offsets
            .iter()
            .map(|(partition, offset)| {
                FetchPartition::default()
                    .with_partition(*partition)
                    .with_fetch_offset(*offset)
                    .with_partition_max_bytes(1 << 20)
            })
            .collect();
        let mut request = FetchRequest::default()
            .with_max_wait_ms(i32::try_from(self.wait.as_millis()).unwrap())
            .with_min_bytes(self.min_bytes)
            .with_max_bytes(self.max_bytes)
            .with_session_id(self.id)
            .with_session_epoch(self.epoch);
        if !partitions.is_empty() {
            request = request
                .with_topics(vec![FetchTopic::default().with_topic_id(topic).with_partitions(partitions)]);
        }
        if !forgotten.is_empty() {
            let topic = ForgottenTopic::default().with_topic_id(topic).with_partitions(forgotten.to_vec());
            request = request.with_forgotten_topics_data(vec![topic]);
        }
        request
    }

    /// Sends the next request of the session; what it is told of partitions.
    fn fetch(&mut self, topic: Uuid, offsets: &[(i32, i64)], forgotten: &[i32]) -> Vec<PartitionData> {
        let request = self.request(topic, offsets, forgotten);
        let answer = self.client.ask(VERSION, &request);
        assert_eq!(answer.error_code, 0);
        self.id = answer.session_id;
        self.epoch += 1;
        answer.responses.into_iter().flat_map(|topic| topic.partitions).collect()
    }

    fn fails_with(&mut self, request: &FetchRequest, error: ResponseError) {
        let answer = self.client.ask(VERSION, request);
        assert_eq!((answer.error_code, answer.session_id), (error.code(), 0));
        assert!(answer.responses.is_empty());
    }
}

fn told(partitions: &[PartitionData]) -> Vec<i32> {
    partitions.iter().map(|data| data.partition_index).collect()
}

fn bytes(data: &PartitionData) -> usize {
    data.records.as_ref().map_or(0, bytes::Bytes::len)
}

#[test]
fn an_incremental_answer_has_only_news() {
    let broker = Process::start(&[]);
    let mut other = broker.connect();
    let topic = create(&mut other, "t", 5);
    let mut session = Session::new(broker.connect());
    let all: Vec<(i32, i64)> = (0..5).map(|partition| (partition, 0)).collect();
    assert_eq!(told(&session.fetch(topic, &all, &[])), [0, 1, 2, 3, 4], "a full answer has all");
    assert!(session.id > 0);
    assert!(session.fetch(topic, &[], &[]).is_empty());
    produce(&mut other, topic, 3, batch(100));
    let news = session.fetch(topic, &[], &[]);
    assert_eq!(told(&news), [3]);
    assert!(bytes(&news[0]) > 100 && news[0].high_watermark == 1);
    // The client did not go on there: it is told again.
    assert_eq!(told(&session.fetch(topic, &[], &[])), [3]);
    assert!(session.fetch(topic, &[(3, 1)], &[]).is_empty());
    // A new log start offset is news, too.
    let partition =
        delete_records_request::DeleteRecordsPartition::default().with_partition_index(3).with_offset(1);
    let delete = delete_records_request::DeleteRecordsTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![partition]);
    other.ask(2, &DeleteRecordsRequest::default().with_topics(vec![delete]).with_timeout_ms(1_000));
    let news = session.fetch(topic, &[], &[]);
    assert_eq!((told(&news), news[0].log_start_offset), (vec![3], 1));
    // Forgotten: nothing is told of it any more; and added again: all is.
    produce(&mut other, topic, 2, batch(100));
    assert!(session.fetch(topic, &[], &[2]).is_empty());
    produce(&mut other, topic, 2, batch(100));
    assert!(session.fetch(topic, &[], &[]).is_empty());
    assert_eq!(told(&session.fetch(topic, &[(2, 0)], &[])), [2]);
}

#[test]
fn a_waiting_fetch_is_woken_by_the_partition_that_changed() {
    let broker = Process::start(&[]);
    let mut other = broker.connect();
    let topic = create(&mut other, "t", 100);
    let mut session = Session::new(broker.connect());
    let all: Vec<(i32, i64)> = (0..100).map(|partition| (partition, 0)).collect();
    session.fetch(topic, &all, &[]);
    session.wait = Duration::from_secs(15);
    for round in 0..3 {
        let begin = Instant::now();
        let news = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| session.fetch(topic, &[(57, round)], &[]));
            std::thread::sleep(Duration::from_millis(100));
            produce(&mut other, topic, 57, batch(10));
            waiting.join().unwrap()
        });
        assert_eq!(told(&news), [57]);
        assert!(begin.elapsed() < Duration::from_secs(10), "not woken");
    }
    // Too little wakes nobody up; enough of it does.
    session.min_bytes = 3_000;
    let begin = Instant::now();
    let news = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| session.fetch(topic, &[(57, 3)], &[]));
        for partition in [1, 2, 1, 57] {
            std::thread::sleep(Duration::from_millis(100));
            produce(&mut other, topic, partition, batch(900));
        }
        waiting.join().unwrap()
    });
    assert!(begin.elapsed() > Duration::from_millis(400) && begin.elapsed() < Duration::from_secs(10));
    assert_eq!(news.iter().map(bytes).sum::<usize>() / 900, 4);
}

#[test]
fn each_partition_has_its_turn() {
    let broker = Process::start(&[]);
    let mut other = broker.connect();
    let topic = create(&mut other, "t", 4);
    for partition in 0..4 {
        produce(&mut other, topic, partition, batch(3_000));
        produce(&mut other, topic, partition, batch(3_000));
    }
    let mut session = Session::new(broker.connect());
    session.max_bytes = 3_500;
    let all: Vec<(i32, i64)> = (0..4).map(|partition| (partition, 0)).collect();
    let mut served = vec![];
    let mut offsets = all;
    for _ in 0..8 {
        let news = session.fetch(topic, &offsets, &[]);
        let with_records: Vec<&PartitionData> = news.iter().filter(|data| bytes(data) > 0).collect();
        assert_eq!(with_records.len(), 1);
        let partition = with_records[0].partition_index;
        served.push(partition);
        let times = i64::try_from(served.iter().filter(|one| **one == partition).count()).unwrap();
        offsets = vec![(partition, times)];
    }
    assert_eq!(served, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn sessions_end_and_epochs_count() {
    let broker = Process::start(&[]);
    let mut other = broker.connect();
    let topic = create(&mut other, "t", 2);
    let mut session = Session::new(broker.connect());
    session.fetch(topic, &[(0, 0), (1, 0)], &[]);
    let mut wrong = session.request(topic, &[], &[]);
    wrong.session_epoch = 7;
    session.fails_with(&wrong, ResponseError::InvalidFetchSessionEpoch);
    wrong.session_id += 8;
    session.fails_with(&wrong, ResponseError::FetchSessionIdNotFound);
    assert!(session.fetch(topic, &[], &[]).is_empty(), "errors change nothing");
    // Topics by name and by id do not mix.
    let older = session.client.ask(12, &session.request(Uuid::nil(), &[], &[]));
    assert_eq!(older.error_code, ResponseError::FetchSessionTopicIdError.code());
    // The final epoch ends it.
    let (id, mut last) = (session.id, session.request(topic, &[(0, 0)], &[]));
    last.session_epoch = -1;
    let answer = session.client.ask(VERSION, &last);
    assert_eq!((answer.error_code, answer.session_id), (0, 0));
    let mut gone = session.request(topic, &[], &[]);
    gone.session_id = id;
    session.fails_with(&gone, ResponseError::FetchSessionIdNotFound);
    // So does a new one, and one that has nothing left.
    (session.id, session.epoch) = (0, 0);
    session.fetch(topic, &[(0, 0)], &[]);
    let first = session.id;
    session.epoch = 0;
    session.fetch(topic, &[(0, 0)], &[]);
    assert_ne!(session.id, first);
    let mut old = session.request(topic, &[], &[]);
    old.session_id = first;
    session.fails_with(&old, ResponseError::FetchSessionIdNotFound);
    assert!(session.fetch(topic, &[], &[0]).is_empty());
    assert_eq!(session.id, 0);
}

#[test]
fn a_newer_request_takes_over() {
    let broker = Process::start(&[]);
    let mut other = broker.connect();
    let topic = create(&mut other, "t", 2);
    let mut session = Session::new(broker.connect());
    session.fetch(topic, &[(0, 0), (1, 0)], &[]);
    let mut second = Session::new(broker.connect());
    (second.id, second.epoch) = (session.id, session.epoch + 1);
    (session.wait, second.wait) = (Duration::from_secs(15), Duration::from_secs(15));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let request = session.request(topic, &[], &[]);
        let superseded = scope.spawn(move || session.client.ask(VERSION, &request).error_code);
        std::thread::sleep(Duration::from_millis(100));
        let newer = scope.spawn(|| told(&second.fetch(topic, &[], &[])));
        assert_eq!(superseded.join().unwrap(), ResponseError::InvalidFetchSessionEpoch.code());
        produce(&mut other, topic, 1, batch(10));
        assert_eq!(newer.join().unwrap(), [1]);
    });
    assert!(begin.elapsed() < Duration::from_secs(10), "not woken");
}

#[test]
fn a_topic_that_goes_is_told_at_once_and_again() {
    let broker = Process::start(&[]);
    let mut other = broker.connect();
    let topic = create(&mut other, "t", 3);
    let mut session = Session::new(broker.connect());
    session.fetch(topic, &[(0, 0), (1, 0), (2, 0)], &[]);
    session.wait = Duration::from_secs(15);
    let begin = Instant::now();
    let mut news = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| session.fetch(topic, &[], &[]));
        std::thread::sleep(Duration::from_millis(100));
        let state = DeleteTopicState::default().with_name(Some(name("t")));
        other.ask(6, &DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(5_000));
        waiting.join().unwrap()
    });
    loop {
        let codes: Vec<i16> = news.iter().map(|data| data.error_code).collect();
        assert!(codes.iter().all(|code| *code == ResponseError::UnknownTopicId.code()), "{codes:?}");
        assert!(begin.elapsed() < Duration::from_secs(10), "not woken");
        if news.len() == 3 {
            break;
        }
        news = session.fetch(topic, &[], &[]);
    }
}

#[test]
fn consumers_beyond_the_slots_go_without() {
    let broker = Process::start(&["--config", "max.incremental.fetch.session.cache.slots=2"]);
    let mut other = broker.connect();
    let topic = create(&mut other, "t", 1);
    let ids: Vec<i32> = (0..4)
        .map(|_| {
            let mut session = Session::new(broker.connect());
            assert_eq!(told(&session.fetch(topic, &[(0, 0)], &[])), [0]);
            session.id
        })
        .collect();
    assert_eq!(ids.iter().filter(|id| **id > 0).count(), 2);
    assert_eq!(ids[2..], [0, 0]);
}
