//! Shards over a real log on disk.

use std::{sync::Arc, time::Duration};

use milena_crds::partition::PartitionState;
use milena_groups::{
    Config, Error, Response,
    classic::{JoinRequest, Protocol, SyncRequest},
    offsets::{CommitPartition, CommitRequest, CommitTopic, FetchTopic},
};
use milena_storage::Log;
use tempfile::TempDir;
use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use super::{load::load, shard::Shard};
use crate::{
    config::{BrokerConfig, TopicConfig, Values},
    partitions::Partition,
};

const ME: &str = "0.00000001-0";

fn led_in(epoch: i32) -> PartitionState {
    format!("replicas=0 leader=0 leaderEpoch={epoch} partitionEpoch={epoch} isr={ME} elr=").parse().unwrap()
}

fn partition(dir: &TempDir) -> Arc<Partition> {
    let own = [("cleanup.policy".to_owned(), "compact".into())].into();
    let config = Arc::new(TopicConfig::resolve(&BrokerConfig::new(Values::default()), &own));
    let id = Uuid::from_u128(1);
    let path = dir.path().join("__consumer_offsets-0");
    let log = Log::create(&path, Some(id), Arc::new(config.log.clone()), 0).unwrap();
    let name = "__consumer_offsets".into();
    let partition = Partition::new(name, id, 0, ME.parse().unwrap(), config, led_in(1), log);
    partition.act_on(&led_in(1), milena_replication::Source::Store);
    Arc::new(partition)
}

fn config() -> Arc<Config> {
    Arc::new(Config { min_session_timeout_ms: 1, initial_rebalance_delay_ms: 0, ..Config::default() })
}

/// A shard that serves, with its task.
async fn start(partition: &Arc<Partition>) -> Arc<Shard> {
    let shard = Arc::new(Shard::new(partition.clone(), partition.state().leader_epoch));
    let (coordinator, effects) = load(&shard, config()).await.unwrap().unwrap();
    assert!(shard.activate(coordinator, effects));
    let task = shard.clone();
    tokio::spawn(async move { task.run().await });
    shard
}

fn commit_request(partition: i32, offset: i64) -> CommitRequest {
    let partition = CommitPartition {
        partition,
        offset,
        leader_epoch: -1,
        metadata: Some(format!("at {offset}")),
        commit_timestamp_ms: None,
    };
    CommitRequest {
        group_id: "g".to_owned(),
        generation_id: -1,
        member_id: String::new(),
        group_instance_id: None,
        retention_time_ms: None,
        knows_group_id_not_found: true,
        topics: vec![CommitTopic { name: "t".to_owned(), topic_id: None, partitions: vec![partition] }],
    }
}

async fn commit(shard: &Shard, partition: i32, offset: i64) -> Result<(), Error> {
    let (token, answer) = oneshot::channel();
    let request = commit_request(partition, offset);
    shard.act(|coordinator, now_ms, effects| coordinator.commit(request, token, now_ms, effects))?;
    match timeout(Duration::from_secs(10), answer).await.unwrap().unwrap() {
        Response::Commit(outcome) => outcome.map(|_| ()),
        other => panic!("{other:?}"),
    }
}

fn committed(shard: &Shard, partition: i32) -> (i64, String) {
    let topic = FetchTopic { name: "t".to_owned(), topic_id: None, partitions: vec![partition] };
    let fetched = shard.act(|coordinator, _, _| coordinator.fetch("g", &[topic], true)).unwrap();
    let offset = &fetched[0].partitions[0];
    (offset.offset, offset.metadata.clone())
}

fn join(shard: &Shard, session_timeout_ms: i32) -> oneshot::Receiver<Response> {
    let (token, answer) = oneshot::channel();
    let request = JoinRequest {
        group_id: "g".to_owned(),
        member_id: String::new(),
        group_instance_id: None,
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: bytes::Bytes::new() }],
        requires_known_member_id: false,
        supports_skip_assignment: false,
        member_id_suffix: Uuid::new_v4(),
    };
    shard.act(|coordinator, now_ms, effects| coordinator.join(request, token, now_ms, effects)).unwrap();
    answer
}

async fn joined(answer: oneshot::Receiver<Response>) -> (String, i32) {
    match timeout(Duration::from_secs(10), answer).await.unwrap().unwrap() {
        Response::Join(response) => {
            assert_eq!(response.error, None);
            (response.member_id, response.generation_id)
        }
        other => panic!("{other:?}"),
    }
}

async fn sync(shard: &Shard, member_id: &str, generation_id: i32) -> Response {
    let (token, answer) = oneshot::channel();
    let request = SyncRequest {
        group_id: "g".to_owned(),
        generation_id,
        member_id: member_id.to_owned(),
        group_instance_id: None,
        protocol_type: None,
        protocol_name: None,
        assignments: vec![(member_id.to_owned(), bytes::Bytes::from_static(b"all"))],
    };
    shard.act(|coordinator, now_ms, effects| coordinator.sync(request, token, now_ms, effects)).unwrap();
    timeout(Duration::from_secs(10), answer).await.unwrap().unwrap()
}

fn state(shard: &Shard) -> &'static str {
    shard.act(|coordinator, _, _| coordinator.describe("g").map_or("none", |group| group.state)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_epoch_finds_what_was_committed() {
    let dir = TempDir::new().unwrap();
    let partition = partition(&dir);
    let shard = start(&partition).await;
    commit(&shard, 0, 7).await.unwrap();
    commit(&shard, 0, 8).await.unwrap();
    let (member_id, generation) = joined(join(&shard, 60_000)).await;
    assert!(matches!(sync(&shard, &member_id, generation).await, Response::Sync(response)
        if response.error.is_none() && response.assignment == "all"));

    partition.act_on(&led_in(2), milena_replication::Source::Store);
    shard.close();
    assert_eq!(commit(&shard, 0, 9).await, Err(Error::NotCoordinator));
    let next = start(&partition).await;
    assert_eq!(committed(&next, 0), (8, "at 8".to_owned()));
    assert_eq!(state(&next), "Stable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_from_all_sides_are_in_the_log_in_the_order_that_they_took_effect() {
    let dir = TempDir::new().unwrap();
    let partition = partition(&dir);
    let shard = start(&partition).await;
    let clients: Vec<_> = (0..8_i32)
        .map(|client| {
            let shard = shard.clone();
            tokio::spawn(async move {
                for offset in 0..100 {
                    // All write to partition 0, and each to its own.
                    commit(&shard, 0, offset).await.unwrap();
                    commit(&shard, client + 1, offset).await.unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let before: Vec<_> = (0..9).map(|index| committed(&shard, index)).collect();
    assert!(before[1..].iter().all(|(offset, _)| *offset == 99));
    shard.close();
    let next = start(&partition).await;
    let after: Vec<_> = (0..9).map(|index| committed(&next, index)).collect();
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_without_anyone_asking() {
    let dir = TempDir::new().unwrap();
    let shard = start(&partition(&dir)).await;
    let (member_id, generation) = joined(join(&shard, 50)).await;
    assert!(matches!(sync(&shard, &member_id, generation).await, Response::Sync(_)));
    for _ in 0..100 {
        if state(&shard) == "Empty" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the group is still {}", state(&shard));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_when_the_shard_closes_is_sent_away() {
    let dir = TempDir::new().unwrap();
    let shard = start(&partition(&dir)).await;
    let (member_id, generation) = joined(join(&shard, 60_000)).await;
    assert!(matches!(sync(&shard, &member_id, generation).await, Response::Sync(_)));
    // The second member waits for the first to come back.
    let waits = join(&shard, 60_000);
    shard.close();
    match timeout(Duration::from_secs(10), waits).await.unwrap().unwrap() {
        Response::Join(response) => assert_eq!(response.error, Some(Error::NotCoordinator)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_of_an_old_leader_epoch_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let partition = partition(&dir);
    let shard = start(&partition).await;
    commit(&shard, 0, 7).await.unwrap();
    let end = partition.reader().log_end_offset();
    partition.act_on(&led_in(2), milena_replication::Source::Store);
    assert_eq!(commit(&shard, 0, 8).await, Err(Error::NotCoordinator));
    assert_eq!(partition.reader().log_end_offset(), end);
}
