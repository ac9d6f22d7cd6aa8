//! Data directories: whose they are, what they remember of their last life, and the partitions in them.

mod checkpoints;
mod clean_shutdown;
mod disk;
mod generation;
mod home;
mod kafka;
mod lock;
mod meta;
mod partitions;
mod properties;
mod room;
mod set;
mod sync_failed;

pub(crate) use disk::Disk;
pub(crate) use home::Home;

pub use generation::Generation;
pub use kafka::node_id;
pub use partitions::{PartitionDir, TopicPartition, remove_directory};
pub use room::Space;
pub use set::LogDirs;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::{error::StorageError, fs, log::OpenMode};

use checkpoints::Checkpoints;
use generation::{Boot, Seen};
use lock::DirLock;
use meta::Meta;

/// Whose data directory it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The cluster's id; none: what is on disk, or a new one.
    pub cluster_id: Option<&'a str>,
    /// The broker's id (`node.id`).
    pub node_id: i32,
}

/// A data directory that this process has locked. Opening it removes the clean-shutdown marker, durably, so that
/// appends may follow.
#[derive(Debug)]
pub struct LogDir {
    path: PathBuf,
    meta: Meta,
    boot: Mutex<Boot>,
    mode: OpenMode,
    checkpoints: Arc<Checkpoints>,
    disk: Arc<Disk>,
    _lock: DirLock,
}

/// A directory that is locked and not open yet: nothing in it was changed, but for what names its owner.
#[derive(Debug)]
struct Claimed {
    path: PathBuf,
    meta: Meta,
    clean: bool,
    disk: Arc<Disk>,
    lock: DirLock,
}

impl Claimed {
    fn claim(path: &Path, owner: Owner<'_>) -> Result<Claimed, StorageError> {
        fs::create_dir_all(path)
            .map_err(|source| StorageError::DirNotWritable { path: path.to_path_buf(), source })?;
        let lock = DirLock::acquire(path)?;
        let disk = Disk::open(path)?;
        let meta = Meta::load_or_create(path, owner)?;
        let clean = clean_shutdown::exists(path) && !sync_failed::is_noted(path);
        Ok(Claimed { path: path.to_path_buf(), meta, clean, disk, lock })
    }

    fn seen(&self) -> Result<Seen, StorageError> {
        let mut stored = Boot::read(&self.path)?;
        if sync_failed::is_noted(&self.path) {
            stored = stored.map(Boot::forgotten);
        }
        Ok(Seen { directory_id: self.meta.directory_id, stored, clean: self.clean })
    }

    fn open(self, mut boot: Boot) -> Result<LogDir, StorageError> {
        let Claimed { path, meta, clean, disk, lock } = self;
        if kafka::has_metadata(&path) {
            boot.keep_kafka_epoch(clean_shutdown::broker_epoch(&path)?);
        }
        let mode = match (clean, boot.recovered_on_this_boot()) {
            (true, _) => OpenMode::Clean,
            (false, true) => OpenMode::SameBoot,
            (false, false) => OpenMode::Recover,
        };
        // The generation first: a crash between the two must not look like a crash with the old one.
        boot.store(&path)?;
        clean_shutdown::remove_marker(&path)?;
        partitions::purge_deleted(&path)?;
        let checkpoints = Arc::new(Checkpoints::load(&path)?);
        if mode == OpenMode::Recover {
            // Logs may have lost what they say is committed, and get something else in its place.
            checkpoints.forget_high_watermarks()?;
        }
        Ok(LogDir { path, meta, boot: Mutex::new(boot), mode, checkpoints, disk, _lock: lock })
    }
}

impl LogDir {
    /// Opens the only data directory of a broker, made where it is missing.
    ///
    /// # Errors
    /// [`StorageError::DirInUse`], [`StorageError::DirNotWritable`], [`StorageError::WrongOwner`], or a file in it
    /// that cannot be read.
    pub fn open(path: &Path, owner: Owner<'_>) -> Result<LogDir, StorageError> {
        let claimed = Claimed::claim(path, owner)?;
        let mut started = generation::start(vec![claimed.seen()?], &fs::boot_id());
        match started.boots.pop() {
            Some(boot) => claimed.open(boot),
            None => {
                Err(StorageError::BadFile { path: path.to_path_buf(), reason: "no generation".to_owned() })
            }
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster's id.
    pub fn cluster_id(&self) -> &str {
        &self.meta.cluster_id
    }

    /// The broker's id.
    pub fn node_id(&self) -> i32 {
        self.meta.node_id
    }

    /// The directory's own id (KIP-858).
    pub fn directory_id(&self) -> Uuid {
        self.meta.directory_id
    }

    /// What changes whenever the directory may have lost acknowledged records.
    pub fn generation(&self) -> Generation {
        self.boot.lock().generation()
    }

    /// How much of the logs can be relied on in this start.
    pub fn open_mode(&self) -> OpenMode {
        self.mode
    }

    /// All logs of this start are open: after a crash of this process alone, the next start can rely on what is
    /// there. Without it, it verifies as much as this one did.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn mark_recovered(&self) -> Result<(), StorageError> {
        let mut boot = self.boot.lock();
        boot.mark_recovered();
        boot.store(&self.path)?;
        sync_failed::forget(&self.path)
    }

    /// All logs are closed in order ([`Log::close_clean`](crate::Log::close_clean)): syncs everything in the
    /// directory at once and leaves the marker, so that the next start verifies nothing. Nothing may be appended
    /// after it.
    ///
    /// # Errors
    /// Something cannot be synced, or the marker cannot be written.
    pub fn mark_clean_shutdown(&self, broker_epoch: i64) -> Result<(), StorageError> {
        self.sync_all()?;
        // Kafka's controller takes another epoch than the one that it gave for a sign that the stop was not clean.
        clean_shutdown::write(&self.path, self.boot.lock().kafka_epoch().unwrap_or(broker_epoch))
    }

    /// Everything in the directory is made durable with one system call, which is cheaper than a call for each of
    /// many files.
    ///
    /// # Errors
    /// The operating system refused, or could not write something at any time since the directory was opened.
    pub fn sync_all(&self) -> Result<(), StorageError> {
        self.disk.check()?;
        self.disk.sync_all().inspect_err(|_| sync_failed::note(&self.path))
    }

    /// Size of the directory's file system.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn space(&self) -> Result<Space, StorageError> {
        self.disk.space()
    }

    /// Asks the file system how much room there is: records of clients are refused where they would need `reserved`
    /// bytes (`log.dir.reserved.bytes`; -1: a twentieth, at most 1 GiB). To be called from time to time.
    pub fn look_for_room(&self, reserved: i64) {
        self.disk.look_for_room(reserved);
    }

    /// Lets so many bytes of logs be on their way to the disk at a time, ahead of any sync; 0 leaves it to the kernel when
    /// they are written.
    pub fn limit_write_back(&self, bytes_in_flight: u64) {
        self.disk.write_back().limit(bytes_in_flight);
    }

    /// Whether records of clients are refused because nothing but the reserve is left.
    pub fn is_full(&self) -> bool {
        self.disk.is_full()
    }

    /// Why the directory is out of service, if it is: a write or a sync in it failed. It stays so.
    pub fn failure(&self) -> Option<&str> {
        self.disk.failure()
    }

    /// Takes the directory out of service, where trouble with it was found elsewhere.
    pub fn fail(&self, error: &StorageError) {
        if error.is_failed_disk() {
            self.disk.fail(&error.to_string());
        }
    }

    /// Takes the directory out of service, where a file in it could not be read by who sends it as it lies there. Another
    /// error than one of the disk, or a file of another place, is nothing to it.
    pub fn read_failed(&self, file: &Path, source: &io::Error) {
        let is_mine = || std::fs::canonicalize(&self.path).is_ok_and(|mine| file.starts_with(mine));
        if source.raw_os_error() == Some(libc::EIO) && is_mine() {
            self.disk.fail(&format!("cannot read {}: {source}", file.display()));
        }
    }

    /// Takes the directory out of service, where a file of another's in it could not be read or written. A lack of room,
    /// descriptors or memory is nothing to it.
    pub fn file_failed(&self, action: &'static str, file: &Path, source: io::Error) {
        self.fail(&StorageError::io(action, file, source));
    }

    /// Calls `listener` once, from any thread, when the directory goes out of service. The first listener stays.
    pub fn on_failure(&self, listener: impl Fn() + Send + Sync + 'static) {
        self.disk.on_failure(Box::new(listener));
    }
}

impl Drop for LogDir {
    fn drop(&mut self) {
        self.disk.stop();
    }
}

#[cfg(test)]
mod failures;
#[cfg(test)]
mod tests;
