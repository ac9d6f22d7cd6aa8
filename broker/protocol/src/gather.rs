//! Response frames in pieces: what is encoded lies in memory of its own, records stay where they are.

mod frame;
mod range;

use bytes::{Bytes, BytesMut};

pub use frame::{FramePiece, ResponseFrame};
pub use range::FileRange;

use crate::codec::EncodeError;
use crate::frame::LENGTH_BYTES;

/// Below this many bytes a copy is cheaper than one more entry in a vectored write.
pub const SHARE_THRESHOLD: usize = 2048;

/// Enough for most responses that carry no records.
const FIRST_CAPACITY: usize = 512;

/// Collects the pieces of a frame.
///
/// It starts with room for the frame's length, which [`FrameWriter::into_frame`] fills in.
#[derive(Debug)]
pub struct FrameWriter {
    pieces: Vec<FramePiece>,
    /// Bytes of the head and the pieces.
    sealed: usize,
    /// The first bytes of the frame, until they are sealed.
    head: Option<BytesMut>,
    tail: BytesMut,
}

impl Default for FrameWriter {
    fn default() -> Self {
        let mut tail = BytesMut::with_capacity(FIRST_CAPACITY);
        tail.resize(LENGTH_BYTES, 0);
        Self { pieces: Vec::new(), sealed: 0, head: None, tail }
    }
}

impl FrameWriter {
    /// Where the next bytes are encoded.
    pub fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Adds bytes that are in memory: referred to, unless they are few.
    pub fn put_memory(&mut self, bytes: Bytes) {
        if bytes.len() < SHARE_THRESHOLD {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        self.seal_tail();
        self.sealed += bytes.len();
        self.pieces.push(FramePiece::Memory(bytes));
    }

    /// Adds bytes that are in a file.
    pub fn put_file(&mut self, range: FileRange) {
        self.seal_tail();
        self.sealed += range.len();
        self.pieces.push(FramePiece::File(range));
    }

    /// The frame: its length, then what was put.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] where the length does not fit into a frame.
    pub fn into_frame(mut self) -> Result<ResponseFrame, EncodeError> {
        let length = (self.sealed + self.tail.len()).saturating_sub(LENGTH_BYTES);
        let announced = i32::try_from(length).map_err(|_| EncodeError::TooLarge { length })?;
        self.seal_tail();
        let mut head = self.head.unwrap_or_default();
        if let Some(room) = head.first_chunk_mut::<LENGTH_BYTES>() {
            *room = announced.to_be_bytes();
        }
        let head = FramePiece::Memory(head.freeze());
        Ok(ResponseFrame::new(std::iter::once(head).chain(self.pieces)))
    }

    fn seal_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        // What is left of the reservation stays with `tail`.
        let bytes = self.tail.split();
        self.sealed += bytes.len();
        match self.head {
            None => self.head = Some(bytes),
            Some(_) => self.pieces.push(FramePiece::Memory(bytes.freeze())),
        }
    }
}

#[cfg(test)]
mod tests;
