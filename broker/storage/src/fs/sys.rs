//! The calls of the operating system that storage makes, each as it is. Tests of this crate go through
//! [`super::faulty`], which has the same functions.

use std::{
    fs::{self, File, OpenOptions, ReadDir},
    io::{self, IoSlice},
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use rustix::{
    buffer::spare_capacity,
    fs::{Advice, FallocateFlags, fadvise, fallocate},
    io::Errno,
};

use super::Access;
use crate::dir::Space;

pub(super) fn open(path: &Path, access: Access) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    match access {
        Access::Read => &mut options,
        Access::Write => options.write(true),
        Access::Create => options.write(true).create(true).truncate(false),
        Access::Replace => options.write(true).create(true).truncate(true),
    }
    .open(path)
}

/// Appends to the buffer what fits into its spare capacity.
pub(super) fn pread(file: &File, buffer: &mut Vec<u8>, position: u64) -> Result<usize, Errno> {
    rustix::io::pread(file, spare_capacity(buffer), position)
}

pub(super) fn pwritev(file: &File, slices: &[IoSlice<'_>], position: u64) -> Result<usize, Errno> {
    rustix::io::pwritev(file, slices, position)
}

pub(super) fn set_modified(file: &File, ms: u64) -> io::Result<()> {
    file.set_modified(UNIX_EPOCH + Duration::from_millis(ms))
}

pub(super) fn set_len(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)
}

/// Takes disk space; the file stays as long as it is.
pub(super) fn allocate(file: &File, position: u64, len: u64) -> Result<(), Errno> {
    fallocate(file, FallocateFlags::KEEP_SIZE, position, len)
}

pub(super) fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data()
}

pub(super) fn sync_all(file: &File) -> io::Result<()> {
    file.sync_all()
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Syncs the file system on which an open directory lies.
pub(super) fn sync_fs(dir: &File) -> io::Result<()> {
    rustix::fs::syncfs(dir).map_err(io::Error::from)
}

/// Size of the file system on which an open directory lies.
pub(super) fn space(dir: &File) -> io::Result<Space> {
    let stat = rustix::fs::fstatvfs(dir)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Space { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
}

/// Drops what memory has of a file and takes for written.
#[cfg_attr(test, expect(dead_code))]
pub(super) fn drop_cache(file: &File) -> Result<(), Errno> {
    fadvise(file, 0, None, Advice::DontNeed)
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

pub(super) fn create_dir_all(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub(super) fn remove_dir_all(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path)
}

pub(super) fn read_dir(path: &Path) -> io::Result<ReadDir> {
    fs::read_dir(path)
}

/// The id of the machine's boot; empty where there is none.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
