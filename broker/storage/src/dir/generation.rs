//! The log generation (design rule 3): whether a data directory still holds everything that it acknowledged.

use std::{fmt, path::Path};

use uuid::Uuid;

use super::properties;
use crate::{
    error::StorageError,
    fs::{Durability, boot_id, read_small, write_atomic},
    ids,
};

const FILE_NAME: &str = "log-generation";

/// A disk and how often it was started without having been shut down in order, on another boot of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation {
    /// Drawn at random when the directory was made.
    pub disk_id: Uuid,
    /// Starts at which the page cache of the former life was gone.
    pub unclean_starts: u32,
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", ids::encode(self.disk_id), self.unclean_starts)
    }
}

/// The content of the `log-generation` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Boot {
    generation: Generation,
    /// Boot of the machine in which the directory was last opened; empty where that is not known.
    boot_id: String,
    /// Boot in which all logs were last known to be whole.
    recovered_boot_id: String,
    /// Broker epoch that Apache Kafka left in its marker of a clean stop, where the directory is shared with it.
    kafka_epoch: Option<i64>,
}

impl Boot {
    /// The state for this start.
    pub(super) fn load(dir: &Path, clean: bool) -> Result<Boot, StorageError> {
        let boot_id = boot_id();
        Ok(match Boot::read(dir)? {
            Some(stored) => stored.started(clean, boot_id),
            None => Boot {
                generation: Generation { disk_id: ids::random(), unclean_starts: 0 },
                boot_id,
                recovered_boot_id: String::new(),
                kafka_epoch: None,
            },
        })
    }

    /// What a start makes of the stored state.
    fn started(self, clean: bool, boot_id: String) -> Boot {
        let same_boot = !boot_id.is_empty() && boot_id == self.boot_id;
        let lost = u32::from(!clean && !same_boot);
        let unclean_starts = self.generation.unclean_starts.saturating_add(lost);
        Boot { generation: Generation { unclean_starts, ..self.generation }, boot_id, ..self }
    }

    fn read(dir: &Path) -> Result<Option<Boot>, StorageError> {
        let path = dir.join(FILE_NAME);
        let Some(bytes) = read_small(&path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let field = |key: &str| {
            properties::get(&text, key).ok_or_else(|| StorageError::BadFile {
                path: path.clone(),
                reason: format!("{key} is missing"),
            })
        };
        let bad =
            |key: &str| StorageError::BadFile { path: path.clone(), reason: format!("{key} is malformed") };
        if field("version")? != "1" {
            return Err(bad("version"));
        }
        Ok(Some(Boot {
            generation: Generation {
                disk_id: ids::decode(field("disk.id")?).ok_or_else(|| bad("disk.id"))?,
                unclean_starts: field("unclean.starts")?.parse().map_err(|_| bad("unclean.starts"))?,
            },
            boot_id: field("boot.id")?.to_owned(),
            recovered_boot_id: field("recovered.boot.id")?.to_owned(),
            kafka_epoch: properties::get(&text, "kafka.broker.epoch").and_then(|epoch| epoch.parse().ok()),
        }))
    }

    /// Writes it down, if it differs from what is on disk: a start on a full disk writes nothing.
    pub(super) fn store(&self, dir: &Path) -> Result<(), StorageError> {
        if Boot::read(dir)?.as_ref() == Some(self) {
            return Ok(());
        }
        let mut content = properties::format(&[
            ("version", "1"),
            ("disk.id", &ids::encode(self.generation.disk_id)),
            ("unclean.starts", &self.generation.unclean_starts.to_string()),
            ("boot.id", &self.boot_id),
            ("recovered.boot.id", &self.recovered_boot_id),
        ]);
        if let Some(epoch) = self.kafka_epoch {
            content.extend(properties::format(&[("kafka.broker.epoch", &epoch.to_string())]));
        }
        write_atomic(&dir.join(FILE_NAME), &content, Durability::Machine)
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether all logs were whole at some time in this boot, so that all written since is in the page cache.
    pub(super) fn recovered_on_this_boot(&self) -> bool {
        !self.boot_id.is_empty() && self.boot_id == self.recovered_boot_id
    }

    pub(super) fn mark_recovered(&mut self) {
        self.recovered_boot_id = self.boot_id.clone();
    }

    /// Keeps the broker epoch of Kafka's marker, which is about to be removed.
    pub(super) fn keep_kafka_epoch(&mut self, epoch: Option<i64>) {
        self.kafka_epoch = epoch.or(self.kafka_epoch);
    }

    pub(super) fn kafka_epoch(&self) -> Option<i64> {
        self.kafka_epoch
    }
}

#[cfg(test)]
mod tests;
