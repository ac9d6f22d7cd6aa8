//! What fuzzing begins with: files and frames as the product itself writes them.

use bytes::Bytes;
use milena_crds::inquiry::{Answer, Question};
use milena_crds::partition::{Generation, PartitionKey, Report};
use milena_records::{Batch, BatchBuilder, Codec, Compression, MessageFormat, RecordsError, down_convert};
use milena_storage::{Log, LogDir, Origin, Owner, StorageError, TopicPartition};
use uuid::Uuid;

use crate::{
    files,
    logs::{DIRECTORY_FILES, LOG_FILES, NOW, config},
};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Nothing in particular.
pub fn noise() -> Vec<Vec<u8>> {
    (0..19_u8).map(|version| (version..).step_by(7).take(30).collect()).collect()
}

/// Each version of each request, all fields at their defaults.
pub fn requests() -> Vec<Vec<u8>> {
    milena_protocol::fuzzing::examples()
        .map(|(key, version, body)| {
            let head = [&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 9, 0, 1, b'c']].concat();
            let tags: &[u8] = match kafka_protocol::messages::ApiKey::try_from(key) {
                Ok(known) if known.request_header_version(version) >= 2 => &[0],
                _ => &[],
            };
            [&head, tags, &body].concat()
        })
        .collect()
}

/// A question about logs, its answer, and elections.
pub fn inquiries() -> Vec<Vec<u8>> {
    let key = |partition| PartitionKey { topic_id: Uuid::from_u128(7), partition };
    let question = Question { partitions: [(key(0), 3), (key(1), 9)].into() };
    let generation = Generation { disk: 0xa, unclean_starts: 2 };
    let report = Report { generation, last_epoch: 3, log_start: 0, log_end: 70, refuses: 5 };
    let answer = Answer { broker: 1, reports: [(key(5), report)].into() };
    let body = |frame: Vec<u8>| frame.get(4..).unwrap_or_default().to_vec();
    vec![body(question.encode()), body(answer.encode()), b"preferred:0@3,unclean:5".to_vec()]
}

fn records(codec: Compression, control: bool) -> Result<Bytes, RecordsError> {
    let mut builder = BatchBuilder::new(0).compression(Codec::from(codec));
    if control {
        builder = builder.producer(7, 0, -1).transactional().control();
        builder.append(NOW, Some(&[0, 0, 0, 0]), Some(&[0; 6]), &[])?;
        return builder.build();
    }
    let header = milena_records::Header { key: b"header", value: Some(b"of one") };
    builder.append(NOW, Some(b"key"), Some(b"value value value value"), &[header])?;
    builder.append(NOW + 1, None, Some(b"value"), &[])?;
    builder.append(NOW + 1, Some(b"key"), None, &[])?;
    builder.build()
}

/// A batch of each codec, and a marker of a transaction.
pub fn batches() -> Vec<Vec<u8>> {
    let plain = CODECS.iter().map(|codec| records(*codec, false));
    let all: Vec<Bytes> = plain.chain([records(Compression::None, true)]).map_while(Result::ok).collect();
    all.iter().flat_map(|bytes| [0, 1, 7].map(|flags| [&[flags][..], bytes].concat())).collect()
}

/// Message sets of both formats and all their codecs.
pub fn message_sets() -> Vec<Vec<u8>> {
    let formats = [MessageFormat::V0, MessageFormat::V1];
    let batches: Vec<Bytes> = CODECS.iter().filter_map(|codec| records(*codec, false).ok()).collect();
    batches
        .iter()
        .flat_map(|batch| formats.map(|format| down_convert(batch, format, 0, 1 << 20)))
        .map_while(Result::ok)
        .map(|set| [&[1][..], &set].concat())
        .collect()
}

/// A committed offset and a group with a member, in each version of their values.
pub fn group_records() -> Vec<Vec<u8>> {
    let offset_key: &[u8] = b"\0\x01\0\x05group\0\x06sample\0\0\0\0";
    let group_key: &[u8] = b"\0\x02\0\x05group";
    let mut inputs = Vec::new();
    for version in 0..5_u8 {
        let value = [&[0, version][..], &[0; 40]].concat();
        for (kind, key) in [(2, offset_key), (2, group_key), (0, offset_key)] {
            inputs.push(files::join([(kind, key), (2, value.as_slice()), (5, &[]), (2, &[])]));
        }
    }
    let member: &[u8] = b"\0\x01m\xff\xff\0\x01c\0\x01h\0\0\0\x01\0\0\0\x02\0\0\0\x01s\0\0\0\x01a";
    let value =
        [&b"\0\x03\0\x08consumer\0\0\0\x01\0\x05range\0\x01m\0\0\0\0\0\0\0\x01\0\0\0\x01"[..], member]
            .concat();
    inputs.push(files::join([(2, group_key), (2, value.as_slice())]));
    inputs
}

/// States of partitions, and a key.
pub fn states() -> Vec<Vec<u8>> {
    [
        "replicas=0,1 leader=0 leaderEpoch=3 partitionEpoch=5 isr=0.9f2c41d7-1,1.11d09ac2-0 elr=",
        "replicas=2 leader=none leaderEpoch=0 partitionEpoch=0 isr= elr=2.00000001-4",
        "67e55044-10b1-426f-9247-bb680e5fe0c8/12",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// A log of two segments with an aborted transaction, opened in each way.
pub fn logs() -> Vec<Vec<u8>> {
    let folder = files::scratch();
    match write_log(&folder.path().join("sample-0")) {
        Ok(()) => {
            let content = files::gather(&folder.path().join("sample-0"), LOG_FILES);
            (0..32).map(|flags| [&[flags][..], &content].concat()).collect()
        }
        Err(error) => {
            eprintln!("no log to begin with: {error}");
            Vec::new()
        }
    }
}

fn write_log(path: &std::path::Path) -> Result<(), StorageError> {
    let mut log = Log::create(path, Some(Uuid::from_u128(5)), config(), NOW)?;
    let append = |log: &mut Log, builder: BatchBuilder, marker: bool, origin| {
        let mut builder = builder;
        let (key, value): (&[u8], &[u8]) =
            if marker { (&[0, 0, 0, 0], &[0; 6]) } else { (b"key", &[b'v'; 40]) };
        let built = builder.append(NOW, Some(key), Some(value), &[]).and_then(|()| builder.build());
        let bytes = built.unwrap_or_default();
        match Batch::parse(&bytes) {
            Ok(batch) => log.append(&batch, origin, 1, NOW).map(drop),
            Err(_) => Ok(()),
        }
    };
    append(&mut log, BatchBuilder::new(0), false, Origin::Client)?;
    append(&mut log, BatchBuilder::new(0).producer(3, 0, 0), false, Origin::Client)?;
    append(&mut log, BatchBuilder::new(0).producer(7, 0, 0).transactional(), false, Origin::Client)?;
    append(
        &mut log,
        BatchBuilder::new(0).producer(7, 0, -1).transactional().control(),
        true,
        Origin::Coordinator,
    )?;
    append(&mut log, BatchBuilder::new(0), false, Origin::Client)?;
    log.roll(NOW)?;
    for _ in 0..4 {
        append(&mut log, BatchBuilder::new(0).compression(Compression::Lz4), false, Origin::Client)?;
    }
    log.close_clean().map(drop)
}

/// A directory that was closed in order, and one that was not.
pub fn directories() -> Vec<Vec<u8>> {
    let folder = files::scratch();
    let made = || -> Result<Vec<u8>, StorageError> {
        let path = folder.path();
        let dir = LogDir::open(path, Owner { cluster_id: None, node_id: 1 })?;
        let sample = TopicPartition::new("sample", 0);
        let mut log = dir.create_log(&sample, Uuid::from_u128(5), config(), NOW)?;
        log.assign_epoch(3)?;
        log.close_clean()?;
        dir.write_recovery_points([(&sample, 0)].into_iter())?;
        dir.write_log_start_offsets([(&sample, 0)].into_iter())?;
        dir.write_high_watermarks([(&sample, 0)].into_iter())?;
        let unclean = files::gather(path, DIRECTORY_FILES);
        dir.mark_clean_shutdown(3)?;
        drop(dir);
        Ok([unclean, files::gather(path, DIRECTORY_FILES)].concat())
    };
    match made() {
        Ok(bytes) => vec![bytes],
        Err(error) => {
            eprintln!("no directory to begin with: {error}");
            Vec::new()
        }
    }
}

/// Records of Kafka's metadata log: a topic, a partition, a setting, a change, a deletion.
pub fn quorums() -> Vec<Vec<u8>> {
    let id = [7; 16];
    let topic = [&b"\x01\x02\0\x07sample"[..], &id, &[0]].concat();
    let partition = [
        &[1, 3, 1, 0, 0, 0, 0][..],
        &id,
        b"\x02\0\0\0\x01\x02\0\0\0\x01\x01\x01\0\0\0\x01\0\0\0\0\0\0\0\0\x01\0",
    ]
    .concat();
    let config = b"\x01\x04\0\x02\x07sample\x0dretention.ms\x025\0".to_vec();
    let change = [&[1, 5, 1, 0, 0, 0, 0][..], &id, &[1, 1, 4, 0xff, 0xff, 0xff, 0xff]].concat();
    let removal = [&[1, 9, 0][..], &id, &[0]].concat();
    let batch = |base_offset, records: &[&[u8]]| {
        let mut builder = BatchBuilder::new(base_offset);
        let added = records.iter().try_for_each(|record| builder.append(NOW, None, Some(record), &[]));
        added.and_then(|()| builder.build()).unwrap_or_default()
    };
    let first = batch(0, &[&topic, &partition, &config]);
    let second = batch(3, &[&change, &removal]);
    let log = [&first[..], &second].concat();
    vec![files::join([(b'l', &log[..])]), files::join([(b'c', &first[..]), (b'l', &log[..])])]
}

/// A remembered cluster with a broker and a topic.
pub fn remembered() -> Vec<Vec<u8>> {
    let lines = concat!(
        r#"{"version":1,"generation":"00000001-0"}"#,
        "\n",
        r#"{"cluster":{"id":"4L6g3nShT-eMCtK--X86sw","settings":{"min.insync.replicas":"2"}}}"#,
        "\n",
        r#"{"broker":{"id":1,"host":"demo-1","port":9092,"rack":null}}"#,
        "\n",
        r#"{"topic":{"id":"67e55044-10b1-426f-9247-bb680e5fe0c8","name":"sample","config":{},"replicas":1,"#,
        r#""partitions":["replicas=1 leader=1 leaderEpoch=0 partitionEpoch=0 isr=1.00000001-0 elr="]}}"#,
        "\n",
        r#"{"brokerEpoch":{"epoch":4}}"#,
        "\n",
        r#"{"topicGone":{"id":"67e55044-10b1-426f-9247-bb680e5fe0c8"}}"#,
    );
    vec![[b"\x01", lines.as_bytes()].concat()]
}
