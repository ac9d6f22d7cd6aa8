//! AlterReplicaLogDirs: replicas move to other log directories of this broker (KIP-113).

use std::{path::Path, sync::Arc};

use kafka_protocol::{
    ResponseError,
    messages::{
        AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse,
        alter_replica_log_dirs_response::{AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult},
    },
};
use milena_storage::LogDir;
use tracing::info;

use super::Call;

/// Answers one request: moves are begun, and DescribeLogDirs shows how far they are.
pub async fn handle(call: &Call, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let mut results = Vec::new();
    for asked in request.dirs {
        let dir = find_dir(call, &asked.path);
        for topic in asked.topics {
            let partitions = topic.partitions.iter().map(|index| {
                let begun = dir.clone().and_then(|dir| begin(call, dir, &topic.name, *index));
                AlterReplicaLogDirPartitionResult::default()
                    .with_partition_index(*index)
                    .with_error_code(begun.err().map_or(0, |error| error.code()))
            });
            results.push(
                AlterReplicaLogDirTopicResult::default()
                    .with_partitions(partitions.collect())
                    .with_topic_name(topic.name),
            );
        }
    }
    AlterReplicaLogDirsResponse::default().with_results(results)
}

/// The directory in service of that absolute path.
fn find_dir(call: &Call, path: &str) -> Result<Arc<LogDir>, ResponseError> {
    let same = |dir: &Path| std::path::absolute(dir).is_ok_and(|absolute| absolute == Path::new(path));
    if let Some(dir) = call.broker.dirs.in_service().find(|dir| same(dir.path())) {
        return Ok(dir.clone());
    }
    let is_known = call.broker.dirs.out_of_service().any(|(dir, _)| same(dir));
    Err(if is_known { ResponseError::KafkaStorageError } else { ResponseError::LogDirNotFound })
}

fn begin(call: &Call, to: Arc<LogDir>, topic: &str, index: i32) -> Result<(), ResponseError> {
    let view = call.broker.view();
    let topic = view.image.topic(topic).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let replica = view.replica(topic, index).map_err(|error| match error.code {
        ResponseError::NotLeaderOrFollower => ResponseError::ReplicaNotAvailable,
        code => code,
    })?;
    let from = call.broker.dirs.in_service().find(|dir| replica.lies_in(dir));
    let from = from.ok_or(ResponseError::KafkaStorageError)?;
    info!(partition = %replica.name(), from = %from.path().display(), to = %to.path().display(), "asked to move");
    call.broker.moves.ask(&replica, from.clone(), to);
    Ok(())
}
