//! AlterReplicaLogDirs 0 and DescribeLogDirs 0: as version 1, which only changed when the broker
//! throttles.

use kafka_protocol::messages::{AlterReplicaLogDirsRequest, DescribeLogDirsRequest};
use kafka_protocol::protocol::buf::ByteBufMut;

use super::{Reader, WireError, Writer, decode_as_oldest, encode_as_oldest};
use crate::api::ApiRequest;

impl ApiRequest for AlterReplicaLogDirsRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(_version: i16, body: &mut Reader) -> Result<Self, WireError> {
        decode_as_oldest(body)
    }

    fn encode_legacy(
        _version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        encode_as_oldest::<Self>(response, out)
    }
}

impl ApiRequest for DescribeLogDirsRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(_version: i16, body: &mut Reader) -> Result<Self, WireError> {
        decode_as_oldest(body)
    }

    fn encode_legacy(
        _version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        encode_as_oldest::<Self>(response, out)
    }
}
