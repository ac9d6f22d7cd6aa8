//! OffsetCommit 0 and 1, OffsetFetch 0, OffsetForLeaderEpoch 0 and 1.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest};
use kafka_protocol::protocol::buf::ByteBufMut;

use super::{Reader, WireError, Writer, decode_as_oldest, encode_as_oldest};
use crate::api::ApiRequest;

impl ApiRequest for OffsetCommitRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(version: i16, body: &mut Reader) -> Result<Self, WireError> {
        let partition = |body: &mut Reader| {
            let partition = OffsetCommitRequestPartition::default()
                .with_partition_index(body.int32()?)
                .with_committed_offset(body.int64()?);
            if version == 1 {
                let _commit_timestamp = body.int64()?;
            }
            Ok(partition.with_committed_metadata(body.nullable_string()?))
        };
        let topic = |body: &mut Reader| {
            Ok(OffsetCommitRequestTopic::default()
                .with_name(body.string()?.into())
                .with_partitions(body.array(partition)?))
        };
        let mut request = Self::default().with_group_id(body.string()?.into());
        if version == 1 {
            request.generation_id_or_member_epoch = body.int32()?;
            request.member_id = body.string()?;
        }
        Ok(request.with_topics(body.array(topic)?))
    }

    fn encode_legacy(
        _version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        encode_as_oldest::<Self>(response, out)
    }
}

impl ApiRequest for OffsetFetchRequest {
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

impl ApiRequest for OffsetForLeaderEpochRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(_version: i16, body: &mut Reader) -> Result<Self, WireError> {
        let partition = |body: &mut Reader| {
            Ok(OffsetForLeaderPartition::default()
                .with_partition(body.int32()?)
                .with_leader_epoch(body.int32()?))
        };
        let topic = |body: &mut Reader| {
            Ok(OffsetForLeaderTopic::default()
                .with_topic(body.string()?.into())
                .with_partitions(body.array(partition)?))
        };
        Ok(Self::default().with_topics(body.array(topic)?))
    }

    fn encode_legacy(
        version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        out.array(&response.topics, |out, topic| {
            out.string(&topic.topic)?;
            out.array(&topic.partitions, |out, partition| {
                out.int16(partition.error_code);
                out.int32(partition.partition);
                if version >= 1 {
                    out.int32(partition.leader_epoch);
                }
                out.int64(partition.end_offset);
                Ok(())
            })
        })
    }
}
