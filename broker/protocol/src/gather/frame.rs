//! The frame that goes onto the wire.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// A response with its length, in pieces for a vectored write.
///
/// As a [`Buf`] it can be given to `write_all_buf`, or written in parts and advanced.
#[derive(Debug, Clone, Default)]
pub struct ResponseFrame {
    pieces: VecDeque<Bytes>,
    remaining: usize,
}

impl ResponseFrame {
    pub(super) fn new(pieces: impl Iterator<Item = Bytes>) -> Self {
        let pieces: VecDeque<Bytes> = pieces.filter(|piece| !piece.is_empty()).collect();
        let remaining = pieces.iter().map(Bytes::len).sum();
        Self { pieces, remaining }
    }

    /// The pieces that are not yet written, in order; none is empty.
    pub fn into_pieces(self) -> VecDeque<Bytes> {
        self.pieces
    }
}

impl Buf for ResponseFrame {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        let mut left = count.min(self.remaining);
        self.remaining -= left;
        while let Some(first) = self.pieces.front_mut() {
            if left < first.len() {
                first.advance(left);
                return;
            }
            left -= first.len();
            self.pieces.pop_front();
        }
    }
}
