use super::*;

fn versions(api_key: ApiKey) -> (i16, i16) {
    let range = supported_versions(api_key).unwrap();
    (range.min, range.max)
}

#[test]
fn legacy_versions_extend_the_schemas() {
    assert_eq!(versions(ApiKey::Produce), (0, 13));
    assert_eq!(versions(ApiKey::Fetch), (0, 18));
    assert_eq!(versions(ApiKey::ListOffsets), (0, 10));
    assert_eq!(versions(ApiKey::CreateTopics), (0, 7));
    assert_eq!(versions(ApiKey::OffsetForLeaderEpoch), (0, 4));
    assert_eq!(versions(ApiKey::ApiVersions), (0, 4));
}

#[test]
fn versions_that_the_crate_names_but_cannot_encode_are_not_supported() {
    assert_eq!(versions(ApiKey::OffsetCommit), (0, 9));
    assert_eq!(versions(ApiKey::OffsetFetch), (0, 9));
    assert_eq!(versions(ApiKey::InitProducerId), (0, 5));
}

#[test]
fn what_has_no_codec_has_no_versions() {
    assert!(supported_versions(ApiKey::Vote).is_none());
    assert!(supported_versions(ApiKey::AllocateProducerIds).is_none());
}

#[test]
fn every_api_has_one_row_and_a_shape() {
    let mut keys: Vec<i16> = ROWS.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), ROWS.len());
    for api_key in ApiKey::iter() {
        let shape = crate::shape::check(api_key as i16, 0, &[]);
        assert_eq!(shape.is_some(), supported_versions(api_key).is_some(), "{api_key:?}");
    }
}

#[test]
fn header_versions() {
    let produce = ApiKey::Produce as i16;
    assert_eq!((request_header_version(produce, 8), response_header_version(produce, 8)), (1, 0));
    assert_eq!((request_header_version(produce, 9), response_header_version(produce, 9)), (2, 1));
    let api_versions = ApiKey::ApiVersions as i16;
    for (version, request) in [(0, 1), (2, 1), (3, 2), (4, 2), (99, 2)] {
        assert_eq!(request_header_version(api_versions, version), request);
        assert_eq!(response_header_version(api_versions, version), 0);
    }
    assert_eq!((request_header_version(9999, 3), response_header_version(9999, 3)), (1, 0));
}
