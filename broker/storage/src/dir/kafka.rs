//! A data directory that Apache Kafka (KRaft) has written, and may be started on again.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{LogDir, TopicPartition, meta};
use crate::{epochs::LeaderEpochs, error::StorageError, fs, metadata};

/// Topic of the quorum's log. Kafka passes over every folder of this topic but that of partition 0, which is read by
/// its controller and written by nobody else.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Folder of the quorum's log.
const METADATA_DIR: &str = "__cluster_metadata-0";

pub(super) fn has_metadata(dir: &Path) -> bool {
    dir.join(METADATA_DIR).is_dir()
}

/// Whether a folder is part of the cluster's metadata, not of a topic of clients.
pub(super) fn is_metadata(topic: &str) -> bool {
    topic == METADATA_TOPIC
}

/// The broker's id in `meta.properties`; none where there is no such file.
///
/// # Errors
/// The file does not say what it must.
pub fn node_id(dir: &Path) -> Result<Option<i32>, StorageError> {
    Ok(meta::Meta::load(dir)?.map(|meta| meta.node_id))
}

impl LogDir {
    /// The log of Kafka's metadata quorum, where the directory has one. It is Kafka's alone: to be read, not opened.
    pub fn kafka_metadata(&self) -> Option<PathBuf> {
        has_metadata(&self.path).then(|| self.path.join(METADATA_DIR))
    }

    /// Puts back what was set aside, by Kafka for one, which does so with every topic that its own metadata do not
    /// know: directories of a topic of that id, under their old names. The answer is the partitions that are back.
    ///
    /// # Errors
    /// A directory cannot be read or renamed.
    pub fn take_back(
        &self,
        is_wanted: impl Fn(&TopicPartition, Uuid) -> bool,
    ) -> Result<Vec<TopicPartition>, StorageError> {
        let mut back = Vec::new();
        for path in self.strays()? {
            // `topic-0.<32 hex digits>-stray`
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let tp = name.rsplit_once('.').and_then(|(name, _)| TopicPartition::parse(name));
            let (Some(tp), Some(id)) = (tp, metadata::read(&path)?) else { continue };
            let place = self.partition_path(&tp);
            if is_wanted(&tp, id) && !place.exists() {
                fs::rename_dir(&path, &place)?;
                back.push(tp);
            }
        }
        Ok(back)
    }

    /// The newest leader epoch that a partition's checkpoint tells of, without opening its log.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stored_leader_epoch(&self, tp: &TopicPartition) -> Result<Option<i32>, StorageError> {
        let epochs = LeaderEpochs::load(&self.partition_path(tp), false)?;
        Ok(epochs.and_then(|epochs| epochs.latest()).map(|entry| entry.epoch))
    }
}
