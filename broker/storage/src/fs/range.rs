//! Write-back of a part of a file: the one call of the operating system that no safe crate has.
#![allow(unsafe_code)]

use std::{fs::File, io, os::fd::AsRawFd};

use libc::{SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE, c_uint, off64_t};

/// Starts to write the dirty pages of a range, and does not wait for them.
pub(super) fn start_write_back(file: &File, position: u64, len: u64) -> io::Result<()> {
    sync_file_range(file, position, len, SYNC_FILE_RANGE_WRITE)
}

/// Waits until the pages of a range whose write-back was started are with the disk.
pub(super) fn wait_for_write_back(file: &File, position: u64, len: u64) -> io::Result<()> {
    sync_file_range(file, position, len, SYNC_FILE_RANGE_WAIT_BEFORE)
}

fn sync_file_range(file: &File, position: u64, len: u64, flags: c_uint) -> io::Result<()> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let (position, len) =
        (off64_t::try_from(position).map_err(invalid)?, off64_t::try_from(len).map_err(invalid)?);
    loop {
        // SAFETY: the descriptor is open as long as `file` is borrowed, and no memory is handed over.
        let result = unsafe { libc::sync_file_range(file.as_raw_fd(), position, len, flags) };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
