//! The directories of partitions: `topic-0`, and those that are on their way out.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use uuid::Uuid;

use super::{Home, LogDir};
use crate::{
    config::LogConfig,
    error::StorageError,
    fs::{self, Durability, failed, write_atomic},
    ids,
    log::{Log, LogStart, OpenMode, RecoveryReport},
    metadata,
};

/// Directories with it are deleted at the next start at the latest.
const DELETE_SUFFIX: &str = "-delete";
/// Directories with it belong to nobody and are kept for a person to look at.
const STRAY_SUFFIX: &str = "-stray";
/// Directories with it are copies that were not finished ([`LogDir::create_future`]).
const FUTURE_SUFFIX: &str = "-future";
/// In a partition's directory, while it may be in another log directory, too: the id of that one, whose copy counts no
/// more.
const MOVED_FROM: &str = "moved-from";
/// The longest name of a directory.
const MAX_NAME: usize = 255;

/// A topic's name and a partition's number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    topic: Arc<str>,
    partition: i32,
}

impl TopicPartition {
    /// A partition of a topic.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition's number.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The partition of a directory's name.
    pub(super) fn parse(name: &str) -> Option<TopicPartition> {
        let (topic, partition) = name.rsplit_once('-')?;
        let number: i32 = partition.parse().ok()?;
        // `-01` or `-+1` would not be found again under the name that this partition has.
        (number >= 0 && !topic.is_empty() && number.to_string() == partition)
            .then(|| TopicPartition::new(topic, number))
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A partition that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDir {
    /// The partition, by its directory's name.
    pub topic_partition: TopicPartition,
    /// The topic's id, where `partition.metadata` has it.
    pub topic_id: Option<Uuid>,
    /// The directory.
    pub path: PathBuf,
}

impl LogDir {
    /// The directory of a partition, whether it is there or not.
    pub fn partition_path(&self, tp: &TopicPartition) -> PathBuf {
        self.path.join(tp.to_string())
    }

    /// The partitions on disk.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn partitions(&self) -> Result<Vec<PartitionDir>, StorageError> {
        self.partitions_but(|_| false)
    }

    /// The partitions on disk but those that the caller knows, of which nothing is read.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn partitions_but(
        &self,
        is_known: impl Fn(&TopicPartition) -> bool,
    ) -> Result<Vec<PartitionDir>, StorageError> {
        let mut found = Vec::new();
        for (name, path) in subdirectories(&self.path)? {
            if let Some(topic_partition) = TopicPartition::parse(&name)
                && !super::kafka::is_metadata(topic_partition.topic())
                && !is_known(&topic_partition)
            {
                let topic_id = metadata::read(&path)?;
                found.push(PartitionDir { topic_partition, topic_id, path });
            }
        }
        Ok(found)
    }

    /// Directories that were set aside and wait for a person.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn strays(&self) -> Result<Vec<PathBuf>, StorageError> {
        let all = subdirectories(&self.path)?;
        Ok(all.into_iter().filter(|(name, _)| name.ends_with(STRAY_SUFFIX)).map(|(_, path)| path).collect())
    }

    /// Makes a partition's log.
    ///
    /// # Errors
    /// As [`Log::create`].
    pub fn create_log(
        &self,
        tp: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<Log, StorageError> {
        self.checkpoints.forget(tp)?;
        let log = Log::create(&self.partition_path(tp), Some(topic_id), config, now_ms)?;
        Ok(self.with_disk(tp, log))
    }

    /// A log of this directory shares its fate, and is flushed together with the others.
    fn with_disk(&self, tp: &TopicPartition, log: Log) -> Log {
        // A log that has just been opened is in no other directory.
        let _ = log.shared.disk.set(self.disk.clone());
        log.shared.keep_in(self.home(tp));
        log
    }

    /// Opens a partition's log as the checkpoints and the last shutdown call for.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_log(
        &self,
        tp: &TopicPartition,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<(Log, RecoveryReport), StorageError> {
        let (mut log, report) = Log::open(&self.partition_path(tp), config, self.log_start(tp), now_ms)
            .inspect_err(|error| self.home(tp).note_if_sync_failed(error))?;
        // Above the log's end they would hide from the next recovery what is appended now, or take it for committed.
        let noted = self.log_start(tp).recovery_point.max(self.high_watermark(tp));
        if noted > log.log_end_offset() {
            self.checkpoints.lower(tp, log.log_end_offset())?;
        }
        log.resume_cleaning_at(self.cleaner_offset(tp));
        Ok((self.with_disk(tp, log), report))
    }

    /// Takes a partition's directory out of the way, to be deleted. The answer is its new path, for
    /// [`remove_directory`], which can be slow and needs no lock. Call [`Log::delete`] first where it is open. After
    /// a power cut the directory may be back.
    ///
    /// # Errors
    /// The directory cannot be renamed.
    pub fn delete_partition(&self, tp: &TopicPartition) -> Result<PathBuf, StorageError> {
        self.rename_away(tp, DELETE_SUFFIX)
    }

    /// Takes a partition's directory out of the way, and keeps it.
    ///
    /// # Errors
    /// The directory cannot be renamed.
    pub fn set_aside(&self, tp: &TopicPartition) -> Result<PathBuf, StorageError> {
        let path = self.rename_away(tp, STRAY_SUFFIX)?;
        tracing::warn!(partition = %tp, path = %path.display(), "no topic has this partition; set aside");
        Ok(path)
    }

    /// Makes the log of a partition that is to move here. Until [`LogDir::adopt_future`] it is a copy, of which the next
    /// start learns by [`LogDir::futures`].
    ///
    /// # Errors
    /// As [`Log::create`].
    pub fn create_future(
        &self,
        tp: &TopicPartition,
        topic_id: Uuid,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<Log, StorageError> {
        let log = Log::create(&self.path_away(tp, FUTURE_SUFFIX), Some(topic_id), config, now_ms)?;
        Ok(self.with_disk(tp, log))
    }

    /// Copies that a former life began and did not finish: each is to be opened with [`LogDir::open_future`], or removed.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn futures(&self) -> Result<Vec<PartitionDir>, StorageError> {
        let mut found = Vec::new();
        for (name, path) in subdirectories(&self.path)? {
            if let Some(topic_partition) = partition_of_future(&name) {
                let topic_id = metadata::read(&path)?;
                found.push(PartitionDir { topic_partition, topic_id, path });
            }
        }
        Ok(found)
    }

    /// Opens a copy that a former life began. It was not closed, so all of it is verified.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_future(
        &self,
        future: &PartitionDir,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<Log, StorageError> {
        let start = LogStart {
            mode: OpenMode::Recover,
            recovery_point: 0,
            log_start_offset: 0,
            may_have_gaps: self.kafka_metadata().is_some(),
        };
        let (log, _) = Log::open(&future.path, config, start, now_ms)?;
        Ok(self.with_disk(&future.topic_partition, log))
    }

    /// Makes a copy the partition's log, durably, in the place of that in `from`. Call [`LogDir::finish_move`] when
    /// nobody uses the other one any more.
    ///
    /// # Errors
    /// Something cannot be written; the copy is of no use then, and the log in `from` is as before.
    pub fn adopt_future(
        &self,
        future: &mut Log,
        tp: &TopicPartition,
        from: &LogDir,
        now_ms: i64,
    ) -> Result<Log, StorageError> {
        future.flush()?;
        let (start, end) = (future.log_start_offset(), future.log_end_offset());
        future.close_clean()?;
        let marker = future.dir().join(MOVED_FROM);
        write_atomic(&marker, ids::encode(from.directory_id()).as_bytes(), Durability::Machine)?;
        fs::remove(&from.partition_path(tp).join(MOVED_FROM))?;
        self.checkpoints.note(tp, end, start)?;
        let path = self.partition_path(tp);
        fs::rename_dir(future.dir(), &path)?;
        let start = LogStart {
            mode: OpenMode::Clean,
            recovery_point: end,
            log_start_offset: start,
            may_have_gaps: false,
        };
        let opened =
            fs::sync_dir(&self.path).and_then(|()| Log::open(&path, future.config().clone(), start, now_ms));
        match opened {
            Ok((log, _)) => Ok(self.with_disk(tp, log)),
            Err(error) => {
                // From now on nobody may take it for the partition's log.
                fs::remove(&path.join(MOVED_FROM))?;
                self.delete_partition(tp)?;
                Err(error)
            }
        }
    }

    /// The partition's log is here, and that in `from` goes. The answer is the path of what is left of it, for
    /// [`remove_directory`].
    ///
    /// # Errors
    /// Something cannot be renamed or removed: the next start does it.
    pub fn finish_move(&self, tp: &TopicPartition, from: &LogDir) -> Result<PathBuf, StorageError> {
        let rest = from.delete_partition(tp)?;
        fs::sync_dir(&from.path)?;
        fs::remove(&self.partition_path(tp).join(MOVED_FROM))?;
        Ok(rest)
    }

    /// The id of the directory from which the partition was moved here, where that was not finished.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn moved_from(&self, tp: &TopicPartition) -> Result<Option<Uuid>, StorageError> {
        let found = fs::read_small(&self.partition_path(tp).join(MOVED_FROM))?;
        Ok(found.and_then(|text| ids::decode(String::from_utf8_lossy(&text).trim())))
    }

    fn home(&self, tp: &TopicPartition) -> Home {
        Home { dir: self.path.clone(), checkpoints: self.checkpoints.clone(), tp: tp.clone() }
    }

    /// Another name for a partition's directory.
    fn path_away(&self, tp: &TopicPartition, suffix: &str) -> PathBuf {
        let tail = format!(".{}{suffix}", Uuid::new_v4().simple());
        let room = MAX_NAME.saturating_sub(tail.len());
        // Kafka's topic names are ASCII, so any cut is between characters.
        let name: String = tp.to_string().chars().take(room).collect();
        self.path.join(format!("{name}{tail}"))
    }

    fn rename_away(&self, tp: &TopicPartition, suffix: &str) -> Result<PathBuf, StorageError> {
        let to = self.path_away(tp, suffix);
        fs::rename_dir(&self.partition_path(tp), &to)?;
        Ok(to)
    }
}

/// Removes a directory that [`LogDir::delete_partition`] has taken out of the way.
///
/// # Errors
/// A file cannot be removed; the next start tries again.
pub fn remove_directory(path: &Path) -> Result<(), StorageError> {
    fs::remove_dir_all(path)
}

/// The partition of a copy: `topic-0.<32 hex digits>-future`.
fn partition_of_future(name: &str) -> Option<TopicPartition> {
    let (partition, id) = name.strip_suffix(FUTURE_SUFFIX)?.rsplit_once('.')?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    TopicPartition::parse(partition).filter(|_| is_id)
}

/// Removes what was to be deleted in a former life, and copies of which the name does not tell whose they are.
pub(super) fn purge_deleted(dir: &Path) -> Result<(), StorageError> {
    for (name, path) in subdirectories(dir)? {
        let unknown = name.ends_with(FUTURE_SUFFIX) && partition_of_future(&name).is_none();
        let goes = name.ends_with(DELETE_SUFFIX) || unknown;
        if goes && TopicPartition::parse(&name).is_none() {
            remove_directory(&path)?;
        }
    }
    Ok(())
}

fn subdirectories(dir: &Path) -> Result<Vec<(String, PathBuf)>, StorageError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry.map_err(failed("list", dir))?;
        if entry.file_type().map_err(failed("stat", &entry.path()))?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}
