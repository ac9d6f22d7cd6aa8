//! DescribeAcls, CreateAcls and DeleteAcls 0: of before prefixed patterns (KIP-290), so that every
//! pattern is a literal one.

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};
use kafka_protocol::protocol::buf::ByteBufMut;

use super::{Reader, WireError, Writer, encode_as_oldest};
use crate::api::ApiRequest;

/// `PatternType.LITERAL`.
const LITERAL: i8 = 3;

impl ApiRequest for DescribeAclsRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(_version: i16, body: &mut Reader) -> Result<Self, WireError> {
        Ok(Self::default()
            .with_resource_type_filter(body.int8()?)
            .with_resource_name_filter(body.nullable_string()?)
            .with_pattern_type_filter(LITERAL)
            .with_principal_filter(body.nullable_string()?)
            .with_host_filter(body.nullable_string()?)
            .with_operation(body.int8()?)
            .with_permission_type(body.int8()?))
    }

    fn encode_legacy(
        _version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        out.int32(response.throttle_time_ms);
        out.int16(response.error_code);
        out.nullable_string(response.error_message.as_ref())?;
        out.array(&response.resources, |out, resource| {
            out.int8(resource.resource_type);
            out.string(&resource.resource_name)?;
            out.array(&resource.acls, |out, acl| {
                out.string(&acl.principal)?;
                out.string(&acl.host)?;
                out.int8(acl.operation);
                out.int8(acl.permission_type);
                Ok(())
            })
        })
    }
}

impl ApiRequest for CreateAclsRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(_version: i16, body: &mut Reader) -> Result<Self, WireError> {
        let creation = |body: &mut Reader| {
            Ok(AclCreation::default()
                .with_resource_type(body.int8()?)
                .with_resource_name(body.string()?)
                .with_resource_pattern_type(LITERAL)
                .with_principal(body.string()?)
                .with_host(body.string()?)
                .with_operation(body.int8()?)
                .with_permission_type(body.int8()?))
        };
        Ok(Self::default().with_creations(body.array(creation)?))
    }

    fn encode_legacy(
        _version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        encode_as_oldest::<Self>(response, out)
    }
}

impl ApiRequest for DeleteAclsRequest {
    const FIRST_VERSION: i16 = 0;

    fn decode_legacy(_version: i16, body: &mut Reader) -> Result<Self, WireError> {
        let filter = |body: &mut Reader| {
            Ok(DeleteAclsFilter::default()
                .with_resource_type_filter(body.int8()?)
                .with_resource_name_filter(body.nullable_string()?)
                .with_pattern_type_filter(LITERAL)
                .with_principal_filter(body.nullable_string()?)
                .with_host_filter(body.nullable_string()?)
                .with_operation(body.int8()?)
                .with_permission_type(body.int8()?))
        };
        Ok(Self::default().with_filters(body.array(filter)?))
    }

    fn encode_legacy(
        _version: i16,
        response: &Self::Response,
        out: &mut Writer<impl ByteBufMut>,
    ) -> Result<(), WireError> {
        out.int32(response.throttle_time_ms);
        out.array(&response.filter_results, |out, result| {
            out.int16(result.error_code);
            out.nullable_string(result.error_message.as_ref())?;
            out.array(&result.matching_acls, |out, acl| {
                out.int16(acl.error_code);
                out.nullable_string(acl.error_message.as_ref())?;
                out.int8(acl.resource_type);
                out.string(&acl.resource_name)?;
                out.string(&acl.principal)?;
                out.string(&acl.host)?;
                out.int8(acl.operation);
                out.int8(acl.permission_type);
                Ok(())
            })
        })
    }
}
