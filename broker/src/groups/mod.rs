//! Groups of the partitions of `__consumer_offsets` that this broker leads: the state machines of
//! [`milena_groups`], each with its partition's log behind it.
//!
//! A shard is loaded when this broker begins to lead its partition and unloaded when it stops; a leader epoch
//! has one shard. Requests run on the connection's task under the shard's lock; what has to be written is
//! appended after the lock is released, in order, by whoever comes first.

mod clock;
mod events;
mod follow;
mod load;
mod settings;
mod shard;
mod writer;

use std::{collections::HashMap, sync::Arc, time::Duration};

use milena_groups::{Coordinator, Effects, Error, Response, partition_for};
use parking_lot::RwLock;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};

pub use follow::follow;
use shard::Shard;

use crate::node::Broker;

/// The topic whose partitions hold the groups.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Requests that come while their group is being loaded wait so long; most loads are done by then, and not every
/// client that is told to ask again does it well.
const LOAD_WAIT: Duration = Duration::from_secs(2);

/// Whoever waits for an answer of a group.
pub type Token = oneshot::Sender<Response>;

/// The groups that this broker coordinates.
pub struct Groups {
    shards: RwLock<HashMap<i32, Arc<Shard>>>,
    /// Counts shards that came, were loaded, or went.
    changes: watch::Sender<u64>,
}

/// What is known of the shard of a group.
enum Found {
    Here(Arc<Shard>),
    Loading,
    Elsewhere,
}

impl Default for Groups {
    fn default() -> Self {
        Self { shards: RwLock::default(), changes: watch::Sender::new(0) }
    }
}

impl Groups {
    /// Lets the coordinator of a group do something at once.
    ///
    /// # Errors
    /// NOT_COORDINATOR, or COORDINATOR_LOAD_IN_PROGRESS after a while.
    pub async fn with<T>(
        &self,
        broker: &Broker,
        group_id: &str,
        action: impl FnOnce(&mut Coordinator<Token>, i64, &mut Effects<Token>) -> T,
    ) -> Result<T, Error> {
        self.shard(broker, group_id).await?.act(action)
    }

    /// Asks the coordinator of a group something that it answers when it can.
    ///
    /// # Errors
    /// As [`Groups::with`].
    pub async fn ask(
        &self,
        broker: &Broker,
        group_id: &str,
        action: impl FnOnce(&mut Coordinator<Token>, Token, i64, &mut Effects<Token>),
    ) -> Result<Response, Error> {
        let (token, answer) = oneshot::channel();
        self.with(broker, group_id, |coordinator, now_ms, effects| {
            action(coordinator, token, now_ms, effects)
        })
        .await?;
        answer.await.map_err(|_| Error::NotCoordinator)
    }

    /// Looks at every coordinator here.
    ///
    /// # Errors
    /// COORDINATOR_LOAD_IN_PROGRESS if one is being loaded.
    pub fn each(&self, mut look: impl FnMut(&Coordinator<Token>)) -> Result<(), Error> {
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        for shard in shards {
            if !shard.look(&mut look) {
                return Err(Error::CoordinatorLoadInProgress);
            }
        }
        Ok(())
    }

    async fn shard(&self, broker: &Broker, group_id: &str) -> Result<Arc<Shard>, Error> {
        if let Found::Here(shard) = self.find(broker, group_id) {
            return Ok(shard);
        }
        let deadline = Instant::now() + LOAD_WAIT;
        let mut changes = self.changes.subscribe();
        loop {
            match self.find(broker, group_id) {
                Found::Here(shard) => return Ok(shard),
                Found::Elsewhere => return Err(Error::NotCoordinator),
                Found::Loading => {}
            }
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(Error::CoordinatorLoadInProgress);
            }
        }
    }

    fn find(&self, broker: &Broker, group_id: &str) -> Found {
        let view = broker.view();
        let Some(topic) = view.image.topic(OFFSETS_TOPIC) else { return Found::Elsewhere };
        let index = partition_for(group_id, topic.partition_count());
        match self.shards.read().get(&index) {
            Some(shard) if !shard.is_current() => {}
            Some(shard) if shard.is_loaded() => return Found::Here(shard.clone()),
            Some(_) => return Found::Loading,
            None => {}
        }
        // The view is a step ahead of the shards: one of an older leader epoch knows nothing of who joined elsewhere since.
        match view.hosted.partition(topic.id, index) {
            Some(partition) if partition.is_leader() => Found::Loading,
            _ => Found::Elsewhere,
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests;
