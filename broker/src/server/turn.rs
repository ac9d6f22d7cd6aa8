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
    /// So many bytes came or went, and were worked on: others go on where that was enough.
    pub async fn moved(&mut self, bytes: usize) {
        if self.ends(bytes) {
            yield_now().await;
        }
    }

    /// The same for who has something to do before others go on: whether they are to.
    pub fn ends(&mut self, bytes: usize) -> bool {
        self.moved = self.moved.saturating_add(bytes);
        let ends = self.moved >= TURN;
        if ends {
            self.moved = 0;
        }
        ends
    }
}
