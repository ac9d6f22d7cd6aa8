//! Frames of an exchange on a socket: a length of four bytes, then that many.

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Reserved at once for a frame whose length is known; a longer one makes the buffer grow as it arrives.
const TRUSTED: usize = 1024 * 1024;

/// Reads frames; dropping a read half way loses nothing.
#[derive(Debug)]
pub struct Frames {
    buffer: BytesMut,
    limit: usize,
}

impl Frames {
    /// A reader of frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Frames {
        Frames { buffer: BytesMut::new(), limit }
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
    pub async fn next(&mut self, socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
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
            if socket.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
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
        let (mut one, mut other) = tokio::io::duplex(3);
        let sender = tokio::spawn(async move {
            write(&mut one, &["ab".into(), "cdef".into()]).await.unwrap();
            write(&mut one, &[]).await.unwrap();
            write(&mut one, &["too much to take".into()]).await.unwrap_err();
        });
        let mut frames = Frames::new(6);
        assert_eq!(frames.next(&mut other).await.unwrap(), "abcdef");
        assert_eq!(frames.next(&mut other).await.unwrap(), "");
        assert_eq!(frames.next(&mut other).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(other);
        sender.await.unwrap();
    }
}
