//! What comes from the network, and what records hold.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::protocol::Decodable;
use milena_crds::elections;
use milena_crds::inquiry::{Answer, Question};
use milena_crds::partition::{PartitionKey, PartitionState};
use milena_groups::{Config, Effects, Replay};
use milena_protocol::{
    FetchAnswer, FetchedPartition, FetchedTopic, FramePiece, LeaderEndpoint, Records, RequestHead,
};
use milena_records::{
    Batch, Batches, Compression, MessageFormat, ProduceRules, down_convert, up_convert, validate_produce,
};
use uuid::Uuid;

use crate::{repair, targets::DECOMPRESSED};

/// A frame: its head, and its body as the head says.
pub fn request(input: &[u8]) {
    let mut frame = Bytes::copy_from_slice(input);
    if let Ok(head) = RequestHead::parse(&mut frame) {
        let _ = milena_protocol::fuzzing::decode(head.api_key, head.api_version, frame);
    }
}

/// What an operator asks of logs, what a broker answers, and what a KafkaTopic asks of elections.
pub fn inquiry(input: &[u8]) {
    let _ = Question::decode(input);
    let _ = Answer::decode(input);
    if let Ok(wishes) =
        std::str::from_utf8(input).map_err(|_| ()).and_then(|text| elections::parse(text).map_err(|_| ()))
    {
        assert_eq!(
            elections::parse(&elections::text(&wishes)).as_ref(),
            Ok(&wishes),
            "what is read can be written"
        );
    }
}

/// An answer to Fetch of any content can be read by who asked.
#[allow(clippy::expect_used)]
pub fn fetch_answer(input: &[u8]) {
    let mut from = Bytes::copy_from_slice(input);
    let version = i16::from(from.try_get_u8().unwrap_or_default() % 19);
    let Ok(mut frame) = any_answer(&mut from).into_frame(version, 7) else { return };
    let mut bytes = BytesMut::new();
    while let Some(FramePiece::Memory(piece)) = frame.pop_piece() {
        bytes.extend_from_slice(&piece);
    }
    let mut bytes = bytes.freeze();
    // Length and correlation id; from version 12 on, no tagged fields.
    bytes.advance(if version >= 12 { 9 } else { 8 });
    if version >= 4 {
        FetchResponse::decode(&mut bytes, version).expect("a fetch answer is not what its version says");
        assert!(bytes.is_empty(), "a fetch answer of version {version} is too long");
    }
}

fn any_answer(from: &mut Bytes) -> FetchAnswer {
    let topics = from.try_get_u8().unwrap_or_default() % 5;
    let endpoints = from.try_get_u8().unwrap_or_default() % 3;
    FetchAnswer {
        error_code: from.try_get_i16().unwrap_or_default(),
        session_id: from.try_get_i32().unwrap_or_default(),
        topics: (0..topics).map(|_| any_topic(from)).collect(),
        endpoints: (0..endpoints)
            .map(|_| LeaderEndpoint {
                node_id: from.try_get_i32().unwrap_or_default(),
                host: any_text(from),
                port: from.try_get_i32().unwrap_or_default(),
                rack: (from.try_get_u8().unwrap_or_default() > 127).then(|| any_text(from)),
            })
            .collect(),
    }
}

fn any_topic(from: &mut Bytes) -> FetchedTopic {
    let partitions = from.try_get_u8().unwrap_or_default() % 9;
    FetchedTopic {
        name: any_text(from).into(),
        id: Uuid::from_u128(from.try_get_u128().unwrap_or_default()),
        partitions: (0..partitions).map(|_| any_partition(from)).collect(),
    }
}

fn any_partition(from: &mut Bytes) -> FetchedPartition {
    let set = from.try_get_u8().unwrap_or_default();
    let mut long = || from.try_get_i64().unwrap_or_default();
    let (high_watermark, last_stable_offset, log_start_offset) = (long(), long(), long());
    let diverging = (set & 1 > 0).then(|| (set.into(), long()));
    let aborted = (0..set >> 5).map(|_| (long(), long())).collect();
    let records = usize::from(set & 24).min(from.len());
    FetchedPartition {
        index: from.try_get_i32().unwrap_or_default(),
        error_code: from.try_get_i16().unwrap_or_default(),
        high_watermark,
        last_stable_offset,
        log_start_offset,
        diverging,
        leader: (set & 2 > 0).then_some((3, 4)),
        preferred_read_replica: from.try_get_i32().unwrap_or_default(),
        aborted,
        records: Records::Memory(from.split_to(records.min(from.len()))),
    }
}

fn any_text(from: &mut Bytes) -> String {
    let length = usize::from(from.try_get_u8().unwrap_or_default()).min(from.len());
    String::from_utf8_lossy(&from.split_to(length)).into_owned()
}

/// Batches of a producer, a leader or a file: all ways to look at them. The first byte says whether checksums are made
/// right, and under which rules a producer's batch is checked.
pub fn batch(input: &[u8]) {
    let Some((flags, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if flags & 1 > 0 {
        repair::batches(&mut bytes);
    }
    let mut rules = ProduceRules::defaults(1_700_000_000_000);
    rules.max_decompressed_bytes = DECOMPRESSED;
    rules.require_keys = flags & 2 > 0;
    rules.timestamp_before_max_ms = if flags & 4 > 0 { 1_000_000 } else { i64::MAX };
    if let Ok(accepted) = validate_produce(&bytes, &rules) {
        let _ = accepted.needs_restamp();
    }
    for batch in Batches::new(&bytes).map_while(Result::ok) {
        let _ = batch.verify_crc();
        records_of(&batch);
    }
    for format in [MessageFormat::V0, MessageFormat::V1] {
        let _ = down_convert(&bytes, format, i64::from(flags >> 3), DECOMPRESSED);
    }
}

fn records_of(batch: &Batch<'_>) {
    let Ok(records) = batch.records(DECOMPRESSED) else { return };
    for record in records.iter().map_while(Result::ok) {
        let _ = record.headers.count();
    }
    let _ = batch.recompressed(Compression::Snappy, DECOMPRESSED);
}

/// A message set of an old client becomes batches that are accepted, and goes back.
pub fn message_set(input: &[u8]) {
    let Some((flags, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if flags & 1 > 0 {
        repair::messages(&mut bytes);
    }
    if let Ok(batches) = up_convert(&bytes, DECOMPRESSED) {
        for batch in Batches::new(&batches) {
            assert!(batch.is_ok_and(|batch| batch.verify_crc().is_ok()), "converted into no batch");
        }
        for format in [MessageFormat::V0, MessageFormat::V1] {
            let _ = down_convert(&batches, format, 0, DECOMPRESSED);
        }
    }
}

/// Records of `__consumer_offsets`, several: what is understood is written as something that is understood, too.
#[allow(clippy::expect_used)]
pub fn group_record(input: &[u8]) {
    let parts = crate::files::split(input);
    let mut replay = Replay::default();
    for (offset, pair) in parts.chunks(2).enumerate() {
        let [(kind, key), rest @ ..] = pair else { continue };
        let value = rest.first().map(|(_, value)| *value);
        let offset = i64::try_from(offset).unwrap_or_default();
        let _ = match kind % 4 {
            0 => replay.record_in_transaction(7, offset, key, value),
            1 => {
                replay.end_transaction(7, kind & 4 > 0);
                Ok(())
            }
            _ => replay.record(offset, key, value),
        };
        if let Ok(record) = milena_groups::log::Record::decode(key, value)
            && let Ok(written) = record.encode()
        {
            milena_groups::log::Record::decode(&written.key, written.value.as_deref())
                .expect("a record that was written cannot be read");
        }
    }
    let mut effects = Effects::<u32>::default();
    let now = 1_700_000_000_000;
    let _ = replay.finish(Config::default().into(), now, &mut effects).list().count();
}

/// The text of a partition's state is written as it was read.
#[allow(clippy::expect_used)]
pub fn partition_state(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(key) = text.parse::<PartitionKey>() {
        assert_eq!(key.to_string(), text, "a key is written otherwise");
    }
    if let Ok(state) = text.parse::<PartitionState>() {
        assert_eq!(state.to_string(), text, "a state is written otherwise");
        state.validate().expect("a state that cannot be was read");
    }
}
