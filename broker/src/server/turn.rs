//! How much one connection moves before the others have their turn.

use tokio::task::yield_now;

/// A millisecond's work at most: a large request, or a piece of a large answer.
const TURN: usize = 256 * 1024;

/// What a connection has moved since the others had their turn.
///
/// Who always finds the next request in its socket would go on for hundreds of requests, and where nobody else was awake
/// when it began, nobody looks meanwhile what has arrived on the other sockets: a producer of requests of 1 MB kept all
/// others waiting for a second.
#[derive(Debug, Default)]
pub struct Turn {
    moved: usize,
}

impl Turn {
    /// So many bytes came or went, and were worked on.
    pub async fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= TURN {
            self.moved = 0;
            yield_now().await;
        }
    }
}
