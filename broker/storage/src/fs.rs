//! Small file operations that name the file when they fail.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, IoSlice, Read, Write},
    path::{Path, PathBuf},
};

use rustix::{buffer::spare_capacity, io::Errno};

use crate::{error::StorageError, num::to_u64};

/// The largest small file (checkpoint, snapshot, properties) that is read.
const MAX_SMALL_FILE: u64 = 256 << 20;

/// Turns an I/O error into one that says what was tried on which file.
pub(crate) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StorageError + 'a {
    move |source| StorageError::io(action, path, source)
}

/// Reads a small file whole; none where there is none.
pub(crate) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("open", path, error)),
    };
    // Most of them fit, and are read with one call and one more that finds the end.
    let mut bytes = Vec::with_capacity(512);
    file.take(MAX_SMALL_FILE).read_to_end(&mut bytes).map_err(failed("read", path))?;
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

/// Puts a file in place whole: whoever reads it sees the old content or the new.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), StorageError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let tmp = PathBuf::from(name);
    let written = File::create(&tmp).and_then(|mut file| {
        file.write_all(bytes)?;
        if durability == Durability::Machine { file.sync_data() } else { Ok(()) }
    });
    if let Err(error) = written {
        // A torn temporary file is worth nothing, and its space may be what is missing.
        let _ = fs::remove_file(&tmp);
        return Err(StorageError::io("write", tmp, error));
    }
    fs::rename(&tmp, path).map_err(failed("rename to", path))?;
    match (durability, path.parent()) {
        (Durability::Machine, Some(dir)) => sync_dir(dir),
        _ => Ok(()),
    }
}

/// Makes creations, renames and removals in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StorageError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(failed("sync directory", path))
}

/// Removes a file; one that is gone already is no error.
pub(crate) fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StorageError::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Renames a file; one that is not there is no error.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StorageError::io("rename", from, error)),
        _ => Ok(()),
    }
}

/// Opens a file for reading and writing, made where it is missing, never shortened.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
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
        match rustix::io::pread(file, spare_capacity(buffer), at) {
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
        match rustix::io::pwritev(file, &[IoSlice::new(head), IoSlice::new(rest)], at) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => done = done.saturating_add(n),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
