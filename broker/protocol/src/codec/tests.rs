use bytes::BytesMut;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::*;
use crate::gather::FramePiece;

fn encoded<R: ApiRequest>(version: i16, response: &R::Response) -> Bytes {
    let mut buffer = BytesMut::new();
    encode_response::<R>(version, 77, response, &mut buffer).unwrap();
    buffer.freeze()
}

#[test]
fn a_request_is_decoded_whole() {
    let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(true);
    let mut body = BytesMut::new();
    request.encode(&mut body, 9).unwrap();
    assert_eq!(decode_request::<MetadataRequest>(9, &mut body.clone().freeze()), Ok(request.clone()));

    body.extend_from_slice(b"more");
    let again = decode_request::<MetadataRequest>(9, &mut body.freeze());
    assert_eq!(again, Ok(request), "bytes behind the end are passed over");
}

#[test]
fn versions_without_codec_are_refused_before_anything_is_read() {
    for version in [i16::MIN, -1, 10, i16::MAX] {
        let error = decode_request::<OffsetCommitRequest>(version, &mut Bytes::new()).unwrap_err();
        assert_eq!(error, DecodeError::UnsupportedVersion { api_key: 8, api_version: version });
    }
}

#[test]
fn a_response_starts_with_correlation_id_and_tagged_fields() {
    let response = HeartbeatResponse::default();
    assert_eq!(encoded::<HeartbeatRequest>(0, &response).as_ref(), [0, 0, 0, 77, 0, 0]);
    let flexible =
        [0, 0, 0, 77, /* header */ 0, /* throttle */ 0, 0, 0, 0, /* error */ 0, 0, 0];
    assert_eq!(encoded::<HeartbeatRequest>(4, &response).as_ref(), flexible);
}

#[test]
fn a_response_of_api_versions_has_no_tagged_fields_in_its_header() {
    let response = ApiVersionsResponse::default().with_error_code(35);
    let bytes = encoded::<ApiVersionsRequest>(3, &response);
    assert_eq!(bytes[..6], [0, 0, 0, 77, 0, 35]);
}

#[test]
fn what_a_version_cannot_say_is_an_error() {
    let response = ListGroupsResponse::default().with_groups(vec![
        list_groups_response::ListedGroup::default()
            .with_group_id(StrBytes::from_string("g".repeat(40_000)).into()),
    ]);
    let mut buffer = BytesMut::new();
    let error = encode_response::<ListGroupsRequest>(0, 77, &response, &mut buffer).unwrap_err();
    assert!(error.to_string().contains("API key 16 version 0"), "{error}");
    assert_eq!(
        encode_response::<ListGroupsRequest>(3, 77, &response, &mut BytesMut::new()),
        Ok(()),
        "a compact string may be longer"
    );
}

#[test]
fn a_frame_says_its_length() {
    let mut frame = response_frame::<HeartbeatRequest>(0, 77, &HeartbeatResponse::default()).unwrap();
    let Some(FramePiece::Memory(bytes)) = frame.pop_piece() else { panic!("one piece in memory") };
    assert_eq!(bytes.as_ref(), [0, 0, 0, 6, 0, 0, 0, 77, 0, 0]);
}
