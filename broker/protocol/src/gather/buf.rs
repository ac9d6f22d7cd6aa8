//! [`GatherBuf`] as the encoders see it. The one place with `unsafe`, because [`BufMut`] is an
//! unsafe trait.
#![allow(unsafe_code)]

use std::ops::Range;

use bytes::buf::UninitSlice;
use bytes::{BufMut, BytesMut};
use kafka_protocol::protocol::buf::ByteBufMut;

use super::{GatherBuf, Piece};
use crate::frame::LENGTH_BYTES;

// SAFETY: uninitialised memory is handed out and claimed by `tail` alone: `chunk_mut` gives that of
// `BytesMut`, and `advance_mut` passes the caller's promise, that the first `count` bytes of the
// current chunk have been written, on to the same `BytesMut`, which upholds the rest.
unsafe impl BufMut for GatherBuf {
    fn remaining_mut(&self) -> usize {
        usize::MAX - self.total()
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.tail.chunk_mut()
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: `count` bytes of `self.tail.chunk_mut()` are initialised, as the caller promises.
        unsafe { self.tail.advance_mut(count) }
    }

    fn put_slice(&mut self, slice: &[u8]) {
        self.put(slice);
    }
}

impl ByteBufMut for GatherBuf {
    fn offset(&self) -> usize {
        self.total() - LENGTH_BYTES
    }

    fn seek(&mut self, offset: usize) {
        let total = offset.saturating_add(LENGTH_BYTES);
        match total.checked_sub(self.total()) {
            Some(more) => self.tail.resize(self.tail.len() + more, 0),
            None => self.truncate(total),
        }
    }

    fn range(&mut self, range: Range<usize>) -> &mut [u8] {
        let start = range.start.saturating_add(LENGTH_BYTES);
        let end = range.end.saturating_add(LENGTH_BYTES).max(start);
        if end > self.total() {
            self.seek(end - LENGTH_BYTES);
        }
        if self.owner_of(start, end).is_none() {
            self.flatten();
        }
        let (owner, start, end) = match self.owner_of(start, end) {
            Some((index, before)) => (self.owned_mut(index), start - before, end - before),
            None => return &mut [],
        };
        owner.and_then(|bytes| bytes.get_mut(start..end)).unwrap_or_default()
    }
}

impl GatherBuf {
    /// The index of the owned piece that holds `start..end`, `sealed.len()` meaning `tail`, and how
    /// many bytes lie before it.
    fn owner_of(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let mut before = 0;
        for (index, piece) in self.sealed.iter().enumerate() {
            let after = before + piece.len();
            if start >= before && end <= after && matches!(piece, Piece::Owned(_)) {
                return Some((index, before));
            }
            before = after;
        }
        (start >= before && end <= self.total()).then_some((self.sealed.len(), before))
    }

    fn owned_mut(&mut self, index: usize) -> Option<&mut BytesMut> {
        match self.sealed.get_mut(index) {
            Some(Piece::Owned(bytes)) => Some(bytes),
            Some(Piece::Shared(_)) => None,
            None => Some(&mut self.tail),
        }
    }
}
