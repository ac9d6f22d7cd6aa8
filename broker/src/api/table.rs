//! The APIs: key, versions, handler. ApiVersions is answered from here.

use bytes::Bytes;
use futures::future::BoxFuture;
use kafka_protocol::messages::*;
use milena_protocol::{ApiRequest, decode_request, response_frame};

use super::{Answer, Call, CallError};

/// One API.
pub struct Row {
    /// Its key.
    pub key: ApiKey,
    /// Its name, as in Kafka's protocol guide.
    pub name: &'static str,
    /// First version that is served.
    pub min: i16,
    /// Last version that is served.
    pub max: i16,
    /// What answers it.
    pub handler: fn(Call, Bytes) -> BoxFuture<'static, Answer>,
}

impl Row {
    /// Whether requests of that version are answered.
    pub fn serves(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

macro_rules! apis {
    ($($name:ident $min:literal ..= $max:literal $request:ident => $handler:path $(as $kind:ident)?;)*) => {
        /// Every API that is served, by rising key.
        pub const TABLE: &[Row] = &[$(Row {
            key: ApiKey::$name,
            name: stringify!($name),
            min: $min,
            max: $max,
            handler: |call, body| Box::pin(async move {
                let request: $request = decode(&call, body)?;
                let response = $handler(&call, request).await;
                reply!(call, $request, response $($kind)?)
            }),
        },)*];
    };
}

/// A handler answers always, but for one whose clients may not wait for an answer. The records of a fetch may lie in
/// files: it has its own encoder.
macro_rules! reply {
    ($call:ident, $request:ident, $response:ident) => {
        encode::<$request>(&$call, Some($response))
    };
    ($call:ident, $request:ident, $response:ident optional) => {
        encode::<$request>(&$call, $response)
    };
    ($call:ident, $request:ident, $response:ident records) => {
        Ok(Some($response.into_frame($call.head.api_version, $call.head.correlation_id)?))
    };
}

apis! {
    Produce 0..=13 ProduceRequest => super::produce::handle as optional;
    Fetch 0..=18 FetchRequest => super::fetch::handle as records;
    ListOffsets 0..=10 ListOffsetsRequest => super::list_offsets::handle;
    Metadata 0..=13 MetadataRequest => super::metadata::handle;
    OffsetCommit 0..=9 OffsetCommitRequest => super::offset_commit::handle;
    OffsetFetch 0..=9 OffsetFetchRequest => super::offset_fetch::handle;
    FindCoordinator 0..=6 FindCoordinatorRequest => super::find_coordinator::handle;
    JoinGroup 0..=9 JoinGroupRequest => super::join_group::handle;
    Heartbeat 0..=4 HeartbeatRequest => super::heartbeat::handle;
    LeaveGroup 0..=5 LeaveGroupRequest => super::leave_group::handle;
    SyncGroup 0..=5 SyncGroupRequest => super::sync_group::handle;
    DescribeGroups 0..=6 DescribeGroupsRequest => super::describe_groups::handle;
    ListGroups 0..=5 ListGroupsRequest => super::list_groups::handle;
    ApiVersions 0..=4 ApiVersionsRequest => super::api_versions::handle;
    CreateTopics 0..=7 CreateTopicsRequest => super::create_topics::handle;
    DeleteTopics 0..=6 DeleteTopicsRequest => super::delete_topics::handle;
    DeleteRecords 0..=2 DeleteRecordsRequest => super::delete_records::handle;
    InitProducerId 0..=5 InitProducerIdRequest => super::init_producer_id::handle;
    OffsetForLeaderEpoch 0..=4 OffsetForLeaderEpochRequest => super::offset_for_leader_epoch::handle;
    DescribeConfigs 0..=4 DescribeConfigsRequest => super::describe_configs::handle;
    AlterConfigs 0..=2 AlterConfigsRequest => super::alter_configs::handle;
    AlterReplicaLogDirs 1..=2 AlterReplicaLogDirsRequest => super::alter_replica_log_dirs::handle;
    DescribeLogDirs 1..=4 DescribeLogDirsRequest => super::describe_log_dirs::handle;
    CreatePartitions 0..=3 CreatePartitionsRequest => super::create_partitions::handle;
    DeleteGroups 0..=2 DeleteGroupsRequest => super::delete_groups::handle;
    ElectLeaders 0..=2 ElectLeadersRequest => super::elect_leaders::handle;
    IncrementalAlterConfigs 0..=1 IncrementalAlterConfigsRequest
        => super::incremental_alter_configs::handle;
    AlterPartitionReassignments 0..=1 AlterPartitionReassignmentsRequest
        => super::alter_partition_reassignments::handle;
    ListPartitionReassignments 0..=0 ListPartitionReassignmentsRequest
        => super::list_partition_reassignments::handle;
    OffsetDelete 0..=0 OffsetDeleteRequest => super::offset_delete::handle;
    DescribeCluster 0..=2 DescribeClusterRequest => super::describe_cluster::handle;
    DescribeTopicPartitions 0..=0 DescribeTopicPartitionsRequest
        => super::describe_topic_partitions::handle;
}

/// The row of an API key.
pub fn find(key: i16) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.key as i16 == key)
}

fn decode<R: ApiRequest>(call: &Call, mut body: Bytes) -> Result<R, CallError> {
    Ok(decode_request::<R>(call.head.api_version, &mut body)?)
}

fn encode<R: ApiRequest>(call: &Call, response: Option<R::Response>) -> Answer {
    let Some(response) = response else { return Ok(None) };
    Ok(Some(response_frame::<R>(call.head.api_version, call.head.correlation_id, &response)?))
}
