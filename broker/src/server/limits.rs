//! What all connections of a broker may use together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{connections::Connections, memory};

/// Requests are counted against the memory budget in units of this many bytes.
const UNIT: usize = 1024;

/// Of the memory that this process may use, requests get this part where no setting says.
const REQUESTS_SHARE: usize = 4;

/// Connections, and budgets for the bytes of requests that are being read or answered and for those of answers.
#[derive(Debug)]
pub struct Limits {
    /// Who is connected.
    pub connections: Arc<Connections>,
    request_memory: Arc<Semaphore>,
    request_units: usize,
    /// Memory of answers that their clients are slow to take.
    pub responses: Responses,
}

impl Limits {
    /// `request_bytes` of requests in memory (`queued.max.request.bytes`; `usize::MAX`: a quarter of what the process
    /// may use), and `response_bytes` of answers that wait (`milena.queued.max.response.bytes`).
    pub fn new(request_bytes: usize, response_bytes: usize) -> Limits {
        let request_bytes = match request_bytes {
            usize::MAX => memory::available().map_or(usize::MAX, |bytes| bytes / REQUESTS_SHARE),
            set => set,
        };
        let request_units = (request_bytes / UNIT).clamp(1, u32::MAX as usize);
        Limits {
            connections: Arc::new(Connections::new(files())),
            request_memory: Arc::new(Semaphore::new(request_units)),
            request_units,
            responses: Responses::new(response_bytes),
        }
    }

    /// Waits until `bytes` of a request fit into the budget. A request larger than all of it waits for all of it.
    pub async fn request(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT).min(self.request_units)).unwrap_or(u32::MAX);
        self.request_memory.clone().acquire_many_owned(units).await.ok()
    }
}

/// Files that this process may have open.
fn files() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// The memory of answers that wait for their clients. What lies in files takes none.
#[derive(Debug)]
pub struct Responses {
    limit: usize,
    waiting: AtomicUsize,
    room: Notify,
}

/// One answer that waits.
#[derive(Debug)]
pub struct Waiting<'a> {
    responses: &'a Responses,
    bytes: usize,
}

impl Responses {
    fn new(limit: usize) -> Responses {
        Responses { limit, waiting: AtomicUsize::new(0), room: Notify::new() }
    }

    /// Bytes of answers that wait.
    pub fn bytes(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Whether they take all that they may.
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.limit
    }

    /// Waits until they take less than they may.
    pub async fn room(&self) {
        while self.is_full() {
            let room = self.room.notified();
            if self.is_full() {
                room.await;
            }
        }
    }

    /// An answer that begins to wait; it holds nothing yet.
    pub fn waiting(&self) -> Waiting<'_> {
        Waiting { responses: self, bytes: 0 }
    }
}

impl Waiting<'_> {
    /// The answer holds so many bytes now.
    pub fn holds(&mut self, bytes: usize) {
        let (waiting, limit) = (&self.responses.waiting, self.responses.limit);
        let before = match bytes.checked_sub(self.bytes) {
            Some(more) => waiting.fetch_add(more, Ordering::AcqRel),
            None => waiting.fetch_sub(self.bytes - bytes, Ordering::AcqRel),
        };
        self.bytes = bytes;
        if before >= limit && !self.responses.is_full() {
            self.responses.room.notify_waiters();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.holds(0);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn answers_wait_for_room() {
        let responses = Responses::new(100);
        let (mut one, mut two) = (responses.waiting(), responses.waiting());
        one.holds(60);
        assert!(responses.room().now_or_never().is_some());
        two.holds(60);
        let mut room = Box::pin(responses.room());
        assert!((&mut room).now_or_never().is_none());
        one.holds(30);
        assert!((&mut room).now_or_never().is_some(), "90 of 100 bytes");
        drop((one, two));
        assert_eq!(responses.bytes(), 0);
    }

    #[tokio::test]
    async fn requests_get_a_part_of_the_memory_there_is() {
        let limits = Limits::new(usize::MAX, 1);
        let available = memory::available().unwrap();
        assert!(limits.request_units <= available / REQUESTS_SHARE / UNIT);
        assert!(limits.request(100).await.is_some());
    }
}
