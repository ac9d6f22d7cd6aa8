//! DescribeLogDirs: what lies in the data directory, and how large it is (KIP-113, KIP-827).

use std::collections::BTreeMap;

use kafka_protocol::{
    messages::{
        DescribeLogDirsRequest, DescribeLogDirsResponse,
        describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic},
    },
    protocol::StrBytes,
};

use super::{Call, metadata::topic_name};

/// Answers one request.
pub async fn handle(call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let is_asked = |topic: &str, index: i32| match &request.topics {
        None => true,
        Some(topics) => {
            topics.iter().any(|asked| &*asked.topic == topic && asked.partitions.contains(&index))
        }
    };
    let view = call.broker.view();
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for replica in view.hosted.replicas().filter(|replica| is_asked(&replica.topic, replica.index)) {
        topics.entry(&replica.topic).or_default().push(
            DescribeLogDirsPartition::default()
                .with_partition_index(replica.index)
                .with_partition_size(replica.size_in_bytes())
                .with_offset_lag(0)
                .with_is_future_key(false),
        );
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| {
            DescribeLogDirsTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        })
        .collect();
    let (total, usable) = call.broker.disk_space();
    let dir = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(call.broker.data_dir.display().to_string()))
        .with_topics(topics)
        .with_total_bytes(total)
        .with_usable_bytes(usable);
    DescribeLogDirsResponse::default().with_results(vec![dir])
}
