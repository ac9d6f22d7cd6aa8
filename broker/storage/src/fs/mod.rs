//! File operations. All that this crate does to files goes through here, so that tests can let any of it fail.

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
pub(crate) mod faulty;
mod range;
mod sys;

use std::{
    fs::{File, ReadDir},
    io::{self, ErrorKind, IoSlice},
    path::{Path, PathBuf},
};

use rustix::io::Errno;

#[cfg(test)]
use faulty as os;
#[cfg(not(test))]
use sys as os;

use crate::{dir::Space, error::StorageError, num::to_u64};

/// The largest small file (checkpoint, snapshot, properties) that is read.
const MAX_SMALL_FILE: u64 = 256 << 20;

/// What a file is opened for. Each may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading alone.
    Read,
    /// Writing, where it is there.
    Write,
    /// Writing; made where it is missing, never shortened.
    Create,
    /// Writing; made where it is missing, emptied where it is not.
    Replace,
}

/// Turns an I/O error into one that says what was tried on which file.
pub(crate) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StorageError + 'a {
    move |source| StorageError::io(action, path, source)
}

/// As [`failed`] for a sync: a full disk is no excuse, for what the kernel had taken may be gone.
pub(crate) fn not_synced<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StorageError + 'a {
    move |source| StorageError::not_synced(action, path, source)
}

/// Opens a file.
pub(crate) fn open(path: &Path, access: Access) -> io::Result<File> {
    os::open(path, access)
}

/// Opens a file to read it; none where there is none.
pub(crate) fn open_existing(path: &Path) -> Result<Option<File>, StorageError> {
    match os::open(path, Access::Read) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::io("open", path, error)),
    }
}

/// Reads a small file whole; none where there is none.
pub(crate) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    let Some(file) = open_existing(path)? else { return Ok(None) };
    // Most of them fit, and are read with one call and one more that finds the end.
    let mut bytes = Vec::with_capacity(512);
    let mut position = 0;
    while position < MAX_SMALL_FILE {
        bytes.reserve(1);
        match os::pread(&file, &mut bytes, position) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => position = to_u64(bytes.len()),
            Err(error) => return Err(StorageError::io("read", path, error.into())),
        }
    }
    Ok(Some(bytes))
}

/// Whether a file is to be on disk, or only with the operating system, when a call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Survives the process.
    Process,
    /// Survives the machine.
    Machine,
}

/// Writes a small file in place.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = os::open(path, Access::Replace)?;
    write_at(&file, 0, bytes, &[])
}

/// Writes over the beginning of a small file; false where there is none. A process that dies leaves all of it or nothing,
/// as long as it is within a page.
pub(crate) fn write_over(path: &Path, bytes: &[u8]) -> Result<bool, StorageError> {
    match os::open(path, Access::Write) {
        Ok(file) => write_at(&file, 0, bytes, &[]).map(|()| true).map_err(failed("write", path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StorageError::io("open", path, error)),
    }
}

/// Puts a file in place whole: whoever reads it sees the old content or the new.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), StorageError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let tmp = PathBuf::from(name);
    let written = os::open(&tmp, Access::Replace).and_then(|file| {
        write_at(&file, 0, bytes, &[])?;
        if durability == Durability::Machine { os::sync_data(&file) } else { Ok(()) }
    });
    if let Err(error) = written {
        // A torn temporary file is worth nothing, and its space may be what is missing.
        let _ = os::remove_file(&tmp);
        return Err(StorageError::io("write", tmp, error));
    }
    os::rename(&tmp, path).map_err(failed("rename to", path))?;
    match (durability, path.parent()) {
        (Durability::Machine, Some(dir)) => sync_dir(dir),
        _ => Ok(()),
    }
}

/// Makes a file's content durable, and its length as far as that is needed to read it.
pub(crate) fn sync_data(file: &File) -> io::Result<()> {
    os::sync_data(file)
}

/// Makes all of a file durable.
pub(crate) fn sync_all(file: &File) -> io::Result<()> {
    os::sync_all(file)
}

/// Has the next reads see what is on the disk. After a failed sync memory may have what never got there.
pub(crate) fn drop_cache(file: &File) -> io::Result<()> {
    os::drop_cache(file).map_err(io::Error::from)
}

/// Makes a file durable, if there is one.
pub(crate) fn sync_existing(path: &Path) -> Result<(), StorageError> {
    match open_existing(path)? {
        Some(file) => os::sync_data(&file).map_err(not_synced("sync", path)),
        None => Ok(()),
    }
}

/// Makes creations, renames and removals in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StorageError> {
    os::sync_dir(path).map_err(not_synced("sync directory", path))
}

/// Opens a directory, for [`sync_fs`].
pub(crate) fn open_dir(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Makes everything on the file system of an open directory durable. An error may be that of a write at any time since
/// the directory was opened: each is told once to each file that was open then.
pub(crate) fn sync_fs(dir: &File, path: &Path) -> Result<(), StorageError> {
    os::sync_fs(dir).map_err(not_synced("sync the file system of", path))
}

/// Size of the file system of an open directory, and what of it may still be written.
pub(crate) fn space(dir: &File) -> io::Result<Space> {
    os::space(dir)
}

/// Removes a file; one that is gone already is no error.
pub(crate) fn remove(path: &Path) -> Result<(), StorageError> {
    match os::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StorageError::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Renames a file; one that is not there is no error.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    match os::rename(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StorageError::io("rename", from, error)),
        _ => Ok(()),
    }
}

/// Renames a directory.
pub(crate) fn rename_dir(from: &Path, to: &Path) -> Result<(), StorageError> {
    os::rename(from, to).map_err(failed("rename", from))
}

/// Makes a directory, and those above it.
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    os::create_dir_all(path)
}

/// Removes a directory with all in it; one that is gone already is no error.
pub(crate) fn remove_dir_all(path: &Path) -> Result<(), StorageError> {
    match os::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(StorageError::io("remove directory", path, error))
        }
        _ => Ok(()),
    }
}

/// The entries of a directory.
pub(crate) fn read_dir(path: &Path) -> Result<ReadDir, StorageError> {
    os::read_dir(path).map_err(failed("list", path))
}

/// The id of the machine's boot; empty where there is none.
pub(crate) fn boot_id() -> String {
    os::boot_id()
}

/// Opens a file for reading and writing, made where it is missing, never shortened.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    os::open(path, Access::Create)
}

/// Bytes of a file; 0 where there is none.
pub(crate) fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// Bytes of an open file.
pub(crate) fn len(file: &File) -> io::Result<u64> {
    file.metadata().map(|meta| meta.len())
}

/// Says when a file was last modified, ms since the epoch.
pub(crate) fn set_modified(file: &File, ms: i64) -> io::Result<()> {
    os::set_modified(file, u64::try_from(ms).unwrap_or(0))
}

/// Cuts or extends a file.
pub(crate) fn set_len(file: &File, len: u64) -> io::Result<()> {
    os::set_len(file, len)
}

/// Takes disk space for a part of a file, whose length stays.
pub(crate) fn allocate(file: &File, position: u64, len: u64) -> io::Result<()> {
    os::allocate(file, position, len).map_err(io::Error::from)
}

/// Starts to write the dirty pages of a part of a file to the disk, and does not wait for them.
pub(crate) fn start_write_back(file: &File, position: u64, len: u64) -> io::Result<()> {
    range::start_write_back(file, position, len)
}

/// Waits until the pages of a part of a file whose write-back was started are with the disk. That makes nothing durable:
/// neither the file's length nor the disk's own memory is synced.
pub(crate) fn wait_for_write_back(file: &File, position: u64, len: u64) -> io::Result<()> {
    range::wait_for_write_back(file, position, len)
}

/// Appends up to `len` bytes from `position` to `buffer`, fewer only at the end of the file. Memory is not
/// zeroed first.
pub(crate) fn read_at(file: &File, position: u64, len: usize, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let goal = buffer.len().saturating_add(len);
    buffer.reserve_exact(len);
    let start = buffer.len();
    while buffer.len() < goal {
        let at = position.saturating_add(to_u64(buffer.len().saturating_sub(start)));
        // The spare capacity may be larger than asked for: what is too much is cut below.
        match os::pread(file, buffer, at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    buffer.truncate(goal);
    Ok(buffer.len().saturating_sub(start))
}

/// Writes two slices one after the other at `position` of the file, with one call where the system takes it.
pub(crate) fn write_at(file: &File, position: u64, head: &[u8], rest: &[u8]) -> io::Result<()> {
    let total = head.len().saturating_add(rest.len());
    let mut done = 0usize;
    while done < total {
        let head = head.get(done.min(head.len())..).unwrap_or_default();
        let rest = rest.get(done.saturating_sub(total.saturating_sub(rest.len()))..).unwrap_or_default();
        let at = position.saturating_add(to_u64(done));
        match os::pwritev(file, &[IoSlice::new(head), IoSlice::new(rest)], at) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => done = done.saturating_add(n),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
