use super::*;
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::Encodable;
use proptest::prelude::*;

const PRODUCE: i16 = 0;
const API_VERSIONS: i16 = 18;

fn frame(api_key: i16, version: i16, rest: &[u8]) -> Bytes {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&api_key.to_be_bytes());
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&77_i32.to_be_bytes());
    bytes.extend_from_slice(rest);
    Bytes::from(bytes)
}

fn parse(frame: &Bytes) -> Result<(RequestHead, Bytes), HeadError> {
    let mut rest = frame.clone();
    RequestHead::parse(&mut rest).map(|head| (head, rest))
}

#[test]
fn version_1_has_a_client_id() {
    let (head, body) = parse(&frame(PRODUCE, 3, b"\0\x02meBODY")).unwrap();
    assert_eq!((head.api_key, head.api_version, head.correlation_id), (PRODUCE, 3, 77));
    assert_eq!(head.client_id.as_deref(), Some("me"));
    assert_eq!(body.as_ref(), b"BODY");
}

#[test]
fn a_client_id_may_be_null_empty_or_not_utf8() {
    let client_id = |rest: &[u8]| parse(&frame(PRODUCE, 3, rest)).unwrap().0.client_id;
    assert_eq!(client_id(b"\xff\xff"), None);
    assert_eq!(client_id(b"\0\0").as_deref(), Some(""));
    assert_eq!(client_id(b"\0\x02\xc3\x28").as_deref(), Some("\u{fffd}("));
}

#[test]
fn version_2_has_tagged_fields_that_are_skipped() {
    let (head, body) = parse(&frame(PRODUCE, 9, b"\0\x02me\x02\x00\x03abc\x81\x01\x00BODY")).unwrap();
    assert_eq!(head.client_id.as_deref(), Some("me"));
    assert_eq!(body.as_ref(), b"BODY");
}

#[test]
fn an_unknown_version_of_api_versions_can_be_answered() {
    let (head, _) = parse(&frame(API_VERSIONS, 120, b"\0\x02me\0rest")).unwrap();
    assert_eq!((head.api_version, head.correlation_id), (120, 77));
}

#[test]
fn an_unknown_api_has_a_header_too() {
    let (head, body) = parse(&frame(9999, -3, b"\0\x02meBODY")).unwrap();
    assert_eq!((head.api_key, head.api_version), (9999, -3));
    assert_eq!(body.as_ref(), b"BODY");
}

#[test]
fn malformed_headers_say_where() {
    assert_eq!(parse(&Bytes::from_static(&[0])), Err(HeadError::Short("the API key")));
    assert_eq!(parse(&frame(PRODUCE, 3, b"\0\x09me")), Err(HeadError::Short("the client id")));
    assert_eq!(parse(&frame(PRODUCE, 3, b"\xff\xfe")), Err(HeadError::ClientIdLength(-2)));
    let at = "the tagged fields";
    assert_eq!(parse(&frame(PRODUCE, 9, b"\0\0\x01\0\x05abc")), Err(HeadError::Short(at)));
    assert_eq!(parse(&frame(PRODUCE, 9, b"\0\0\xff\xff\xff\xff\x0f")), Err(HeadError::Short(at)));
    assert_eq!(parse(&frame(PRODUCE, 9, b"\0\0\xff\xff\xff\xff\xff\x0f")), Err(HeadError::Varint(at)));
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok((_, body)) = parse(&Bytes::from(bytes.clone())) {
            prop_assert!(bytes.ends_with(&body));
        }
    }

    #[test]
    fn what_the_crate_writes_is_read(
        api_key in 0_i16..95,
        version in 0_i16..20,
        correlation_id: i32,
        client_id in prop::option::of("\\PC{0,12}"),
    ) {
        let header_version = request_header_version(api_key, version);
        prop_assume!(header_version >= 1);
        let header = RequestHeader::default()
            .with_request_api_key(api_key)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(client_id.map(StrBytes::from_string));
        let mut bytes = bytes::BytesMut::new();
        header.encode(&mut bytes, header_version).unwrap();
        bytes.extend_from_slice(b"BODY");
        let (head, body) = parse(&bytes.freeze()).unwrap();
        prop_assert_eq!(head.correlation_id, correlation_id);
        prop_assert_eq!(head.client_id, header.client_id);
        prop_assert_eq!(body.as_ref(), b"BODY");
    }
}
