//! The frame that goes onto the wire.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::FileRange;

/// A part of a frame.
#[derive(Debug, Clone)]
pub enum FramePiece {
    /// Bytes in memory.
    Memory(Bytes),
    /// Bytes in a file.
    File(FileRange),
}

impl FramePiece {
    /// Its size in bytes.
    pub fn len(&self) -> usize {
        match self {
            FramePiece::Memory(bytes) => bytes.len(),
            FramePiece::File(range) => range.len(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn advance(&mut self, count: usize) {
        match self {
            FramePiece::Memory(bytes) => bytes.advance(count),
            FramePiece::File(range) => range.advance(count),
        }
    }
}

/// A response with its length, in pieces that are written one after the other.
#[derive(Debug, Clone, Default)]
pub struct ResponseFrame {
    pieces: VecDeque<FramePiece>,
}

impl ResponseFrame {
    pub(super) fn new(pieces: impl Iterator<Item = FramePiece>) -> Self {
        Self { pieces: pieces.filter(|piece| !piece.is_empty()).collect() }
    }

    /// Whether all of it is written.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes that it holds in memory.
    pub fn memory(&self) -> usize {
        let in_memory = |piece: &FramePiece| match piece {
            FramePiece::Memory(bytes) => bytes.len(),
            FramePiece::File(_) => 0,
        };
        self.pieces.iter().map(in_memory).sum()
    }

    /// Whether a piece of it is in a file.
    pub fn has_files(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, FramePiece::File(_)))
    }

    /// The next piece, where it is in a file.
    pub fn file(&self) -> Option<&FileRange> {
        match self.pieces.front() {
            Some(FramePiece::File(range)) => Some(range),
            _ => None,
        }
    }

    /// Fills `slices` with the pieces before the next one in a file; how many, and whether more follows them.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> (usize, bool) {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            let FramePiece::Memory(bytes) = piece else { break };
            *slice = IoSlice::new(bytes);
            filled += 1;
        }
        (filled, filled < self.pieces.len())
    }

    /// Takes the first `count` bytes as written.
    pub fn advance(&mut self, count: usize) {
        let mut left = count;
        while let Some(first) = self.pieces.front_mut() {
            if left < first.len() {
                first.advance(left);
                return;
            }
            left -= first.len();
            self.pieces.pop_front();
        }
    }

    /// Takes the next piece out.
    pub fn pop_piece(&mut self) -> Option<FramePiece> {
        self.pieces.pop_front()
    }
}
