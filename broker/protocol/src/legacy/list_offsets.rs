//! ListOffsets 0: offsets at or before a time, newest first, as many as the client asks for.
//!
//! The schema's response has room for one offset, and one is what clients ask for: `offset` is
//! sent as an array of one, and -1 as an empty one.

use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::protocol::buf::ByteBufMut;

use super::{Reader, WireError, Writer};
use crate::api::ApiRequest;

impl ApiRequest for ListOffsetsRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(_version: i16, body: &mut Reader) -> Result<Self, WireError> {
        let partition = |body: &mut Reader| {
            let partition = ListOffsetsPartition::default()
                .with_partition_index(body.int32()?)
                .with_timestamp(body.int64()?);
            let _max_num_offsets = body.int32()?;
            Ok(partition)
        };
        let topic = |body: &mut Reader| {
            Ok(ListOffsetsTopic::default()
                .with_name(body.string()?.into())
                .with_partitions(body.array(partition)?))
        };
        Ok(Self::default().with_replica_id(body.int32()?.into()).with_topics(body.array(topic)?))
    }

    fn encode_legacy(
        _version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        out.array(&response.topics, |out, topic| {
            out.string(&topic.name)?;
            out.array(&topic.partitions, |out, partition| {
                out.int32(partition.partition_index);
                out.int16(partition.error_code);
                let offset = Some(partition.offset).filter(|offset| *offset >= 0);
                out.array(offset.as_slice(), |out, offset| {
                    out.int64(*offset);
                    Ok(())
                })
            })
        })
    }
}
