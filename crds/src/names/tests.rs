use std::collections::HashMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

#[test]
fn kafka_names_are_judged_as_kafka_does() {
    for good in ["a", "__consumer_offsets", "Orders.v1", "-", "...", &"x".repeat(249)] {
        assert_eq!(check_topic_name(good), Ok(()), "{good}");
    }
    let cases = [
        ("", "Topic name is invalid: the empty string is not allowed"),
        ("..", "Topic name is invalid: '..' is not allowed"),
        (
            "a b",
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
    ];
    for (name, message) in cases {
        assert_eq!(check_topic_name(name).unwrap_err().to_string(), message);
    }
    let long = check_topic_name(&"é".repeat(100_000)).unwrap_err().to_string();
    assert!(long.contains("longer than the max allowed length 249") && long.len() < 700);
}

#[test]
fn object_names_are_the_topics_own_where_they_can_be() {
    assert_eq!(object_name("sample"), "sample");
    assert_eq!(object_name("orders.v1"), "orders.v1");
    let derived =
        ["__consumer_offsets", "Orders.v1", "orders..v1", "a.", "___", "sample--0a1b2c3d"].map(object_name);
    let stems = ["consumer-offsets", "orders.v1", "orders.v1", "a", "topic", "sample-0a1b2c3d"];
    for (name, stem) in derived.iter().zip(stems) {
        let (found, hash) = name.rsplit_once("--").unwrap();
        assert_eq!((found, hash.len()), (stem, 8), "{name}");
    }
    assert_eq!(derived[0], "consumer-offsets--68495350", "the names of objects that exist never change");
    assert_ne!(object_name_in("a", "t"), object_name_in("b", "t"));
}

#[test]
fn metric_names_collide_as_in_kafka() {
    assert_eq!(metric_name("a.b"), metric_name("a_b"));
}

#[test]
fn objects_are_named_by_their_cluster() {
    assert_eq!(pod("demo", 2), "demo-2");
    assert_eq!(broker_of_pod("demo", "demo-2"), Some(2));
    for other in ["demo", "demo-", "demo-x", "demo-02", "demo--1", "demo-+1", "demo-1-0", "other-1"] {
        assert_eq!(broker_of_pod("demo", other), None, "{other}");
    }
    assert_eq!(chunk_of_object("demo", "demo-12"), Some(12));
    assert_eq!(broker_host("demo", "default", 0), "demo-broker-0.default.svc");
    assert_eq!(bootstrap_service("demo"), "demo-bootstrap");
}

#[test]
fn ids_are_written_as_kafka_writes_them() {
    // What org.apache.kafka.common.Uuid prints for these bits.
    let cases = [
        (0, "AAAAAAAAAAAAAAAAAAAAAA"),
        (1, "AAAAAAAAAAAAAAAAAAAAAQ"),
        (u128::MAX, "_____________________w"),
        (0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, "ASNFZ4mrze8BI0VniavN7w"),
    ];
    for (bits, text) in cases {
        assert_eq!(kafka_uuid(Uuid::from_u128(bits)), text);
    }
}

/// RFC 1123 subdomain, written down a second time.
fn is_dns_subdomain(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |label: &str| {
        label.starts_with(alphanumeric)
            && label.ends_with(alphanumeric)
            && label.chars().all(|c| alphanumeric(c) || c == '-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

proptest! {
    #[test]
    fn every_topic_has_a_legal_object_name_of_its_own(topics in prop::collection::hash_set("[aA0._-]{1,12}|[a-zA-Z0-9._-]{240,249}", 1..40)) {
        let mut taken = HashMap::new();
        for topic in topics.iter().filter(|topic| check_topic_name(topic).is_ok()) {
            let name = object_name(topic);
            prop_assert!(is_dns_subdomain(&name), "{} of {}", name, topic);
            prop_assert!(is_dns_subdomain(&object_name_in("demo", topic)));
            let other = taken.insert(name.clone(), topic);
            prop_assert!(other.is_none(), "{} of {} and {:?}", name, topic, other);
        }
    }
}
