//! What the log of Kafka's metadata quorum says of topics: its newest snapshot, and the records behind that.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use milena_records::{Batch, entry_len};
use uuid::Uuid;

use super::records::{MetadataRecord, decode};

/// The largest batch that is read. Kafka's controller writes none above 8 MiB.
const MAX_BATCH: usize = 64 << 20;
/// Bytes that tell how long a batch is.
const PREFIX: usize = 17;

/// Topics by id, and how far the log was read.
#[derive(Debug, Default)]
pub struct Quorum {
    /// Topics that were not deleted.
    pub topics: HashMap<Uuid, QuorumTopic>,
}

/// A topic as Kafka's metadata have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumTopic {
    /// Its name.
    pub name: String,
    /// Its partitions, by number.
    pub partitions: BTreeMap<i32, QuorumPartition>,
    /// Its own settings.
    pub config: BTreeMap<String, String>,
}

/// A partition as Kafka's metadata have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumPartition {
    /// Brokers that hold a replica.
    pub replicas: Vec<i32>,
    /// The newest leader epoch.
    pub leader_epoch: i32,
}

/// Name and size of the log's newest files, which change with every record: whether Kafka has run since.
///
/// # Errors
/// The folder cannot be read.
pub fn position(dir: &Path) -> io::Result<String> {
    let files = Files::list(dir)?;
    let last = files.segments.last_key_value().map(|(offset, path)| (*offset, path.clone()));
    let (offset, size) = match last {
        Some((offset, path)) => (offset, fs::metadata(path)?.len()),
        None => (0, 0),
    };
    Ok(format!("{offset}+{size}"))
}

/// Reads it all.
///
/// # Errors
/// In words, with the file, why the log cannot be read to its end.
pub fn read(dir: &Path) -> Result<Quorum, String> {
    let files = Files::list(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut reading = Reading::default();
    let mut from = 0;
    if let Some((offset, snapshot)) = files.snapshots.last_key_value() {
        reading.file(snapshot, 0)?;
        from = *offset;
    } else if files.segments.first_key_value().is_none_or(|(first, _)| *first > 0) {
        return Err(format!("{}: the log does not begin at 0, and there is no snapshot", dir.display()));
    }
    for segment in files.segments.values() {
        reading.file(segment, from)?;
    }
    Ok(reading.finish())
}

/// The files of the log's folder, by offset.
#[derive(Default)]
struct Files {
    snapshots: BTreeMap<i64, PathBuf>,
    segments: BTreeMap<i64, PathBuf>,
}

impl Files {
    fn list(dir: &Path) -> io::Result<Files> {
        let mut files = Files::default();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let (Some(stem), Some(extension)) = (path.file_stem(), path.extension()) else { continue };
            let (stem, extension) = (stem.to_string_lossy(), extension.to_string_lossy());
            // A snapshot is named by its end offset and its epoch.
            let number = stem.split('-').next().and_then(|number| number.parse().ok());
            match (number, &*extension) {
                (Some(offset), "checkpoint") => files.snapshots.insert(offset, path.clone()),
                (Some(offset), "log") => files.segments.insert(offset, path.clone()),
                _ => None,
            };
        }
        Ok(files)
    }
}

#[derive(Default)]
struct Reading {
    quorum: Quorum,
    /// Settings by topic name, which may be told of before the topic.
    configs: HashMap<String, BTreeMap<String, String>>,
}

impl Reading {
    /// Takes the records of a file from offset `from` on.
    fn file(&mut self, path: &Path, from: i64) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let mut file = BufReader::new(File::open(path).map_err(|error| failed(&error))?);
        while let Some(bytes) = next_batch(&mut file).map_err(|error| failed(&error))? {
            let batch = Batch::parse(&bytes).map_err(|error| failed(&error))?;
            batch.verify_crc().map_err(|error| failed(&error))?;
            if batch.header.is_control() || batch.header.last_offset() < from {
                continue;
            }
            for record in &batch.records(MAX_BATCH).map_err(|error| failed(&error))? {
                let record = record.map_err(|error| failed(&error))?;
                if record.offset >= from {
                    let taken = decode(record.value.unwrap_or_default());
                    self.take(taken.map_err(|error| failed(&format!("offset {}: {error}", record.offset)))?);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, record: MetadataRecord) {
        let topics = &mut self.quorum.topics;
        match record {
            MetadataRecord::Topic { name, id } => topics.entry(id).or_default().name = name,
            MetadataRecord::Partition { topic, index, replicas, leader_epoch } => {
                let partition = QuorumPartition { replicas, leader_epoch };
                topics.entry(topic).or_default().partitions.insert(index, partition);
            }
            MetadataRecord::PartitionChange { topic, index, replicas, new_leader } => {
                let partition = topics.entry(topic).or_default().partitions.entry(index).or_default();
                partition.replicas = replicas.unwrap_or_else(|| std::mem::take(&mut partition.replicas));
                partition.leader_epoch = partition.leader_epoch.saturating_add(i32::from(new_leader));
            }
            MetadataRecord::Config { topic, name, value } => {
                let config = self.configs.entry(topic).or_default();
                match value {
                    Some(value) => config.insert(name, value),
                    None => config.remove(&name),
                };
            }
            MetadataRecord::RemoveTopic { id } => {
                if let Some(topic) = topics.remove(&id) {
                    self.configs.remove(&topic.name);
                }
            }
            MetadataRecord::Other => {}
        }
    }

    fn finish(mut self) -> Quorum {
        for topic in self.quorum.topics.values_mut() {
            topic.config = self.configs.remove(&topic.name).unwrap_or_default();
        }
        self.quorum
    }
}

/// The bytes of the next batch. A batch that is cut short is where the log ends: nobody has acknowledged it.
fn next_batch(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::with_capacity(PREFIX);
    file.take(PREFIX as u64).read_to_end(&mut bytes)?;
    if bytes.len() < PREFIX {
        return Ok(None);
    }
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let len = entry_len(&bytes).map_err(|error| invalid(error.to_string()))?;
    if len > MAX_BATCH {
        return Err(invalid(format!("a batch of {len} bytes, more than {MAX_BATCH}")));
    }
    file.take((len - PREFIX) as u64).read_to_end(&mut bytes)?;
    Ok((bytes.len() == len).then_some(bytes))
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::string_slice)]
mod tests {
    use milena_records::BatchBuilder;

    use super::*;

    const ID: [u8; 16] = [7; 16];

    fn topic(name: &str, id: [u8; 16]) -> Vec<u8> {
        [&[1, 2, 0, name.len() as u8 + 1], name.as_bytes(), &id, &[0]].concat()
    }

    fn partition(index: u8) -> Vec<u8> {
        let replicas = [2, 0, 0, 0, 1];
        let rest = [1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        [&[1, 3, 1, 0, 0, 0, index], &ID[..], &replicas, &replicas, &rest].concat()
    }

    fn new_leader() -> Vec<u8> {
        [&[1, 5, 1, 0, 0, 0, 0], &ID[..], &[1, 1, 4, 0xff, 0xff, 0xff, 0xff]].concat()
    }

    fn config(name: &str, value: &str) -> Vec<u8> {
        let string = |text: &str| [&[text.len() as u8 + 1], text.as_bytes()].concat();
        [vec![1, 4, 0, 2], string("sample"), string(name), string(value), vec![0]].concat()
    }

    fn log(base_offset: i64, records: &[Vec<u8>]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(base_offset);
        for record in records {
            builder.append(0, None, Some(record), &[]).unwrap();
        }
        builder.build().unwrap().to_vec()
    }

    fn put(dir: &Path, name: &str, bytes: &[u8]) {
        fs::write(dir.join(name), bytes).unwrap();
    }

    #[test]
    fn records_add_up() {
        let dir = tempfile::tempdir().unwrap();
        let first = log(0, &[topic("sample", ID), partition(0), partition(1), config("retention.ms", "5")]);
        let second = log(4, &[new_leader(), new_leader(), topic("gone", [8; 16])]);
        let third = log(7, &[[&[1, 9, 0], &[8; 16][..], &[0]].concat(), config("retention.ms", "6")]);
        let torn = &log(9, &[new_leader()])[..40];
        put(dir.path(), "00000000000000000000.log", &first);
        put(dir.path(), "00000000000000000004.log", &[&second, &third, torn].concat());
        let quorum = read(dir.path()).unwrap();
        assert_eq!(quorum.topics.len(), 1);
        let sample = &quorum.topics[&Uuid::from_bytes(ID)];
        assert_eq!((sample.name.as_str(), &sample.config["retention.ms"][..]), ("sample", "6"));
        let epochs: Vec<i32> = sample.partitions.values().map(|partition| partition.leader_epoch).collect();
        assert_eq!(epochs, [2, 0]);
        assert_eq!(sample.partitions[&1].replicas, [1]);
    }

    #[test]
    fn a_snapshot_stands_for_what_is_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let snapshot = log(0, &[topic("sample", ID), partition(0)]);
        put(dir.path(), "00000000000000000100-0000000002.checkpoint", &snapshot);
        put(dir.path(), "00000000000000000040-0000000001.checkpoint", &log(0, &[topic("old", [9; 16])]));
        put(dir.path(), "00000000000000000100-0000000002.checkpoint.part", b"half");
        put(
            dir.path(),
            "00000000000000000098.log",
            &log(98, &[topic("seen", [9; 16]), new_leader(), new_leader()]),
        );
        let quorum = read(dir.path()).unwrap();
        let names: Vec<&str> = quorum.topics.values().map(|topic| topic.name.as_str()).collect();
        assert_eq!(names, ["sample"]);
        assert_eq!(
            quorum.topics[&Uuid::from_bytes(ID)].partitions[&0].leader_epoch,
            1,
            "of offset 100 alone"
        );
    }

    #[test]
    fn damage_and_a_missing_beginning_are_told() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "00000000000000000007.log", &log(7, &[topic("sample", ID)]));
        assert!(read(dir.path()).unwrap_err().contains("no snapshot"));
        let mut bytes = log(0, &[topic("sample", ID)]);
        *bytes.last_mut().unwrap() ^= 1;
        put(dir.path(), "00000000000000000000.log", &bytes);
        assert!(read(dir.path()).unwrap_err().contains("00000000000000000000.log"));
        let before = position(dir.path()).unwrap();
        put(dir.path(), "00000000000000000007.log", b"longer");
        assert_ne!(position(dir.path()).unwrap(), before);
    }
}
