use bytes::Buf;
use kafka_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse, ProducerId, TopicName,
    fetch_response::{
        AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
        PartitionData,
    },
};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::response_frame;

/// One answer with everything that a version has, in both forms.
fn answers(version: i16, records: &Bytes) -> (FetchAnswer, FetchResponse) {
    let id = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    let partitions = [(0, None, None), (300, Some((3, 77)), None), (2, Some((1, 5)), Some((9, 4)))];
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for (index, diverging, leader) in partitions {
        let (diverging, leader) = (diverging.filter(|_| version >= 12), leader.filter(|_| version >= 12));
        ours.push(FetchedPartition {
            index,
            error_code: 0,
            high_watermark: 1 << 40,
            last_stable_offset: 12,
            log_start_offset: 3,
            diverging,
            leader,
            preferred_read_replica: -1,
            aborted: if version >= 4 { vec![(7, 8), (9, 10)] } else { Vec::new() },
            records: Records::Memory(records.clone()),
        });
        let aborted = [(7, 8), (9, 10)].map(|(producer, first)| {
            AbortedTransaction::default().with_producer_id(ProducerId(producer)).with_first_offset(first)
        });
        let mut data = PartitionData::default()
            .with_partition_index(index)
            .with_high_watermark(1 << 40)
            .with_last_stable_offset(12)
            .with_log_start_offset(3)
            .with_aborted_transactions(Some(aborted.to_vec()))
            .with_preferred_read_replica(BrokerId(-1))
            .with_records(Some(records.clone()));
        if let Some((epoch, end)) = diverging {
            let diverging = EpochEndOffset::default().with_epoch(epoch).with_end_offset(end);
            data = data.with_diverging_epoch(diverging);
        }
        if let Some((id, epoch)) = leader {
            let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(id)).with_leader_epoch(epoch);
            data = data.with_current_leader(leader);
        }
        theirs.push(data);
    }
    let session_id = if version >= 7 { 99 } else { 0 };
    let ours = FetchAnswer {
        error_code: 0,
        session_id,
        topics: vec![FetchedTopic { name: "orders".into(), id, partitions: ours }],
        endpoints: [None, Some("zone-a".to_owned())]
            .map(|rack| LeaderEndpoint { node_id: 4, host: "host".to_owned(), port: 9092, rack })
            .to_vec(),
    };
    let topic = FetchableTopicResponse::default().with_partitions(theirs);
    let topic = if version >= 13 {
        topic.with_topic_id(id)
    } else {
        topic.with_topic(TopicName(StrBytes::from_static_str("orders")))
    };
    let endpoints = [None, Some("zone-a")].map(|rack| {
        NodeEndpoint::default()
            .with_node_id(BrokerId(4))
            .with_host(StrBytes::from_static_str("host"))
            .with_port(9092)
            .with_rack(rack.map(StrBytes::from_static_str))
    });
    let mut theirs = FetchResponse::default().with_session_id(session_id).with_responses(vec![topic]);
    if version >= 16 {
        theirs = theirs.with_node_endpoints(endpoints.to_vec());
    }
    (ours, theirs)
}

fn bytes(mut frame: ResponseFrame) -> Bytes {
    let mut all = Vec::new();
    while let Some(piece) = frame.pop_piece() {
        match piece {
            crate::FramePiece::Memory(bytes) => all.extend_from_slice(&bytes),
            crate::FramePiece::File(range) => {
                use std::os::unix::fs::FileExt;
                let mut read = vec![0; range.len()];
                range.file().read_exact_at(&mut read, range.position()).unwrap();
                all.extend_from_slice(&read);
            }
        }
    }
    all.into()
}

#[test]
fn every_version_is_what_the_schema_says() {
    for size in [0, 10, 200, 20_000] {
        let records = Bytes::from(vec![7; size]);
        for version in 0..=18 {
            let (ours, theirs) = answers(version, &records);
            let ours = bytes(ours.into_frame(version, 5).unwrap());
            let theirs = bytes(response_frame::<FetchRequest>(version, 5, &theirs).unwrap());
            assert_eq!(ours, theirs, "version {version}, {size} bytes of records");
        }
    }
}

#[test]
fn nothing_and_errors_in_every_version() {
    for version in 0..=18 {
        let error_code = if version >= 7 { 70 } else { 0 };
        let ours = FetchAnswer { error_code, ..FetchAnswer::default() };
        let theirs = FetchResponse::default().with_error_code(error_code);
        let ours = bytes(ours.into_frame(version, 5).unwrap());
        assert_eq!(ours, bytes(response_frame::<FetchRequest>(version, 5, &theirs).unwrap()), "{version}");
    }
}

#[test]
fn records_in_files_are_left_there() {
    use std::io::Write;
    let mut file = tempfile::tempfile().unwrap();
    let content: Vec<u8> = (0..10_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    file.write_all(&content).unwrap();
    let file = std::sync::Arc::new(file);
    for version in [4, 11, 12, 18] {
        let (mut ours, theirs) = answers(version, &Bytes::copy_from_slice(&content[100..5_100]));
        let counter = std::sync::Arc::default();
        for partition in &mut ours.topics[0].partitions {
            partition.records = Records::File(FileRange::new(file.clone(), 100, 5_000, &counter, 0));
        }
        let frame = ours.into_frame(version, 5).unwrap();
        assert!(frame.memory() < 1_000, "only what is around the records is in memory");
        let mut theirs = bytes(response_frame::<FetchRequest>(version, 5, &theirs).unwrap());
        let mut ours = bytes(frame);
        assert_eq!(ours, theirs);
        assert_eq!(usize::try_from(ours.get_i32()).unwrap(), ours.len());
        theirs.advance(4);
    }
}
