//! The shapes of requests, and the check of a request's bytes against them.
//!
//! Why: the schema crate's decoders reserve memory for as many array elements as the wire
//! announces, before they look whether these can be there, and abort the process on a hostile
//! number. So every request is walked along its shape first: all lengths fit, nothing is null that
//! may not be, nothing is left over, and the number of elements is bounded. What passes can be
//! decoded in memory proportional to its length.

mod cluster;
mod data;
mod groups;
mod notation;
mod settings;
mod topics;
mod transactions;
mod walk;

use kafka_protocol::messages::ApiKey;
use thiserror::Error;

use notation::Shape;
use walk::Walk;

/// The most array elements and tagged fields that a request may have, over all arrays together.
///
/// An element takes up to some 200 bytes when decoded but may take one on the wire, so that this
/// bounds what a request costs beyond its own length. Kafka's largest legitimate requests, commits
/// and fetches of every partition of a cluster, stay well below.
pub const MAX_ELEMENTS: usize = 1 << 18;

/// Why bytes are no request of an API and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct ShapeError {
    /// The field, by Kafka's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Problem {
    /// More is announced than is there.
    #[error("{wanted} bytes or elements are announced, {left} bytes are left")]
    Short {
        /// The announced length in bytes, or the announced number of elements.
        wanted: usize,
        /// The bytes that are left.
        left: usize,
    },
    /// A length below -1.
    #[error("the length {0} is negative")]
    Negative(i32),
    /// Null where the version has no null.
    #[error("is null, which this version does not allow")]
    Null,
    /// A structure that may be null is preceded by neither 1 nor -1.
    #[error("is neither null nor present")]
    Presence,
    /// A variable-length number of more than 32 bits.
    #[error("a variable-length number is longer than 32 bits")]
    Varint,
    /// More than [`MAX_ELEMENTS`] array elements and tagged fields in all.
    #[error("the request has more than {MAX_ELEMENTS} array elements")]
    TooManyElements,
    /// Bytes after the end.
    #[error("{0} bytes are left over")]
    LeftOver(usize),
}

impl Problem {
    fn at(self, field: &'static str) -> ShapeError {
        ShapeError { field, problem: self }
    }
}

/// Checks that `body` is exactly one request of the API and version, as far as lengths go.
///
/// `None` where the API has no shape here.
pub(crate) fn check(api_key: i16, version: i16, body: &[u8]) -> Option<Result<(), ShapeError>> {
    let shape = shape_of(ApiKey::try_from(api_key).ok()?)?;
    Some(Walk::new(shape, version, body).run(shape))
}

/// The table: one row for each API.
fn shape_of(api_key: ApiKey) -> Option<&'static Shape> {
    Some(match api_key {
        ApiKey::Produce => &data::PRODUCE,
        ApiKey::Fetch => &data::FETCH,
        ApiKey::ListOffsets => &data::LIST_OFFSETS,
        ApiKey::OffsetForLeaderEpoch => &data::OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DeleteRecords => &data::DELETE_RECORDS,
        ApiKey::ApiVersions => &cluster::API_VERSIONS,
        ApiKey::SaslHandshake => &cluster::SASL_HANDSHAKE,
        ApiKey::Metadata => &cluster::METADATA,
        ApiKey::DescribeCluster => &cluster::DESCRIBE_CLUSTER,
        ApiKey::DescribeTopicPartitions => &cluster::DESCRIBE_TOPIC_PARTITIONS,
        ApiKey::DescribeQuorum => &cluster::DESCRIBE_QUORUM,
        ApiKey::UpdateFeatures => &cluster::UPDATE_FEATURES,
        ApiKey::GetTelemetrySubscriptions => &cluster::GET_TELEMETRY_SUBSCRIPTIONS,
        ApiKey::PushTelemetry => &cluster::PUSH_TELEMETRY,
        ApiKey::FindCoordinator => &groups::FIND_COORDINATOR,
        ApiKey::JoinGroup => &groups::JOIN_GROUP,
        ApiKey::SyncGroup => &groups::SYNC_GROUP,
        ApiKey::Heartbeat => &groups::HEARTBEAT,
        ApiKey::LeaveGroup => &groups::LEAVE_GROUP,
        ApiKey::DescribeGroups => &groups::DESCRIBE_GROUPS,
        ApiKey::ListGroups => &groups::LIST_GROUPS,
        ApiKey::DeleteGroups => &groups::DELETE_GROUPS,
        ApiKey::OffsetCommit => &groups::OFFSET_COMMIT,
        ApiKey::OffsetFetch => &groups::OFFSET_FETCH,
        ApiKey::OffsetDelete => &groups::OFFSET_DELETE,
        ApiKey::ConsumerGroupHeartbeat => &groups::CONSUMER_GROUP_HEARTBEAT,
        ApiKey::ConsumerGroupDescribe => &groups::CONSUMER_GROUP_DESCRIBE,
        ApiKey::InitProducerId => &transactions::INIT_PRODUCER_ID,
        ApiKey::AddPartitionsToTxn => &transactions::ADD_PARTITIONS_TO_TXN,
        ApiKey::AddOffsetsToTxn => &transactions::ADD_OFFSETS_TO_TXN,
        ApiKey::EndTxn => &transactions::END_TXN,
        ApiKey::WriteTxnMarkers => &transactions::WRITE_TXN_MARKERS,
        ApiKey::TxnOffsetCommit => &transactions::TXN_OFFSET_COMMIT,
        ApiKey::DescribeProducers => &transactions::DESCRIBE_PRODUCERS,
        ApiKey::DescribeTransactions => &transactions::DESCRIBE_TRANSACTIONS,
        ApiKey::ListTransactions => &transactions::LIST_TRANSACTIONS,
        ApiKey::CreateTopics => &topics::CREATE_TOPICS,
        ApiKey::DeleteTopics => &topics::DELETE_TOPICS,
        ApiKey::CreatePartitions => &topics::CREATE_PARTITIONS,
        ApiKey::ElectLeaders => &topics::ELECT_LEADERS,
        ApiKey::AlterPartitionReassignments => &topics::ALTER_PARTITION_REASSIGNMENTS,
        ApiKey::ListPartitionReassignments => &topics::LIST_PARTITION_REASSIGNMENTS,
        ApiKey::AlterReplicaLogDirs => &topics::ALTER_REPLICA_LOG_DIRS,
        ApiKey::DescribeLogDirs => &topics::DESCRIBE_LOG_DIRS,
        ApiKey::DescribeConfigs => &settings::DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => &settings::ALTER_CONFIGS,
        ApiKey::IncrementalAlterConfigs => &settings::INCREMENTAL_ALTER_CONFIGS,
        ApiKey::ListConfigResources => &settings::LIST_CONFIG_RESOURCES,
        ApiKey::DescribeAcls => &settings::DESCRIBE_ACLS,
        ApiKey::CreateAcls => &settings::CREATE_ACLS,
        ApiKey::DeleteAcls => &settings::DELETE_ACLS,
        ApiKey::DescribeClientQuotas => &settings::DESCRIBE_CLIENT_QUOTAS,
        ApiKey::AlterClientQuotas => &settings::ALTER_CLIENT_QUOTAS,
        ApiKey::DescribeUserScramCredentials => &settings::DESCRIBE_USER_SCRAM_CREDENTIALS,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
