//! Records of `__consumer_offsets` that are nearly right: a decoder answers with a record or an error, and what it takes
//! for a record it can write again.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../storage/tests/support/mutate.rs"]
mod mutate;

use bytes::Bytes;
use milena_groups::log::{GroupValue, MemberValue, OffsetKey, OffsetValue, Record};
use mutate::{Random, cases, mutate};

fn samples() -> Vec<(Vec<u8>, Vec<u8>)> {
    let key = OffsetKey { group_id: "group".into(), topic: "topic".into(), partition: 3 };
    let offset = |expire_timestamp_ms, topic_id| OffsetValue {
        offset: 1234,
        leader_epoch: 5,
        metadata: "metadata".to_owned(),
        commit_timestamp_ms: 1_700_000_000_000,
        expire_timestamp_ms,
        topic_id,
    };
    let member = |number: u8| MemberValue {
        member_id: format!("member-{number}"),
        group_instance_id: (number == 1).then(|| "static".to_owned()),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 30_000,
        subscription: Bytes::from(vec![number; 20]),
        assignment: Bytes::from(vec![number; 30]),
    };
    let group = GroupValue {
        protocol_type: "consumer".to_owned(),
        generation: 7,
        protocol: Some("range".to_owned()),
        leader: Some("member-0".to_owned()),
        current_state_timestamp_ms: 1_700_000_000_000,
        members: (0..3).map(member).collect(),
    };
    let records = [
        Record::Offset { key: key.clone(), value: Some(offset(None, None)) },
        Record::Offset { key: key.clone(), value: Some(offset(None, Some(uuid::Uuid::from_u128(77)))) },
        Record::Offset { key, value: Some(offset(Some(1_800_000_000_000), None)) },
        Record::Group { group_id: "group".into(), value: Some(group) },
    ];
    let encoded = records.iter().map(|record| record.encode().unwrap());
    encoded.map(|record| (record.key.to_vec(), record.value.unwrap().to_vec())).collect()
}

#[test]
fn offsets_and_groups() {
    let samples = samples();
    cases(40_000, 40_000, |random: &mut Random| {
        let (key, value) = &samples[random.below(samples.len())];
        let key = if random.below(4) == 0 { mutate(random, key) } else { key.clone() };
        let mut value = mutate(random, value);
        if random.below(2) == 0 && value.len() > 2 {
            // Other versions of the format, which this broker only reads.
            value[..2].copy_from_slice(&[0, u8::try_from(random.below(6)).unwrap()]);
        }
        if let Ok(record) = Record::decode(&key, Some(&value))
            && let Ok(again) = record.encode()
        {
            assert_eq!(Record::decode(&again.key, again.value.as_deref()).unwrap(), record);
        }
    });
}
