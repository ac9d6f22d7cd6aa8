//! How much has to have arrived on a socket before its reader is woken: no safe crate has this option.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd as _;

use tokio::net::TcpStream;

/// What is known to come is waited for in pieces of this size: a packet within the machine, 64 KiB, is copied in about the
/// time that waking its reader takes.
const PIECE: usize = 512 * 1024;
/// Less than this is taken as it comes.
const LITTLE: usize = 64 * 1024;

/// What one socket was told last.
#[derive(Debug, Default)]
pub struct WakeUps {
    at: Option<usize>,
}

impl WakeUps {
    /// Has the reader woken when `missing` bytes are there, or a good part of them; and when the connection ends or the
    /// system is short of memory. A system that refuses wakes it for each packet.
    pub fn when(&mut self, socket: &TcpStream, missing: usize) {
        let at = Some(missing.min(PIECE)).filter(|at| *at > LITTLE);
        if at == self.at {
            return;
        }
        self.at = at;
        let value = at.and_then(|at| libc::c_int::try_from(at).ok()).unwrap_or(1);
        let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(0);
        // SAFETY: the descriptor is open as long as the stream lives, and the option takes an int.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVLOWAT,
                (&raw const value).cast(),
                length,
            );
        }
    }
}
