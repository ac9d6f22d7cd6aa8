//! Reads frames from a socket. An idle connection holds no buffer, and a length that a client only claims
//! reserves little: the buffer grows with what has arrived.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use milena_protocol::split_frame;
use rustix::io::ioctl_fionread;
use tokio::{
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout_at},
};

use super::{Limits, WakeUps};

/// First read of a request: most requests are smaller.
const FIRST_READ: usize = 4 * 1024;
/// Reserved at once for a frame whose length is known; a longer one makes the buffer double as it arrives.
const TRUSTED: usize = 2 * 1024 * 1024;

/// So many bytes of a request that has begun, or its rest, have to arrive within `milena.request.progress.ms`: while it
/// arrives it holds memory that others wait for.
const PROGRESS: usize = 64 * 1024;

/// A request's bytes, and its share of the memory budget while they live.
pub struct Frame {
    /// The frame without its length.
    pub bytes: Bytes,
    /// Size of the buffer that it lies in.
    pub buffer: usize,
    /// Given back when the request has been answered.
    pub memory: Option<OwnedSemaphorePermit>,
}

/// The reading half of a connection.
#[derive(Default)]
pub struct FrameReader {
    buffer: BytesMut,
    /// Size of the buffer, with what was cut off it.
    size: usize,
    memory: Option<OwnedSemaphorePermit>,
    /// Bytes of the request that have to be there at that time.
    due: Option<(usize, Instant)>,
    wakes: WakeUps,
}

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// Longest frame.
    pub bytes: usize,
    /// How long a part of a frame may be on its way.
    pub progress: Duration,
}

impl FrameReader {
    /// The next frame, or none where the client has closed the connection.
    ///
    /// # Errors
    /// `InvalidData` for a length that no Kafka client sends, `TimedOut` for a frame that does not arrive, else what
    /// the socket says.
    pub async fn next(
        &mut self,
        stream: &TcpStream,
        limits: &Limits,
        may: FrameLimits,
    ) -> io::Result<Option<Frame>> {
        loop {
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            if let Some(bytes) = split_frame(&mut self.buffer, may.bytes).map_err(invalid)? {
                self.due = None;
                return Ok(Some(Frame { bytes, buffer: self.size, memory: self.memory.take() }));
            }
            let wanted = self.wanted();
            if wanted > FIRST_READ && self.memory.is_none() {
                self.memory = limits.request(wanted).await;
            }
            self.set_due(wanted, may.progress);
            if !self.fill(stream, wanted).await? {
                return Ok(None);
            }
        }
    }

    /// Whether part of a request has arrived.
    pub fn is_mid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// How many bytes are missing from the frame that has begun.
    fn wanted(&self) -> usize {
        match self.buffer.first_chunk::<4>() {
            Some(length) => {
                let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
                (length + 4).saturating_sub(self.buffer.len()).max(1)
            }
            None => FIRST_READ,
        }
    }

    /// When the next part of the frame is to be there; nothing waits for a frame that has not begun.
    fn set_due(&mut self, wanted: usize, progress: Duration) {
        let here = self.buffer.len();
        if here == 0 {
            self.due = None;
        } else if self.due.is_none_or(|(part, _)| here >= part) {
            let part = here.saturating_add(wanted.min(PROGRESS));
            self.due = Some((part, Instant::now() + progress));
        }
    }

    /// Returns when there is something to read: where `missing` bytes are to come, once a good part of them is there.
    async fn readable(&mut self, stream: &TcpStream, missing: usize) -> io::Result<()> {
        self.wakes.when(stream, missing);
        let Some((part, due)) = self.due else { return stream.readable().await };
        if let Ok(readable) = timeout_at(due, stream.readable()).await {
            return readable;
        }
        let here = usize::try_from(ioctl_fionread(stream)?).unwrap_or(usize::MAX);
        if self.buffer.len().saturating_add(here) >= part {
            self.wakes.when(stream, 0);
            return stream.readable().await;
        }
        let message = format!(
            "{} bytes of a request have arrived, and then too few in time (milena.request.progress.ms)",
            self.buffer.len()
        );
        Err(io::Error::new(io::ErrorKind::TimedOut, message))
    }

    async fn fill(&mut self, stream: &TcpStream, wanted: usize) -> io::Result<bool> {
        if self.buffer.is_empty() {
            // Lets go of a buffer that the last request still shares, or that idles.
            self.buffer = BytesMut::new();
            self.readable(stream, 0).await?;
        }
        loop {
            let before = self.buffer.capacity();
            self.buffer.reserve(wanted.min(TRUSTED.max(self.buffer.len())));
            if self.buffer.capacity() != before {
                self.size = self.buffer.capacity();
            }
            match stream.try_read_buf(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.readable(stream, wanted).await?;
        }
    }
}
