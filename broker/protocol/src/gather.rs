//! A response buffer that refers to record bytes instead of copying them.

mod buf;
mod frame;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::buf::ByteBufMut;

pub use frame::ResponseFrame;

use crate::codec::EncodeError;
use crate::frame::LENGTH_BYTES;

/// Below this many bytes a copy is cheaper than one more entry in a vectored write.
pub const SHARE_THRESHOLD: usize = 2048;

/// Enough for most responses that carry no records.
const FIRST_CAPACITY: usize = 512;

/// Collects a response as pieces: what is encoded goes into memory of its own, and slices of the
/// [`Bytes`] given to [`GatherBuf::new`] are referred to.
///
/// It starts with room for the frame's length, which [`GatherBuf::into_frame`] fills in; offsets
/// ([`ByteBufMut::offset`]) count from after it.
#[derive(Debug)]
pub struct GatherBuf {
    /// Sorted by address.
    shared: Vec<Bytes>,
    sealed: Vec<Piece>,
    sealed_len: usize,
    tail: BytesMut,
}

#[derive(Debug)]
enum Piece {
    Owned(BytesMut),
    Shared(Bytes),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Owned(bytes) => bytes.len(),
            Piece::Shared(bytes) => bytes.len(),
        }
    }
}

impl GatherBuf {
    /// An empty buffer that will refer to slices of `shared` of [`SHARE_THRESHOLD`] bytes or more.
    pub fn new(shared: impl IntoIterator<Item = Bytes>) -> Self {
        let mut shared: Vec<Bytes> =
            shared.into_iter().filter(|bytes| bytes.len() >= SHARE_THRESHOLD).collect();
        shared.sort_unstable_by_key(|bytes| bytes.as_ptr().addr());
        let mut tail = BytesMut::with_capacity(FIRST_CAPACITY);
        tail.resize(LENGTH_BYTES, 0);
        Self { shared, sealed: Vec::new(), sealed_len: 0, tail }
    }

    /// The frame: its length, then what was put.
    ///
    /// # Errors
    /// [`EncodeError::TooLarge`] where the length does not fit into a frame.
    pub fn into_frame(mut self) -> Result<ResponseFrame, EncodeError> {
        let length = self.offset();
        let announced = i32::try_from(length).map_err(|_| EncodeError::TooLarge { length })?;
        self.seal_tail();
        if let Some(Piece::Owned(first)) = self.sealed.first_mut()
            && let Some(room) = first.first_chunk_mut::<LENGTH_BYTES>()
        {
            *room = announced.to_be_bytes();
        }
        Ok(ResponseFrame::new(self.sealed.into_iter().map(|piece| match piece {
            Piece::Owned(bytes) => bytes.freeze(),
            Piece::Shared(bytes) => bytes,
        })))
    }

    /// Bytes put so far, the frame's length included.
    fn total(&self) -> usize {
        self.sealed_len + self.tail.len()
    }

    fn put(&mut self, slice: &[u8]) {
        match self.shared_slice(slice) {
            Some(bytes) => {
                self.seal_tail();
                self.sealed_len += bytes.len();
                self.sealed.push(Piece::Shared(bytes));
            }
            None => self.tail.extend_from_slice(slice),
        }
    }

    /// `slice` as a reference into one of the shared bytes, if it lies in one.
    fn shared_slice(&self, slice: &[u8]) -> Option<Bytes> {
        if slice.len() < SHARE_THRESHOLD {
            return None;
        }
        let start = slice.as_ptr().addr();
        let after = self.shared.partition_point(|bytes| bytes.as_ptr().addr() <= start);
        let owner = self.shared.get(after.checked_sub(1)?)?;
        let end = start.checked_add(slice.len())?;
        let owner_end = owner.as_ptr().addr().checked_add(owner.len())?;
        (end <= owner_end).then(|| owner.slice_ref(slice))
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.sealed_len += self.tail.len();
            // What is left of the reservation stays with `tail`.
            self.sealed.push(Piece::Owned(self.tail.split()));
        }
    }

    /// Cuts everything from `total` on, which is at most [`GatherBuf::total`].
    fn truncate(&mut self, total: usize) {
        self.seal_tail();
        while self.sealed_len > total {
            let Some(last) = self.sealed.pop() else { return };
            self.sealed_len -= last.len();
            let keep = total.saturating_sub(self.sealed_len).min(last.len());
            match last {
                _ if keep == 0 => {}
                Piece::Owned(mut bytes) => {
                    bytes.truncate(keep);
                    self.tail = bytes;
                }
                Piece::Shared(bytes) => {
                    self.sealed.push(Piece::Shared(bytes.slice(..keep)));
                    self.sealed_len += keep;
                }
            }
            if keep > 0 {
                return;
            }
        }
    }

    /// Makes everything one piece of memory, for what must be changed across pieces.
    fn flatten(&mut self) {
        self.seal_tail();
        let mut whole = BytesMut::with_capacity(self.sealed_len);
        for piece in self.sealed.drain(..) {
            match piece {
                Piece::Owned(bytes) => whole.extend_from_slice(&bytes),
                Piece::Shared(bytes) => whole.extend_from_slice(&bytes),
            }
        }
        self.sealed_len = 0;
        self.tail = whole;
    }
}

#[cfg(test)]
mod tests;
