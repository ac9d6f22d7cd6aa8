use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::api::{ApiRequest, for_each_request, last_version};
use crate::decode_request;
use crate::legacy::Reader;
use allocator::allocated_by;
use sample::sample;

mod allocator;
mod sample;

/// What a check does for one API: a function of its request type.
trait Visit {
    fn visit<R: ApiRequest + PartialEq + std::fmt::Debug>(&self, api_key: ApiKey);
}

fn for_each_api(visitor: &impl Visit) {
    macro_rules! visit {
        (current: $($current:ident)*; legacy: $($legacy:ident)*;) => {
            $(visitor.visit::<$current>(ApiKey::try_from($current::key()).unwrap());)*
            $(visitor.visit::<$legacy>(ApiKey::try_from($legacy::key()).unwrap());)*
        };
    }
    for_each_request!(visit);
}

trait Key {
    fn key() -> i16;
}

impl<R: ApiRequest> Key for R {
    fn key() -> i16 {
        R::KEY
    }
}

fn entropy() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..120)
}

fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value)) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(strategy, |value| {
        test(value);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// Shapes and crate were made from Kafka's definitions independently of each other: bytes of a
/// shape are a request to the crate, down to the last byte, and what the crate writes has the shape.
struct Agreement;

impl Visit for Agreement {
    fn visit<R: ApiRequest + PartialEq + std::fmt::Debug>(&self, api_key: ApiKey) {
        let shape = shape_of(api_key).unwrap();
        for version in R::FIRST_VERSION..=last_version::<R>() {
            run(64, &entropy(), |entropy| {
                let body = Bytes::from(sample(shape, version, &entropy));
                let context = format!("{api_key:?} {version}: {body:?}");
                assert_eq!(check(R::KEY, version, &body), Some(Ok(())), "{context}");
                if version < R::VERSIONS.min {
                    let mut reader = Reader::new(body.clone());
                    R::decode_legacy(version, &mut reader)
                        .unwrap_or_else(|error| panic!("{context}: {error}"));
                    assert_eq!(reader.remaining(), 0, "{context}");
                    return;
                }
                let mut rest = body.clone();
                let request =
                    R::decode(&mut rest, version).unwrap_or_else(|error| panic!("{context}: {error}"));
                assert!(rest.is_empty(), "{context}: {} bytes left", rest.len());
                let mut again = BytesMut::new();
                request.encode(&mut again, version).unwrap();
                assert_eq!(check(R::KEY, version, &again), Some(Ok(())), "{context}");
                assert_eq!(R::decode(&mut again.freeze(), version).unwrap(), request, "{context}");
            });
        }
    }
}

#[test]
fn shapes_and_decoders_agree() {
    for_each_api(&Agreement);
}

/// What decoding may allocate for each byte of a body.
///
/// The dearest byte is one in a structure that has nothing but an unknown tagged field: a tree node
/// for each.
const ALLOWED_PER_BYTE: usize = 256;

/// What an error may allocate: its text, and a backtrace where the environment asks for one.
const ALLOWED_PER_ERROR: usize = 64 * 1024;

/// Bytes that follow the shape but for a few places.
struct Mutations;

/// Where and with what: the special values are the largest and smallest lengths.
fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, Vec<u8>)>> {
    let value = prop_oneof![
        Just(vec![0x7f, 0xff, 0xff, 0xff]),
        Just(vec![0xff, 0xff, 0xff, 0xff, 0x0f]),
        Just(vec![0xff, 0xff, 0xff, 0xff]),
        Just(vec![0x80, 0, 0, 0]),
        Just(vec![0, 0x0f, 0xff, 0xff]),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), value), 1..4)
}

impl Visit for Mutations {
    fn visit<R: ApiRequest + PartialEq + std::fmt::Debug>(&self, api_key: ApiKey) {
        let shape = shape_of(api_key).unwrap();
        for version in R::FIRST_VERSION..=last_version::<R>() {
            run(64, &(entropy(), mutations()), |(entropy, mutations)| {
                let mut body = sample(shape, version, &entropy);
                for (at, bytes) in mutations {
                    let at = at.index(body.len() + 1);
                    let end = (at + bytes.len()).min(body.len());
                    body.splice(at..end, bytes);
                }
                costs_no_more_than_allowed::<R>(version, &body);
            });
        }
    }
}

fn costs_no_more_than_allowed<R: ApiRequest>(version: i16, body: &[u8]) {
    let mut bytes = Bytes::copy_from_slice(body);
    let (outcome, allocated) = allocated_by(|| decode_request::<R>(version, &mut bytes));
    let context = || format!("API {} version {version}: {body:?}", R::KEY);
    let for_error = if outcome.is_err() { ALLOWED_PER_ERROR } else { 0 };
    let allowed = ALLOWED_PER_BYTE * body.len() + for_error;
    assert!(allocated <= allowed, "{allocated} bytes for {}", context());
    let has_shape = check(R::KEY, version, body) == Some(Ok(()));
    match outcome {
        Ok(_) => assert!(has_shape, "{}", context()),
        Err(error) if has_shape => {
            // Text that is not UTF-8 and tags of another version are left to the decoder.
            let error = error.to_string().to_lowercase();
            assert!(error.contains("utf-8") || error.contains("tag "), "{error} for {}", context());
        }
        Err(_) => {}
    }
}

#[test]
fn mutated_requests_cost_little() {
    for_each_api(&Mutations);
}

struct Noise;

impl Visit for Noise {
    fn visit<R: ApiRequest + PartialEq + std::fmt::Debug>(&self, _api_key: ApiKey) {
        for version in R::FIRST_VERSION..=last_version::<R>() {
            run(64, &prop::collection::vec(any::<u8>(), 0..80), |body| {
                costs_no_more_than_allowed::<R>(version, &body);
            });
        }
    }
}

#[test]
fn noise_costs_little() {
    for_each_api(&Noise);
}

fn offset_delete(partitions: u32, rest: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x01g\0\0\0\x01\0\x01t".to_vec();
    body.extend_from_slice(&partitions.to_be_bytes());
    body.extend_from_slice(rest);
    body
}

fn problem(api_key: ApiKey, version: i16, body: &[u8]) -> String {
    check(api_key as i16, version, body).unwrap().unwrap_err().to_string()
}

#[test]
fn a_refusal_names_the_field_and_what_is_wrong() {
    let offset_delete = |count, rest| problem(ApiKey::OffsetDelete, 0, &offset_delete(count, rest));
    assert_eq!(
        offset_delete(0x7fff_ffff, b"\0\0\0\x01"),
        "partitions: 2147483647 bytes or elements are announced, 4 bytes are left"
    );
    assert_eq!(offset_delete(0xffff_ffff, b""), "partitions: is null, which this version does not allow");
    assert_eq!(offset_delete(0xffff_fffe, b""), "partitions: the length -2 is negative");
    assert_eq!(
        problem(ApiKey::OffsetDelete, 0, b"\0\x05gr"),
        "groupId: 5 bytes or elements are announced, 2 bytes are left"
    );
    let cursor = |presence: u8| problem(ApiKey::DescribeTopicPartitions, 0, &[1, 0, 0, 0, 0, presence]);
    assert_eq!(cursor(7), "cursor: is neither null nor present");
    assert_eq!(
        problem(ApiKey::ListGroups, 3, &[0x81, 0x80, 0x80, 0x80, 0x70]),
        "tagged fields: a variable-length number is longer than 32 bits"
    );
}

#[test]
fn the_number_of_elements_is_limited_over_all_arrays() {
    let with = |partitions: usize| {
        let count = u32::try_from(partitions).unwrap();
        let body = offset_delete(count, &vec![0; 4 * partitions]);
        check(ApiKey::OffsetDelete as i16, 0, &body).unwrap()
    };
    // One element is the topic.
    assert_eq!(with(MAX_ELEMENTS - 1), Ok(()));
    assert_eq!(with(MAX_ELEMENTS), Err(Problem::TooManyElements.at("partitions")));
}

#[test]
fn a_known_tagged_field_fills_its_size() {
    // ListOffsets has none; Fetch 12 has the cluster id as tag 0, here "ab" in 3 bytes.
    let fetch = |cluster_id: &[u8]| {
        let mut body = vec![0; 4 + 4 + 4 + 4 + 1 + 4 + 4];
        body.extend_from_slice(&[1, 1, 1, 1, 0, u8::try_from(cluster_id.len()).unwrap()]);
        body.extend_from_slice(cluster_id);
        check(ApiKey::Fetch as i16, 12, &body).unwrap()
    };
    assert_eq!(fetch(b"\x03ab"), Ok(()));
    assert_eq!(fetch(b"\x03abc"), Err(Problem::LeftOver(1).at("clusterId")));
    assert_eq!(fetch(b"\x04ab"), Err(Problem::Short { wanted: 3, left: 2 }.at("clusterId")));
}
