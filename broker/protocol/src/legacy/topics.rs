//! CreateTopics 0 and 1, DeleteTopics 0: responses without throttle time.

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest};
use kafka_protocol::protocol::buf::ByteBufMut;

use super::{Reader, WireError, Writer, decode_as_oldest};
use crate::api::ApiRequest;

impl ApiRequest for CreateTopicsRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(version: i16, body: &mut Reader) -> Result<Self, WireError> {
        if version == 1 {
            return decode_as_oldest(body);
        }
        Ok(Self::default().with_topics(body.array(creatable_topic)?).with_timeout_ms(body.int32()?))
    }

    fn encode_legacy(
        version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        out.array(&response.topics, |out, topic| {
            out.string(&topic.name)?;
            out.int16(topic.error_code);
            if version >= 1 {
                out.nullable_string(topic.error_message.as_ref())?;
            }
            Ok(())
        })
    }
}

fn creatable_topic(body: &mut Reader) -> Result<CreatableTopic, WireError> {
    let assignment = |body: &mut Reader| {
        Ok(CreatableReplicaAssignment::default()
            .with_partition_index(body.int32()?)
            .with_broker_ids(body.array(|body| Ok(body.int32()?.into()))?))
    };
    let config = |body: &mut Reader| {
        Ok(CreatableTopicConfig::default().with_name(body.string()?).with_value(body.nullable_string()?))
    };
    Ok(CreatableTopic::default()
        .with_name(body.string()?.into())
        .with_num_partitions(body.int32()?)
        .with_replication_factor(body.int16()?)
        .with_assignments(body.array(assignment)?)
        .with_configs(body.array(config)?))
}

impl ApiRequest for DeleteTopicsRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(_version: i16, body: &mut Reader) -> Result<Self, WireError> {
        decode_as_oldest(body)
    }

    fn encode_legacy(
        _version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        out.array(&response.responses, |out, topic| {
            out.string(topic.name.as_ref().map_or("", |name| name.as_str()))?;
            out.int16(topic.error_code);
            Ok(())
        })
    }
}
