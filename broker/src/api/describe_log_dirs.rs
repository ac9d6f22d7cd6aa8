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
use crate::partitions::Partition;

/// Size of a file system of which nothing is known.
const UNKNOWN: (i64, i64) = (-1, -1);

/// Answers one request.
pub async fn handle(call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let is_asked = |replica: &&Arc<Partition>| match &request.topics {
        None => true,
        Some(topics) => topics
            .iter()
            .any(|asked| *asked.topic == *replica.topic && asked.partitions.contains(&replica.index)),
    };
    let view = call.broker.view();
    let replicas: Vec<&Arc<Partition>> = view.hosted.replicas().filter(is_asked).collect();
    let in_service = call.broker.dirs.in_service().map(|dir| {
        let here = replicas.iter().filter(|replica| replica.lies_in(dir));
        result(dir.path(), size(dir)).with_topics(topics(here.map(|replica| replica.as_ref())))
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

fn topics<'a>(replicas: impl Iterator<Item = &'a Partition>) -> Vec<DescribeLogDirsTopic> {
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for replica in replicas {
        topics.entry(&replica.topic).or_default().push(
            DescribeLogDirsPartition::default()
                .with_partition_index(replica.index)
                .with_partition_size(replica.size_in_bytes())
                .with_offset_lag(0)
                .with_is_future_key(false),
        );
    }
    topics
        .into_iter()
        .map(|(name, partitions)| {
            DescribeLogDirsTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        })
        .collect()
}
