//! The calls of [`super::sys`] on a disk that fails when it is told to, and that knows what a power cut leaves.
//!
//! A [`Disk`] is mounted on a directory for the thread of a test. Files really lie there, as the running processes see
//! them: what they read is the page cache's view. Beside it the disk keeps what is durable and what is only on its way.

mod content;
mod disk;

pub(crate) use disk::{Disk, Failure, Op, Plan};

use std::{
    cell::RefCell,
    fs::{File, ReadDir},
    io::{self, IoSlice},
    path::Path,
};

use rustix::io::Errno;

use super::{Access, sys};
use crate::dir::Space;
use disk::Verdict;

thread_local! {
    static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) };
}

/// Asks the thread's disk, if there is one.
fn with<T>(ask: impl FnOnce(&mut Disk) -> T) -> Option<T> {
    DISK.with_borrow_mut(|disk| disk.as_mut().map(ask))
}

/// The disk of this thread, while it is mounted.
pub(crate) struct Mounted(());

/// Mounts a disk on `root`, whose content is taken as durable.
pub(crate) fn mount(root: &Path, seed: u64) -> Mounted {
    DISK.set(Some(Disk::new(root, seed)));
    Mounted(())
}

impl Mounted {
    /// Works with the disk.
    pub(crate) fn disk<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> T {
        with(work).unwrap()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        DISK.set(None);
    }
}

/// Goes on unless the disk refuses.
fn ask(op: Op) -> io::Result<()> {
    match with(|disk| disk.judge(op)) {
        Some(Verdict::Fail(errno)) => Err(errno.into()),
        _ => Ok(()),
    }
}

pub(super) fn open(path: &Path, access: Access) -> io::Result<File> {
    let existed = path.exists();
    let makes = !existed && matches!(access, Access::Create | Access::Replace);
    ask(if makes { Op::Create } else { Op::Open })?;
    let file = sys::open(path, access)?;
    with(|disk| {
        if makes {
            disk.created(path, &file);
        } else if access == Access::Replace {
            disk.resized(&file, 0);
        }
    });
    Ok(file)
}

pub(super) fn pread(file: &File, buffer: &mut Vec<u8>, position: u64) -> Result<usize, Errno> {
    match with(|disk| disk.judge(Op::Read)) {
        Some(Verdict::Fail(errno)) => Err(errno),
        Some(Verdict::Short) => {
            let room = buffer.spare_capacity_mut().len();
            let mut part = Vec::with_capacity(room.div_ceil(3));
            let read = sys::pread(file, &mut part, position)?;
            part.truncate(room);
            buffer.extend_from_slice(&part);
            Ok(read.min(room))
        }
        _ => sys::pread(file, buffer, position),
    }
}

pub(super) fn pwritev(file: &File, slices: &[IoSlice<'_>], position: u64) -> Result<usize, Errno> {
    let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
    let grows = position + super::to_u64(bytes.len()) > file.metadata().map_or(0, |meta| meta.len());
    let op = if grows { Op::Extend } else { Op::Write };
    let put = |part: &[u8]| -> Result<usize, Errno> {
        let written = sys::pwritev(file, &[IoSlice::new(part)], position)?;
        with(|disk| disk.written(file, position, &part[..written]));
        Ok(written)
    };
    match with(|disk| disk.judge(op)) {
        Some(Verdict::Fail(Errno::INTR)) => Err(Errno::INTR),
        Some(Verdict::Fail(errno)) => {
            // A part may have gone out before the failure.
            let part = with(|disk| disk.below(bytes.len() + 1)).unwrap_or(0);
            if part > 0 {
                put(&bytes[..part])?;
            }
            Err(errno)
        }
        Some(Verdict::Short) => put(&bytes[..bytes.len().div_ceil(3)]),
        _ => put(&bytes),
    }
}

pub(super) fn set_len(file: &File, len: u64) -> io::Result<()> {
    ask(Op::SetLen)?;
    sys::set_len(file, len)?;
    with(|disk| disk.resized(file, len));
    Ok(())
}

pub(super) fn allocate(file: &File, position: u64, len: u64) -> Result<(), Errno> {
    match with(|disk| disk.judge(Op::Allocate)) {
        Some(Verdict::Fail(errno)) => Err(errno),
        _ => sys::allocate(file, position, len),
    }
}

pub(super) fn sync_data(file: &File) -> io::Result<()> {
    with(|disk| disk.sync(file)).unwrap_or_else(|| sys::sync_data(file))
}

pub(super) fn sync_all(file: &File) -> io::Result<()> {
    with(|disk| disk.sync(file)).unwrap_or_else(|| sys::sync_all(file))
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    with(|disk| disk.sync_dir(path)).unwrap_or_else(|| sys::sync_dir(path))
}

pub(super) fn sync_fs(dir: &File) -> io::Result<()> {
    with(Disk::sync_everything).unwrap_or_else(|| sys::sync_fs(dir))
}

pub(super) fn space(dir: &File) -> io::Result<Space> {
    ask(Op::Open)?;
    sys::space(dir)
}

pub(super) fn drop_cache(file: &File) -> Result<(), Errno> {
    with(|disk| disk.drop_cache(file));
    Ok(())
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    ask(Op::Rename)?;
    sys::rename(from, to)?;
    with(|disk| disk.renamed(from, to));
    Ok(())
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    ask(Op::Remove)?;
    sys::remove_file(path)?;
    with(|disk| disk.removed(path));
    Ok(())
}

pub(super) fn create_dir_all(path: &Path) -> io::Result<()> {
    let existed = path.exists();
    ask(if existed { Op::Open } else { Op::Create })?;
    sys::create_dir_all(path)?;
    if !existed {
        with(|disk| disk.created_dir(path));
    }
    Ok(())
}

pub(super) fn remove_dir_all(path: &Path) -> io::Result<()> {
    ask(Op::Remove)?;
    sys::remove_dir_all(path)?;
    with(|disk| disk.removed(path));
    Ok(())
}

pub(super) fn read_dir(path: &Path) -> io::Result<ReadDir> {
    ask(Op::Open)?;
    sys::read_dir(path)
}

pub(super) fn boot_id() -> String {
    with(|disk| disk.boot_id()).unwrap_or_else(sys::boot_id)
}

pub(super) fn set_modified(file: &File, ms: u64) -> io::Result<()> {
    ask(Op::SetLen)?;
    sys::set_modified(file, ms)
}
