//! The log generation (design rule 3): whether a data directory still holds everything that it acknowledged.

use std::{collections::BTreeSet, fmt, path::Path};

use uuid::Uuid;

use super::properties;
use crate::{
    error::StorageError,
    fs::{Durability, read_small, write_atomic},
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
    /// Ids of all directories that this broker ever had data in; empty where it is this one alone.
    directories: BTreeSet<Uuid>,
    /// Ids of directories in which a write or a sync failed since they were last opened.
    failed: BTreeSet<Uuid>,
}

/// A directory as a start finds it.
pub(super) struct Seen {
    pub(super) directory_id: Uuid,
    pub(super) stored: Option<Boot>,
    /// Closed in order.
    pub(super) clean: bool,
}

/// What a start of a broker makes of its directories.
pub(super) struct Started {
    /// The new state of each, in their order.
    pub(super) boots: Vec<Boot>,
    /// Directories in which this broker had data, and that are not there.
    pub(super) lost: BTreeSet<Uuid>,
}

/// The state for this start. All directories of a broker have one generation, for that is what ISR entries name. It
/// rises where any of them may have lost what it acknowledged; a directory that is missing as a whole changes nothing
/// for the others: its partitions are known by having no log ([`Started::lost`]).
pub(super) fn start(seen: Vec<Seen>, boot_id: &str) -> Started {
    let stored = || seen.iter().filter_map(|one| one.stored.as_ref());
    let disk_id = stored().next().map_or_else(ids::random, |boot| boot.generation.disk_id);
    let unclean_starts = stored().map(|boot| boot.generation.unclean_starts).max().unwrap_or(0);
    let before = Generation { disk_id, unclean_starts };
    let failed: BTreeSet<Uuid> = stored().flat_map(|boot| &boot.failed).copied().collect();
    let is_doubtful = |one: &Seen| {
        one.stored.as_ref().is_some_and(|boot| {
            let cache_is_gone = !one.clean && (boot_id.is_empty() || boot.boot_id != boot_id);
            // Another generation: it was away while the others went on, or it was another broker's.
            cache_is_gone || failed.contains(&one.directory_id) || boot.generation != before
        })
    };
    let doubt = u32::from(seen.iter().any(is_doubtful));
    let generation = Generation { disk_id, unclean_starts: unclean_starts.saturating_add(doubt) };
    let present: BTreeSet<Uuid> = seen.iter().map(|one| one.directory_id).collect();
    let known: BTreeSet<Uuid> =
        stored().flat_map(|boot| &boot.directories).copied().chain(present.iter().copied()).collect();
    let lost: BTreeSet<Uuid> = known.difference(&present).copied().collect();
    let directories = if known.len() > 1 { known } else { BTreeSet::new() };
    let still_failed: BTreeSet<Uuid> = failed.difference(&present).copied().collect();
    let boots = seen
        .into_iter()
        .map(|one| {
            let trusted = one.stored.filter(|_| !failed.contains(&one.directory_id));
            Boot {
                generation,
                boot_id: boot_id.to_owned(),
                kafka_epoch: trusted.as_ref().and_then(|boot| boot.kafka_epoch),
                recovered_boot_id: trusted.map(|boot| boot.recovered_boot_id).unwrap_or_default(),
                directories: directories.clone(),
                failed: still_failed.clone(),
            }
        })
        .collect();
    Started { boots, lost }
}

impl Boot {
    /// As of another boot: what memory has of the files is not believed.
    pub(super) fn forgotten(self) -> Boot {
        Boot { boot_id: String::new(), recovered_boot_id: String::new(), ..self }
    }

    /// What is stored in a directory.
    pub(super) fn read(dir: &Path) -> Result<Option<Boot>, StorageError> {
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
            directories: id_set(&text, "directories").ok_or_else(|| bad("directories"))?,
            failed: id_set(&text, "failed.directories").ok_or_else(|| bad("failed.directories"))?,
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
        for (name, set) in [("directories", &self.directories), ("failed.directories", &self.failed)] {
            if !set.is_empty() {
                let texts: Vec<String> = set.iter().map(|id| ids::encode(*id)).collect();
                content.extend(properties::format(&[(name, &texts.join(","))]));
            }
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

    /// A write or a sync in that directory failed: what it acknowledged may be lost, and the next start is to know.
    pub(super) fn note_failure(&mut self, directory: Uuid) {
        self.failed.insert(directory);
    }

    /// Keeps the broker epoch of Kafka's marker, which is about to be removed.
    pub(super) fn keep_kafka_epoch(&mut self, epoch: Option<i64>) {
        self.kafka_epoch = epoch.or(self.kafka_epoch);
    }

    pub(super) fn kafka_epoch(&self) -> Option<i64> {
        self.kafka_epoch
    }
}

/// A set of ids, which may be missing; none where one is malformed.
fn id_set(text: &str, key: &str) -> Option<BTreeSet<Uuid>> {
    properties::get(text, key).map_or(Some(BTreeSet::new()), |ids| ids.split(',').map(ids::decode).collect())
}

#[cfg(test)]
mod tests;
