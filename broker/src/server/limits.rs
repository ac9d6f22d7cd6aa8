//! What all connections of a broker may use together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests are counted against the memory budget in units of this many bytes.
const UNIT: usize = 1024;

/// Budgets for connections and for the bytes of requests that are being read or answered.
#[derive(Debug)]
pub struct Limits {
    connections: Arc<Semaphore>,
    max_connections: usize,
    request_memory: Arc<Semaphore>,
    request_units: usize,
}

impl Limits {
    /// `max_connections` at a time (`max.connections`), and `request_bytes` of requests in memory
    /// (`queued.max.request.bytes`).
    pub fn new(max_connections: usize, request_bytes: usize) -> Limits {
        let max_connections = max_connections.min(Semaphore::MAX_PERMITS);
        let request_units = (request_bytes / UNIT).clamp(1, u32::MAX as usize);
        Limits {
            connections: Arc::new(Semaphore::new(max_connections)),
            max_connections,
            request_memory: Arc::new(Semaphore::new(request_units)),
            request_units,
        }
    }

    /// A place for one more connection, if there is one.
    pub fn connection(&self) -> Option<OwnedSemaphorePermit> {
        self.connections.clone().try_acquire_owned().ok()
    }

    /// How many connections there may be.
    pub fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// How many connections there are.
    pub fn open_connections(&self) -> usize {
        self.max_connections - self.connections.available_permits()
    }

    /// Waits until `bytes` of a request fit into the budget. A request larger than all of it waits for all of it.
    pub async fn request(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT).min(self.request_units)).unwrap_or(u32::MAX);
        self.request_memory.clone().acquire_many_owned(units).await.ok()
    }
}
