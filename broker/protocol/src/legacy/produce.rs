//! Produce 0 to 2: no transactional id; version 0 without throttle time, 2 with log append time.

use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::protocol::buf::ByteBufMut;

use super::{Reader, WireError, Writer};
use crate::api::ApiRequest;

impl ApiRequest for ProduceRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(_version: i16, body: &mut Reader) -> Result<Self, WireError> {
        let partition = |body: &mut Reader| {
            Ok(PartitionProduceData::default().with_index(body.int32()?).with_records(body.nullable_bytes()?))
        };
        let topic = |body: &mut Reader| {
            Ok(TopicProduceData::default()
                .with_name(body.string()?.into())
                .with_partition_data(body.array(partition)?))
        };
        Ok(Self::default()
            .with_acks(body.int16()?)
            .with_timeout_ms(body.int32()?)
            .with_topic_data(body.array(topic)?))
    }

    fn encode_legacy(
        version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        out.array(&response.responses, |out, topic| {
            out.string(&topic.name)?;
            out.array(&topic.partition_responses, |out, partition| {
                out.int32(partition.index);
                out.int16(partition.error_code);
                out.int64(partition.base_offset);
                if version >= 2 {
                    out.int64(partition.log_append_time_ms);
                }
                Ok(())
            })
        })?;
        if version >= 1 {
            out.int32(response.throttle_time_ms);
        }
        Ok(())
    }
}
