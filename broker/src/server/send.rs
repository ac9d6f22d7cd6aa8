//! Writes frames to a socket: memory by vectored writes, ranges of files by sendfile.

use std::{fs::File, io, num::NonZeroU64, os::fd::AsRawFd as _, path::PathBuf};

use milena_protocol::{FileRange, ResponseFrame};
use rustix::{
    fs::{Advice, fadvise, sendfile},
    io::{Errno, ReadWriteFlags, preadv2},
    net::{SendAncillaryBuffer, SendFlags, sendmsg, sockopt::set_tcp_cork},
};
use tokio::{io::Interest, net::TcpStream, task::block_in_place};

/// Most slices that one vectored write takes.
const WRITE_SLICES: usize = 64;

/// Most bytes of a file that are sent by one call. Whether they are in the page cache is looked up for each of these.
const FILE_CHUNK: usize = 512 * 1024;

/// Writes as much as the socket takes now, and says how much that was.
///
/// # Errors
/// `WouldBlock` where it takes nothing, else what the socket or the file says.
pub fn write_some(stream: &TcpStream, frame: &mut ResponseFrame) -> io::Result<usize> {
    let written = match frame.file() {
        Some(range) => send_file(stream, range)?,
        None => send_memory(stream, frame)?,
    };
    frame.advance(written);
    Ok(written)
}

/// Where an open file lies; none where the system does not say, or it is there no more.
pub fn path_of(file: &File) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

/// Holds back packets that are not full, or lets them go; answers whether the system does that.
pub fn cork(stream: &TcpStream, hold: bool) -> bool {
    set_tcp_cork(stream, hold).is_ok()
}

fn send_memory(stream: &TcpStream, frame: &ResponseFrame) -> io::Result<usize> {
    let mut slices = [io::IoSlice::new(&[]); WRITE_SLICES];
    let (count, more) = frame.slices(&mut slices);
    let slices = slices.get(..count).unwrap_or_default();
    // What follows goes into the same packet.
    let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
    stream.try_io(Interest::WRITABLE, || {
        Ok(sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), flags)?)
    })
}

fn send_file(stream: &TcpStream, range: &FileRange) -> io::Result<usize> {
    let len = range.len().min(FILE_CHUNK);
    let send = || {
        let mut position = range.position();
        stream.try_io(Interest::WRITABLE, || Ok(sendfile(stream, range.file(), Some(&mut position), len)?))
    };
    if !range.is_current() {
        return Err(changed());
    }
    let sent = if is_resident(range, len) {
        send()?
    } else {
        // The disk is slow, and other connections need this thread.
        block_in_place(|| {
            let len = u64::try_from(len).ok().and_then(NonZeroU64::new);
            let _ = fadvise(range.file(), range.position(), len, Advice::WillNeed);
            send()
        })?
    };
    match sent {
        // The file ends before the range does.
        0 => Err(changed()),
        _ if !range.is_current() => Err(changed()),
        sent => Ok(sent),
    }
}

/// The log was truncated after its batches were looked up. The client gets no whole answer, and asks again.
fn changed() -> io::Error {
    io::Error::other("the log was truncated while it was being sent")
}

/// Whether the range seems to be in the page cache, judged by its first and its last byte.
fn is_resident(range: &FileRange, len: usize) -> bool {
    let last = u64::try_from(len.saturating_sub(1)).unwrap_or(0);
    [range.position(), range.position().saturating_add(last)].into_iter().all(|position| {
        let mut byte = [0; 1];
        let mut slices = [io::IoSliceMut::new(&mut byte)];
        // Who cannot tell has no other way, either: then it is sent as if it were there.
        !matches!(preadv2(range.file(), &mut slices, position, ReadWriteFlags::NOWAIT), Err(Errno::AGAIN))
    })
}

#[cfg(test)]
mod tests;
