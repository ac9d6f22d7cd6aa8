//! DescribeConfigs 0: whether a value is the default, instead of where it comes from.

use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::protocol::buf::ByteBufMut;

use super::{Reader, WireError, Writer};
use crate::api::ApiRequest;

/// `DescribeConfigsResponse.ConfigSource.DEFAULT_CONFIG`.
const DEFAULT_CONFIG: i8 = 5;

impl ApiRequest for DescribeConfigsRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(_version: i16, body: &mut Reader) -> Result<Self, WireError> {
        let resource = |body: &mut Reader| {
            Ok(DescribeConfigsResource::default()
                .with_resource_type(body.int8()?)
                .with_resource_name(body.string()?)
                .with_configuration_keys(body.nullable_array(Reader::string)?))
        };
        Ok(Self::default().with_resources(body.array(resource)?))
    }

    fn encode_legacy(
        _version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        out.int32(response.throttle_time_ms);
        out.array(&response.results, |out, result| {
            out.int16(result.error_code);
            out.nullable_string(result.error_message.as_ref())?;
            out.int8(result.resource_type);
            out.string(&result.resource_name)?;
            out.array(&result.configs, |out, config| {
                out.string(&config.name)?;
                out.nullable_string(config.value.as_ref())?;
                out.boolean(config.read_only);
                out.boolean(config.config_source == DEFAULT_CONFIG);
                out.boolean(config.is_sensitive);
                Ok(())
            })
        })
    }
}
