//! The APIs that can be decoded and answered, their versions and their header versions.

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::buf::ByteBufMut;
use kafka_protocol::protocol::{Message, Request, VersionRange};

use crate::codec::{DecodeError, EncodeError};

/// A request that [`crate::decode_request`] can decode, in the versions of its schema and, where
/// older clients need them, in those before.
pub trait ApiRequest: Request {
    /// The oldest version, `VERSIONS.min` where there is no legacy codec.
    const FIRST_VERSION: i16 = Self::VERSIONS.min;

    /// Decodes a version from `FIRST_VERSION` to below `VERSIONS.min`.
    ///
    /// # Errors
    /// [`DecodeError`].
    fn decode_legacy(api_version: i16, _body: &mut Bytes) -> Result<Self, DecodeError> {
        Err(DecodeError::UnsupportedVersion { api_key: Self::KEY, api_version })
    }

    /// Encodes a response's body of a version from `FIRST_VERSION` to below `VERSIONS.min`.
    ///
    /// # Errors
    /// [`EncodeError::Unencodable`].
    fn encode_legacy(
        api_version: i16,
        _response: &Self::Response,
        _buffer: &mut impl ByteBufMut,
    ) -> Result<(), EncodeError> {
        Err(EncodeError::Unencodable {
            api_key: Self::KEY,
            api_version,
            reason: "there is no such version".to_owned(),
        })
    }

    /// What in the response is worth referring to instead of copying: record bytes.
    fn shared_bytes(_response: &Self::Response) -> Vec<Bytes> {
        Vec::new()
    }
}

/// The versions of an API that can be decoded and answered, legacy ones included; `None` for an
/// API that has no codec here.
///
/// What a broker offers in its ApiVersions response may be less.
pub fn supported_versions(api_key: ApiKey) -> Option<VersionRange> {
    ROWS.iter()
        .filter(|(key, _)| *key == api_key as i16)
        .map(|(_, range)| *range)
        .reduce(|one, other| VersionRange { min: one.min.min(other.min), max: one.max.max(other.max) })
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

/// Which requests there are: an API with legacy versions implements [`ApiRequest`] in `legacy`.
macro_rules! api_requests {
    (current: $($current:ident)*; legacy: $($legacy:ident)*) => {
        $(impl ApiRequest for $current {})*
        const ROWS: &[(i16, VersionRange)] = &[$(row::<$current>(),)* $(row::<$legacy>(),)*];
    };
}

/// The crate's `ApiKey::valid_versions` names versions that its structs cannot encode; these can.
const fn row<R: ApiRequest>() -> (i16, VersionRange) {
    let (request, response) = (R::VERSIONS.max, <R::Response as Message>::VERSIONS.max);
    let max = if request < response { request } else { response };
    (R::KEY, VersionRange { min: R::FIRST_VERSION, max })
}

api_requests! {
    current:
        AddOffsetsToTxnRequest AddPartitionsToTxnRequest AlterClientQuotasRequest
        AlterConfigsRequest AlterPartitionReassignmentsRequest AlterReplicaLogDirsRequest
        ApiVersionsRequest ConsumerGroupDescribeRequest ConsumerGroupHeartbeatRequest
        CreateAclsRequest CreatePartitionsRequest DeleteAclsRequest DeleteGroupsRequest
        DeleteRecordsRequest DescribeAclsRequest DescribeClientQuotasRequest
        DescribeClusterRequest DescribeGroupsRequest DescribeLogDirsRequest
        DescribeProducersRequest DescribeQuorumRequest DescribeTopicPartitionsRequest
        DescribeTransactionsRequest DescribeUserScramCredentialsRequest ElectLeadersRequest
        EndTxnRequest FindCoordinatorRequest GetTelemetrySubscriptionsRequest HeartbeatRequest
        IncrementalAlterConfigsRequest InitProducerIdRequest JoinGroupRequest LeaveGroupRequest
        ListConfigResourcesRequest ListGroupsRequest ListPartitionReassignmentsRequest
        ListTransactionsRequest MetadataRequest OffsetDeleteRequest OffsetForLeaderEpochRequest
        PushTelemetryRequest SaslHandshakeRequest SyncGroupRequest TxnOffsetCommitRequest
        UpdateFeaturesRequest WriteTxnMarkersRequest
        CreateTopicsRequest DeleteTopicsRequest DescribeConfigsRequest FetchRequest ListOffsetsRequest OffsetCommitRequest OffsetFetchRequest ProduceRequest;
    legacy:
}
