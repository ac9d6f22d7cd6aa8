//! The file of what was seen last.
//!
//! Text, a record a line: the CRC-32 of the rest in eight hex digits, a space, one JSON object. The first record is the
//! header, with the format's version and the log generation of the data directory. Later records go before earlier ones.
//! The last record of each write is the write's number.
//! What a crash left of the last write ends the file where it is read.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use milena_crds::{
    partition::{Generation, PartitionState},
    settings::Config,
    topic::MAX_PARTITIONS,
};
use serde::{Deserialize, Serialize};
use tracing::warn;
use uuid::Uuid;

use crate::cluster::{BrokerInfo, ClusterImage, Topic};

/// Version of the format.
const VERSION: u32 = 1;
/// Longest record that is read, in bytes: a topic of 10,000 partitions with many replicas each.
const MAX_RECORD: u64 = 64 * 1024 * 1024;
/// A file shorter than this is not written anew, in bytes.
const SMALL: u64 = 64 * 1024;

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Another version of Milena wrote it.
    #[error(
        "{path} has format {version}, and this version of Milena reads {VERSION}: move it away to begin anew"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// All directories are out of service.
    #[error("no log directory is in service")]
    NoDirectory,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Record {
    /// The cluster's id and settings.
    Cluster {
        /// Kafka's cluster id.
        id: String,
        /// Settings of all brokers.
        settings: Config,
    },
    /// A broker.
    Broker {
        /// Broker id.
        id: i32,
        /// Host name for clients.
        host: Option<String>,
        /// Port for clients.
        port: u16,
        /// Failure domain.
        rack: Option<String>,
    },
    /// A broker that is no longer there.
    BrokerGone {
        /// Broker id.
        id: i32,
    },
    /// A topic with the states of its partitions, as text.
    Topic {
        /// Topic id.
        id: Uuid,
        /// Kafka's name.
        name: String,
        /// Settings of its own.
        config: Config,
        /// Replicas that were asked for.
        replicas: i32,
        /// By partition number.
        partitions: Vec<Option<String>>,
    },
    /// A topic that is no longer there.
    TopicGone {
        /// Topic id.
        id: Uuid,
    },
    /// A topic that went without its deletion being recorded; what is known of it stays.
    TopicMissing {
        /// Topic id.
        id: Uuid,
    },
    /// The broker epoch of the life that wrote this.
    BrokerEpoch {
        /// leaseTransitions.
        epoch: i32,
    },
    /// The end of a write.
    Written {
        /// Higher than that of each write before.
        number: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    generation: String,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Content {
    /// Of the data directory when it was written; none where there was no file.
    pub generation: Option<Generation>,
    /// Number of the last whole write.
    pub number: u64,
    /// Oldest first.
    pub records: Vec<Record>,
}

/// The file, as far as it was written in this life.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    generation: Generation,
    open: Option<fs::File>,
    /// Bytes of the last whole write, and in all.
    whole: u64,
    length: u64,
}

impl File {
    /// Reads the file at `path`; none is an empty one.
    ///
    /// # Errors
    /// It is there and cannot be read, or is of an unknown format.
    pub fn open(path: PathBuf, generation: Generation) -> Result<(File, Content), FileError> {
        let content = match fs::File::open(&path) {
            Ok(file) => read(&path, file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => return Err(failed("open", &path)(error)),
        };
        Ok((File { path, generation, open: None, whole: 0, length: 0 }, content))
    }

    /// From here on what is appended fails as it does in that file.
    #[cfg(test)]
    pub(super) fn let_writes_fail(&mut self, as_in: &str) {
        self.open = Some(OpenOptions::new().write(true).open(as_in).unwrap());
    }

    /// Whether more than half of a file that is not small is superseded.
    pub fn is_mostly_old(&self) -> bool {
        self.length > SMALL.max(self.whole.saturating_mul(2))
    }

    /// Adds records; `durable`: they are on the disk when this ends.
    ///
    /// # Errors
    /// The operating system refused; what is in the file now is unknown.
    pub fn append(&mut self, records: &[Record], durable: bool) -> Result<(), FileError> {
        let Some(file) = &mut self.open else {
            return Err(failed("append to", &self.path)(io::ErrorKind::NotFound.into()));
        };
        let mut bytes = Vec::new();
        for record in records {
            line(&mut bytes, record).map_err(failed("write", &self.path))?;
        }
        file.write_all(&bytes).map_err(failed("write", &self.path))?;
        if durable {
            file.sync_data().map_err(failed("sync", &self.path))?;
        }
        self.length = self.length.saturating_add(length(&bytes));
        Ok(())
    }

    /// Puts a file with these records in the place of the old one; what a crash leaves is one of the two.
    ///
    /// # Errors
    /// The operating system refused; the old file is still there.
    pub fn replace(&mut self, records: impl Iterator<Item = Record>) -> Result<(), FileError> {
        self.open = None;
        let draft = self.path.with_extension("new");
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft);
        let mut out = BufWriter::new(file.map_err(failed("make", &draft))?);
        let mut written = 0;
        let mut put = |bytes: &[u8]| {
            written += length(bytes);
            out.write_all(bytes)
        };
        let mut bytes = Vec::new();
        let header = Header { version: VERSION, generation: self.generation.to_string() };
        line(&mut bytes, &header).and_then(|()| put(&bytes)).map_err(failed("write", &draft))?;
        for record in records {
            bytes.clear();
            line(&mut bytes, &record).and_then(|()| put(&bytes)).map_err(failed("write", &draft))?;
        }
        let file = out.into_inner().map_err(|error| failed("write", &draft)(error.into_error()))?;
        file.sync_data().map_err(failed("sync", &draft))?;
        fs::rename(&draft, &self.path).map_err(failed("rename", &draft))?;
        if let Some(folder) = self.path.parent() {
            fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))?;
        }
        // The descriptor goes on at the end of what was written.
        self.open = Some(file);
        (self.whole, self.length) = (written, written);
        Ok(())
    }
}

fn line(out: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(value)?;
    write!(out, "{:08x} ", crc32fast::hash(&json))?;
    out.extend_from_slice(&json);
    out.push(b'\n');
    Ok(())
}

fn read(path: &Path, file: fs::File) -> Result<Content, FileError> {
    let mut reader = BufReader::new(file);
    let mut content = Content::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        reader.by_ref().take(MAX_RECORD).read_until(b'\n', &mut bytes).map_err(failed("read", path))?;
        if bytes.is_empty() {
            return Ok(content);
        }
        let Some(json) = checked(&bytes) else {
            warn!(path = %path.display(), records = content.records.len(), "the end of the file is damaged and left out");
            return Ok(content);
        };
        if content.generation.is_none() {
            let Ok(header) = serde_json::from_slice::<Header>(json) else { return Ok(content) };
            if header.version != VERSION {
                return Err(FileError::Version { path: path.to_owned(), version: header.version });
            }
            let Ok(generation) = header.generation.parse() else { return Ok(content) };
            content.generation = Some(generation);
        } else if let Ok(record) = serde_json::from_slice(json) {
            match record {
                Record::Written { number } => content.number = content.number.max(number),
                record => content.records.push(record),
            }
        } else {
            warn!(path = %path.display(), "a record that cannot be read is left out");
        }
    }
}

/// The JSON of a whole line whose checksum is right.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
    (u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(json)).then_some(json)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { action, path, source }
}

impl Record {
    /// The cluster's id and settings.
    pub fn cluster(image: &ClusterImage) -> Record {
        Record::Cluster { id: image.cluster_id.to_string(), settings: image.settings.as_ref().clone() }
    }

    /// A broker.
    pub fn of_broker(id: i32, broker: &BrokerInfo) -> Record {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        Record::Broker { id, host: text(&broker.host), port: broker.port, rack: text(&broker.rack) }
    }

    /// A topic.
    pub fn of_topic(topic: &Topic) -> Record {
        Record::Topic {
            id: topic.id,
            name: topic.name.to_string(),
            config: topic.config.clone(),
            replicas: topic.replicas,
            partitions: topic
                .partitions
                .iter()
                .map(|state| state.as_ref().map(PartitionState::to_string))
                .collect(),
        }
    }

    /// The broker of a record about one. Nobody knows whether it still works; as long as nobody does, clients may try.
    pub fn broker(&self) -> Option<BrokerInfo> {
        let Record::Broker { host, port, rack, .. } = self else { return None };
        let text = |text: &Option<String>| text.as_deref().map(Arc::from);
        Some(BrokerInfo {
            host: text(host),
            port: *port,
            rack: text(rack),
            pod_ip: None,
            alive: true,
            offline: Arc::default(),
        })
    }

    /// The topic of a record about one.
    pub fn topic(&self) -> Option<Topic> {
        let Record::Topic { id, name, config, replicas, partitions } = self else { return None };
        let most = usize::try_from(MAX_PARTITIONS).unwrap_or(usize::MAX);
        let state = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        Some(Topic {
            id: *id,
            name: Arc::from(name.as_str()),
            config: config.clone(),
            replicas: *replicas,
            partitions: partitions.iter().take(most).map(state).collect(),
        })
    }
}
