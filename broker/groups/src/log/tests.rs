//! The hexadecimal lines were written by Kafka 4.3's own serializers.

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::{DecodeError, GroupValue, MemberValue, OffsetKey, OffsetValue, Record};

const OFFSET_KEY: &str = "00010003677270000474c3b87000000007";
const GROUP_KEY: &str = "00020003677270";

/// Every version that Kafka ever wrote, oldest first.
const OFFSET_VALUES: [&str; 5] = [
    "00000000001cbe991a1400056dc3a974610000018bcfe56800",
    "00010000001cbe991a1400056dc3a974610000018bcfe56800000001a3185c5000",
    "00020000001cbe991a1400056dc3a974610000018bcfe56800",
    "00030000001cbe991a140000000500056dc3a974610000018bcfe56800",
    "00040000001cbe991a1400000005066dc3a974610000018bcfe568000100100102030405060708090a0b0c0d0e0f10",
];
const OFFSET_VALUE_WITHOUT_TOPIC_ID: &str = "00040000000000000001ffffffff01000000000000000200";

const GROUP_VALUES: [&str; 5] = [
    "00000008636f6e73756d657200000009000572616e676500026d310000000100026d31000163000a2f3132372e302e302e31\
     000027100000000201020000000103",
    "00010008636f6e73756d657200000009000572616e676500026d310000000100026d31000163000a2f3132372e302e302e31\
     000493e0000027100000000201020000000103",
    "00020008636f6e73756d657200000009000572616e676500026d310000018bcfe568010000000100026d31000163000a2f31\
     32372e302e302e31000493e0000027100000000201020000000103",
    "00030008636f6e73756d657200000009000572616e676500026d310000018bcfe568010000000100026d310004696e737400\
     0163000a2f3132372e302e302e31000493e0000027100000000201020000000103",
    "000409636f6e73756d6572000000090672616e6765036d310000018bcfe5680102036d3105696e737402630b2f3132372e30\
     2e302e31000493e00000271003010202030000",
];
const EMPTY_GROUP_VALUE: &str = "0003000000000000ffffffff000000000000000300000000";

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn offset_key() -> OffsetKey {
    OffsetKey { group_id: "grp".into(), topic: "tøp".into(), partition: 7 }
}

fn offset_value(version: usize) -> OffsetValue {
    OffsetValue {
        offset: 123_456_789_012,
        leader_epoch: if version >= 3 { 5 } else { -1 },
        metadata: "méta".to_owned(),
        commit_timestamp_ms: 1_700_000_000_000,
        expire_timestamp_ms: (version == 1).then_some(1_800_000_000_000),
        topic_id: (version >= 4).then(|| Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)),
    }
}

fn group_value(version: usize) -> GroupValue {
    GroupValue {
        protocol_type: "consumer".to_owned(),
        generation: 9,
        protocol: Some("range".to_owned()),
        leader: Some("m1".to_owned()),
        current_state_timestamp_ms: if version >= 2 { 1_700_000_000_001 } else { -1 },
        members: vec![MemberValue {
            member_id: "m1".to_owned(),
            group_instance_id: (version >= 3).then(|| "inst".to_owned()),
            client_id: "c".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            rebalance_timeout_ms: if version >= 1 { 300_000 } else { -1 },
            session_timeout_ms: 10_000,
            subscription: Bytes::from_static(&[1, 2]),
            assignment: Bytes::from_static(&[3]),
        }],
    }
}

#[test]
fn reads_every_version_that_kafka_wrote() {
    for (version, text) in OFFSET_VALUES.iter().enumerate() {
        let record = Record::decode(&hex(OFFSET_KEY), Some(&hex(text))).unwrap();
        assert_eq!(record, Record::Offset { key: offset_key(), value: Some(offset_value(version)) });
    }
    for (version, text) in GROUP_VALUES.iter().enumerate() {
        let record = Record::decode(&hex(GROUP_KEY), Some(&hex(text))).unwrap();
        assert_eq!(record, Record::Group { group_id: "grp".into(), value: Some(group_value(version)) });
    }
}

#[test]
fn writes_what_kafka_writes() {
    let offset = |value| Record::Offset { key: offset_key(), value }.encode().unwrap();
    assert_eq!(offset(None).key, hex(OFFSET_KEY));
    assert_eq!(offset(None).value, None);
    assert_eq!(offset(Some(offset_value(4))).value.unwrap(), hex(OFFSET_VALUES[4]));
    assert_eq!(offset(Some(offset_value(1))).value.unwrap(), hex(OFFSET_VALUES[1]));
    let bare = OffsetValue {
        offset: 1,
        leader_epoch: -1,
        metadata: String::new(),
        commit_timestamp_ms: 2,
        expire_timestamp_ms: None,
        topic_id: None,
    };
    assert_eq!(offset(Some(bare)).value.unwrap(), hex(OFFSET_VALUE_WITHOUT_TOPIC_ID));

    let group = |value| Record::Group { group_id: "grp".into(), value }.encode().unwrap();
    assert_eq!(group(None).key, hex(GROUP_KEY));
    assert_eq!(group(Some(group_value(3))).value.unwrap(), hex(GROUP_VALUES[3]));
    let empty = GroupValue {
        protocol_type: String::new(),
        generation: 0,
        protocol: None,
        leader: None,
        current_state_timestamp_ms: 3,
        members: Vec::new(),
    };
    assert_eq!(group(Some(empty)).value.unwrap(), hex(EMPTY_GROUP_VALUE));
}

#[test]
fn refuses_what_does_not_fit() {
    let key = OffsetKey { group_id: "g".repeat(40_000).into(), ..offset_key() };
    assert!(Record::Offset { key, value: None }.encode().is_err());
    assert!(Record::Unknown { key_version: 9 }.encode().is_err());
}

#[test]
fn leaves_records_of_other_protocols_alone() {
    let key = hex("00060003677270");
    assert_eq!(Record::decode(&key, Some(&[0, 0])), Ok(Record::Unknown { key_version: 6 }));
}

#[test]
fn refuses_broken_records() {
    let value = hex(OFFSET_VALUES[4]);
    for cut in 0..value.len() {
        assert!(Record::decode(&hex(OFFSET_KEY), Some(&value[..cut])).is_err(), "cut at {cut}");
    }
    assert_eq!(Record::decode(&hex(OFFSET_KEY), Some(&[0, 9])), Err(DecodeError::Version(9)));
    // A group of two billion members, in forty bytes.
    let mut huge = hex(EMPTY_GROUP_VALUE);
    let end = huge.len();
    huge[end - 4..].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(Record::decode(&hex(GROUP_KEY), Some(&huge)), Err(DecodeError::Truncated));
}

proptest! {
    #[test]
    fn never_panics_on_any_bytes(key in proptest::collection::vec(any::<u8>(), 0..64),
                                 value in proptest::collection::vec(any::<u8>(), 0..128)) {
        let _ = Record::decode(&key, Some(&value));
    }

    #[test]
    fn never_panics_on_damaged_values(version in 0..5_usize, at in any::<prop::sample::Index>(), byte: u8) {
        for (key, value) in [(OFFSET_KEY, OFFSET_VALUES[version]), (GROUP_KEY, GROUP_VALUES[version])] {
            let mut value = hex(value);
            let at = at.index(value.len());
            value[at] = byte;
            let _ = Record::decode(&hex(key), Some(&value));
        }
    }

    #[test]
    fn offsets_read_back(group in ".{0,20}", topic in "[a-z.]{1,20}", partition: i32, offset: i64,
                         leader_epoch: i32, metadata in ".{0,40}", commit_timestamp_ms: i64, id: Option<u128>) {
        let record = Record::Offset {
            key: OffsetKey { group_id: group.into(), topic: topic.into(), partition },
            value: Some(OffsetValue {
                offset, leader_epoch, metadata, commit_timestamp_ms, expire_timestamp_ms: None,
                topic_id: id.filter(|id| *id != 0).map(Uuid::from_u128),
            }),
        };
        let written = record.encode().unwrap();
        prop_assert_eq!(Record::decode(&written.key, written.value.as_deref()).unwrap(), record);
    }
}
