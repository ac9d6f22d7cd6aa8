//! All data directories of one broker (`log.dirs`): those that are in service, and those that are not.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Claimed, Generation, LogDir, Owner, TopicPartition, generation, meta::Meta};
use crate::{error::StorageError, fs};

/// The data directories of a broker. They have one generation.
#[derive(Debug)]
pub struct LogDirs {
    dirs: Vec<Arc<LogDir>>,
    /// Directories that could not be opened, and why.
    unopened: Vec<(PathBuf, StorageError)>,
    /// Whether a directory that this broker had data in is not there.
    lost: bool,
}

impl From<LogDir> for LogDirs {
    fn from(dir: LogDir) -> LogDirs {
        LogDirs { dirs: vec![Arc::new(dir)], unopened: Vec::new(), lost: false }
    }
}

impl LogDirs {
    /// Opens all of them. One whose disk refuses is left out, as long as there is another.
    ///
    /// # Errors
    /// As [`LogDir::open`]: what is wrong with the only one, or is no trouble of a disk.
    pub fn open(paths: &[PathBuf], owner: Owner<'_>) -> Result<LogDirs, StorageError> {
        let cluster_id = owner.cluster_id.map(str::to_owned).or_else(|| known_cluster(paths));
        let (mut claimed, mut unopened) = (Vec::new(), Vec::new());
        let mut cluster_id = cluster_id;
        for path in paths {
            let owner = Owner { cluster_id: cluster_id.as_deref(), ..owner };
            let claim = Claimed::claim(path, owner).and_then(|one| Ok((one.seen()?, one)));
            match claim {
                Ok((seen, one)) => {
                    cluster_id.get_or_insert_with(|| one.meta.cluster_id.clone());
                    claimed.push((seen, one));
                }
                Err(error) => refuse(path, error, &mut unopened)?,
            }
        }
        let (seen, claimed): (Vec<_>, Vec<Claimed>) = claimed.into_iter().unzip();
        let started = generation::start(seen, &fs::boot_id());
        let mut dirs = Vec::new();
        for (one, boot) in claimed.into_iter().zip(started.boots) {
            let path = one.path.clone();
            match one.open(boot) {
                Ok(dir) => dirs.push(Arc::new(dir)),
                Err(error) => refuse(&path, error, &mut unopened)?,
            }
        }
        if dirs.is_empty() {
            let nothing = || StorageError::BadFile {
                path: PathBuf::new(),
                reason: "no log directory is given".to_owned(),
            };
            return Err(unopened.into_iter().next().map_or_else(nothing, |(_, error)| error));
        }
        for (path, error) in &unopened {
            tracing::error!(
                directory = %path.display(), %error,
                "LOG DIRECTORY OUT OF SERVICE: it cannot be opened, and its partitions are offline; look at the disk, \
                 then restart the broker"
            );
        }
        Ok(LogDirs { dirs, lost: !started.lost.is_empty() || !unopened.is_empty(), unopened })
    }

    /// All that were opened, in service or not any more.
    pub fn opened(&self) -> &[Arc<LogDir>] {
        &self.dirs
    }

    /// Those that are in service.
    pub fn in_service(&self) -> impl Iterator<Item = &Arc<LogDir>> {
        self.dirs.iter().filter(|dir| dir.failure().is_none())
    }

    /// Those that are not, and why.
    pub fn out_of_service(&self) -> impl Iterator<Item = (&Path, String)> {
        let unopened = self.unopened.iter().map(|(path, error)| (path.as_path(), error.to_string()));
        let failed = self.dirs.iter().filter_map(|dir| Some((dir.path(), dir.failure()?.to_owned())));
        unopened.chain(failed)
    }

    /// Whether a partition without a log may have one in a directory that is missing.
    pub fn misses_some(&self) -> bool {
        self.lost
    }

    /// The one at this path.
    pub fn at(&self, path: &Path) -> Option<&Arc<LogDir>> {
        self.dirs.iter().find(|dir| dir.path() == path)
    }

    /// Those in service that have a log of this partition; more than one is a mistake that somebody made.
    pub fn holding(&self, tp: &TopicPartition) -> Vec<&Arc<LogDir>> {
        self.in_service().filter(|dir| dir.partition_path(tp).exists()).collect()
    }

    /// The generation of all of them.
    pub fn generation(&self) -> Option<Generation> {
        self.dirs.first().map(|dir| dir.generation())
    }

    /// Writes down, wherever that is possible, that a directory went out of service: what it acknowledged may be lost,
    /// and the next start has another generation.
    pub fn note_failure(&self, failed: &LogDir) {
        for dir in &self.dirs {
            let mut boot = dir.boot.lock();
            boot.note_failure(failed.directory_id());
            if let Err(error) = boot.store(dir.path()) {
                tracing::debug!(directory = %dir.path().display(), %error, "the failure is not noted here");
            }
        }
    }
}

/// Leaves a directory out where its disk is the trouble.
fn refuse(
    path: &Path,
    error: StorageError,
    unopened: &mut Vec<(PathBuf, StorageError)>,
) -> Result<(), StorageError> {
    if !matches!(error, StorageError::Io { .. } | StorageError::DirNotWritable { .. }) {
        return Err(error);
    }
    unopened.push((path.to_path_buf(), error));
    Ok(())
}

/// The cluster that one of them belongs to already.
fn known_cluster(paths: &[PathBuf]) -> Option<String> {
    paths.iter().find_map(|path| Some(Meta::load(path).ok()??.cluster_id))
}
