//! Frames of an exchange on a socket: a length of four bytes, then that many.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::server::WakeUps;

/// Reserved at once for a frame whose length is known; a longer one makes the buffer grow as it arrives.
const TRUSTED: usize = 1024 * 1024;

/// Reads frames; dropping a read half way loses nothing.
#[derive(Debug)]
pub struct Frames {
    buffer: BytesMut,
    limit: usize,
    wakes: WakeUps,
}

impl Frames {
    /// A reader of frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Frames {
        Frames { buffer: BytesMut::new(), limit, wakes: WakeUps::default() }
    }

    /// Lets the buffer go, which is kept for the next frame otherwise: an idle exchange holds none.
    pub fn let_go(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// The next frame. Its memory serves for later ones once it is dropped.
    ///
    /// # Errors
    /// `UnexpectedEof` where the other side has closed, `InvalidData` for a length beyond the limit.
    pub async fn next(&mut self, socket: &TcpStream) -> io::Result<Bytes> {
        loop {
            let missing = match self.buffer.first_chunk::<4>() {
                None => 4,
                Some(length) => {
                    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
                    if length > self.limit {
                        let text =
                            format!("a replication frame of {length} bytes; {} are allowed", self.limit);
                        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                    }
                    let whole = length + 4;
                    if self.buffer.len() >= whole {
                        return Ok(self.buffer.split_to(whole).freeze().slice(4..));
                    }
                    whole - self.buffer.len()
                }
            };
            self.buffer.reserve(missing.min(TRUSTED.max(self.buffer.len())));
            match socket.try_read_buf(&mut self.buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wakes.when(socket, missing);
                    socket.readable().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Writes one frame.
pub async fn write(socket: &mut (impl AsyncWrite + Unpin), pieces: &[Bytes]) -> io::Result<()> {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut head = BytesMut::with_capacity(64);
    head.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    let mut slices: Vec<io::IoSlice<'_>> = Vec::with_capacity(pieces.len() + 1);
    slices.push(io::IoSlice::new(&head));
    slices.extend(pieces.iter().map(|piece| io::IoSlice::new(piece)));
    let mut slices = slices.as_mut_slice();
    while !slices.is_empty() {
        match socket.write_vectored(slices).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => io::IoSlice::advance_slices(&mut slices, written),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_whole_however_they_are_cut() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (other, _) = listener.accept().await.unwrap();
        one.set_nodelay(true).unwrap();
        let large = vec![7; 3_000_000];
        let expected = large.clone();
        let sender = tokio::spawn(async move {
            let mut frames = BytesMut::new();
            for frame in [&b"abcdef"[..], b"", &large, b"x"] {
                frames.put_u32(u32::try_from(frame.len()).unwrap());
                frames.put_slice(frame);
            }
            // Byte by byte at first, the last one on its own, too: nobody waits for more than there will be.
            let (first, rest) = frames.split_at(20);
            let (middle, last) = rest.split_at(rest.len() - 1);
            for byte in first {
                one.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            one.write_all(middle).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            one.write_all(last).await.unwrap();
            write(&mut one, &["ab".into(), "cdef".into()]).await.unwrap();
            // Too long: how much of it is sent before the other side hangs up is not said.
            let _ = write(&mut one, &[Bytes::from(vec![0; 4_000_000])]).await;
        });
        let mut frames = Frames::new(3_000_000);
        assert_eq!(frames.next(&other).await.unwrap(), "abcdef");
        assert_eq!(frames.next(&other).await.unwrap(), "");
        assert_eq!(frames.next(&other).await.unwrap(), expected);
        assert_eq!(frames.next(&other).await.unwrap(), "x");
        assert_eq!(frames.next(&other).await.unwrap(), "abcdef");
        assert_eq!(frames.next(&other).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(other);
        sender.await.unwrap();
    }
}
