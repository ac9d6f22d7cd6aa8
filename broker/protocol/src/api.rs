//! The APIs that can be decoded and answered, their versions and their header versions.

use kafka_protocol::messages::*;
use kafka_protocol::protocol::buf::ByteBufMut;
use kafka_protocol::protocol::{Message, Request, VersionRange};

use crate::legacy::{Reader, WireError, Writer};

/// A request that [`crate::decode_request`] can decode, in the versions of its schema and, where
/// older clients need them, in those before.
pub trait ApiRequest: Request {
    /// The oldest version, `VERSIONS.min` where there is no legacy codec.
    const FIRST_VERSION: i16 = Self::VERSIONS.min;

    /// Decodes a version from `FIRST_VERSION` to below `VERSIONS.min`.
    ///
    /// # Errors
    /// [`WireError`].
    fn decode_legacy(_api_version: i16, _body: &mut Reader) -> Result<Self, WireError> {
        Err(WireError::NoSuchVersion)
    }

    /// Encodes a response's body of a version from `FIRST_VERSION` to below `VERSIONS.min`.
    ///
    /// # Errors
    /// [`WireError`].
    fn encode_legacy(
        _api_version: i16,
        _response: &Self::Response,
        _out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        Err(WireError::NoSuchVersion)
    }
}

/// The versions of an API that can be decoded and answered, legacy ones included; `None` for an
/// API that has no codec here.
///
/// What a broker offers in its ApiVersions response may be less.
pub fn supported_versions(api_key: ApiKey) -> Option<VersionRange> {
    ROWS.iter().find(|(key, _)| *key == api_key as i16).map(|(_, range)| *range)
}

/// The version of the header that precedes a request: 0 has no client id, 2 has tagged fields.
///
/// For an API key that we do not know it is 1.
pub fn request_header_version(api_key: i16, api_version: i16) -> i16 {
    match ApiKey::try_from(api_key) {
        Ok(known) => known.request_header_version(api_version),
        Err(_) => 1,
    }
}

/// The version of the header that precedes a response: 1 has tagged fields.
///
/// It is 0 for every version of ApiVersions, for a client that asks does not know yet which
/// versions the broker has (KIP-511).
pub fn response_header_version(api_key: i16, api_version: i16) -> i16 {
    match ApiKey::try_from(api_key) {
        Ok(known) => known.response_header_version(api_version),
        Err(_) => 0,
    }
}

/// Gives every request type to a macro: those of their schema's versions alone, then those that
/// have older versions and implement [`ApiRequest`] in `legacy`.
macro_rules! for_each_request {
    ($visit:ident) => {
        $visit! {
            current:
                AddOffsetsToTxnRequest AddPartitionsToTxnRequest AlterClientQuotasRequest
                AlterConfigsRequest AlterPartitionReassignmentsRequest ApiVersionsRequest
                ConsumerGroupDescribeRequest ConsumerGroupHeartbeatRequest CreatePartitionsRequest
                DeleteGroupsRequest DeleteRecordsRequest DescribeClientQuotasRequest
                DescribeClusterRequest DescribeGroupsRequest DescribeProducersRequest
                DescribeQuorumRequest DescribeTopicPartitionsRequest DescribeTransactionsRequest
                DescribeUserScramCredentialsRequest ElectLeadersRequest EndTxnRequest
                FindCoordinatorRequest GetTelemetrySubscriptionsRequest HeartbeatRequest
                IncrementalAlterConfigsRequest InitProducerIdRequest JoinGroupRequest
                LeaveGroupRequest ListConfigResourcesRequest ListGroupsRequest
                ListPartitionReassignmentsRequest ListTransactionsRequest MetadataRequest
                OffsetDeleteRequest PushTelemetryRequest SaslHandshakeRequest SyncGroupRequest
                TxnOffsetCommitRequest UpdateFeaturesRequest WriteTxnMarkersRequest;
            legacy:
                AlterReplicaLogDirsRequest CreateAclsRequest CreateTopicsRequest DeleteAclsRequest
                DeleteTopicsRequest DescribeAclsRequest DescribeConfigsRequest
                DescribeLogDirsRequest FetchRequest ListOffsetsRequest OffsetCommitRequest
                OffsetFetchRequest OffsetForLeaderEpochRequest ProduceRequest;
        }
    };
}
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use for_each_request;

macro_rules! api_requests {
    (current: $($current:ident)*; legacy: $($legacy:ident)*;) => {
        $(impl ApiRequest for $current {})*
        const ROWS: &[(i16, VersionRange)] = &[$(row::<$current>(),)* $(row::<$legacy>(),)*];
    };
}
for_each_request!(api_requests);

/// The crate's `ApiKey::valid_versions` names versions that its structs cannot encode; these can.
const fn row<R: ApiRequest>() -> (i16, VersionRange) {
    (R::KEY, VersionRange { min: R::FIRST_VERSION, max: last_version::<R>() })
}

/// The newest version that both request and response have.
pub(crate) const fn last_version<R: ApiRequest>() -> i16 {
    let (request, response) = (R::VERSIONS.max, <R::Response as Message>::VERSIONS.max);
    if request < response { request } else { response }
}

#[cfg(test)]
mod tests;
