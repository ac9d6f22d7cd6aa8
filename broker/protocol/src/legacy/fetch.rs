//! Fetch 0 to 3: no isolation level; version 0 without throttle time, 3 with a limit of bytes.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use kafka_protocol::protocol::buf::ByteBufMut;

use super::{Reader, WireError, Writer};
use crate::api::ApiRequest;

impl ApiRequest for FetchRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(version: i16, body: &mut Reader) -> Result<Self, WireError> {
        let partition = |body: &mut Reader| {
            Ok(FetchPartition::default()
                .with_partition(body.int32()?)
                .with_fetch_offset(body.int64()?)
                .with_partition_max_bytes(body.int32()?))
        };
        let topic = |body: &mut Reader| {
            Ok(FetchTopic::default()
                .with_topic(body.string()?.into())
                .with_partitions(body.array(partition)?))
        };
        let mut request = Self::default()
            .with_replica_id(body.int32()?.into())
            .with_max_wait_ms(body.int32()?)
            .with_min_bytes(body.int32()?);
        if version >= 3 {
            request.max_bytes = body.int32()?;
        }
        Ok(request.with_topics(body.array(topic)?))
    }

    fn encode_legacy(
        version: i16,
        response: &FetchResponse,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        if version >= 1 {
            out.int32(response.throttle_time_ms);
        }
        out.array(&response.responses, |out, topic| {
            out.string(&topic.topic)?;
            out.array(&topic.partitions, |out, partition| {
                out.int32(partition.partition_index);
                out.int16(partition.error_code);
                out.int64(partition.high_watermark);
                // Clients of that age know an empty message set, not a null one.
                out.bytes(partition.records.as_deref().unwrap_or_default())
            })
        })
    }
}
