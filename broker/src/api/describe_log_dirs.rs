//! DescribeLogDirs: what lies in the log directories, and how large they are (KIP-113, KIP-827).

use std::{collections::BTreeMap, path::Path, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        DescribeLogDirsRequest, DescribeLogDirsResponse,
        describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic},
    },
    protocol::StrBytes,
};
use milena_storage::LogDir;

use super::{Call, metadata::topic_name};
use crate::partitions::{Move, Partition};

/// Size of a file system of which nothing is known.
const UNKNOWN: (i64, i64) = (-1, -1);

/// Answers one request.
pub async fn handle(call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let is_asked = |replica: &Arc<Partition>| match &request.topics {
        None => true,
        Some(topics) => topics
            .iter()
            .any(|asked| *asked.topic == *replica.topic && asked.partitions.contains(&replica.index)),
    };
    let view = call.broker.view();
    let replicas: Vec<&Arc<Partition>> = view.hosted.replicas().filter(|replica| is_asked(replica)).collect();
    let moves = call.broker.moves.all();
    let in_service = call.broker.dirs.in_service().map(|dir| {
        let here = replicas.iter().filter(|replica| replica.lies_in(dir));
        let here = here.map(|replica| (replica.topic.as_ref(), current(replica)));
        let coming = moves.iter().filter(|one| Arc::ptr_eq(&one.to, dir) && is_asked(&one.replica));
        let coming = coming.map(|one| (one.replica.topic.as_ref(), future(one)));
        result(dir.path(), size(dir)).with_topics(topics(here.chain(coming)))
    });
    let out_of_service = call
        .broker
        .dirs
        .out_of_service()
        .map(|(path, _)| result(path, UNKNOWN).with_error_code(ResponseError::KafkaStorageError.code()));
    DescribeLogDirsResponse::default().with_results(in_service.chain(out_of_service).collect())
}

fn result(path: &Path, (total, usable): (i64, i64)) -> DescribeLogDirsResult {
    // Kafka's tools and clients know directories by their absolute paths.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(path.display().to_string()))
        .with_total_bytes(total)
        .with_usable_bytes(usable)
}

/// Bytes of a directory's file system, and how many of them are free.
fn size(dir: &LogDir) -> (i64, i64) {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    dir.space().map_or(UNKNOWN, |space| (bytes(space.total), bytes(space.free)))
}

fn current(replica: &Partition) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition::default()
        .with_partition_index(replica.index)
        .with_partition_size(replica.size_in_bytes())
        .with_offset_lag(0)
        .with_is_future_key(false)
}

/// A copy that is to take the replica's place, and how far it is behind.
fn future(one: &Move) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition::default()
        .with_partition_index(one.replica.index)
        .with_partition_size(one.copied_bytes())
        .with_offset_lag(one.lag())
        .with_is_future_key(true)
}

fn topics<'a>(found: impl Iterator<Item = (&'a str, DescribeLogDirsPartition)>) -> Vec<DescribeLogDirsTopic> {
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    found.for_each(|(topic, partition)| topics.entry(topic).or_default().push(partition));
    topics
        .into_iter()
        .map(|(name, partitions)| {
            DescribeLogDirsTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        })
        .collect()
}
