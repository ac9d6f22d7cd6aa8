//! One partition of `__consumer_offsets` in one leader epoch.

use std::{collections::VecDeque, sync::Arc};

use milena_groups::{Config, Coordinator, Effects, Error, Write, WriteId};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep};
use tracing::warn;

use super::{Token, clock, events, writer};
use crate::partitions::{Partition, PartitionError, Produced};

/// The groups of one partition, while this broker leads it.
pub struct Shard {
    /// The partition whose records these groups are.
    pub partition: Arc<Partition>,
    /// The leader epoch that this shard lives in.
    pub leader_epoch: i32,
    state: Mutex<State>,
    /// Held while records are appended, so that they reach the log in the order of their ids.
    appending: Mutex<()>,
    /// Wakes the shard's task: something is due earlier, or an append has to be waited for.
    wake: Notify,
}

/// What the shard's lock guards. Nothing is read or written while it is held.
enum State {
    Loading,
    Active(Box<Active>),
    Closed,
}

struct Active {
    coordinator: Coordinator<Token>,
    /// Writes that nobody has begun to append.
    outbox: VecDeque<Write>,
    /// Writes that are appended, but not below the high watermark yet.
    unreplicated: VecDeque<Appended>,
    /// Until when the shard's task sleeps.
    sleeps_until_ms: i64,
}

/// A write in the log.
struct Appended {
    id: WriteId,
    base_offset: i64,
    produced: Produced,
}

impl Shard {
    /// A shard whose log has not been read yet.
    pub fn new(partition: Arc<Partition>, leader_epoch: i32) -> Shard {
        Shard {
            partition,
            leader_epoch,
            state: Mutex::new(State::Loading),
            appending: Mutex::new(()),
            wake: Notify::new(),
        }
    }

    /// Begins to serve; false if it was closed meanwhile.
    pub fn activate(&self, coordinator: Coordinator<Token>, effects: Effects<Token>) -> bool {
        let mut state = self.state.lock();
        if !matches!(*state, State::Loading) {
            return false;
        }
        *state = State::Active(Box::new(Active {
            coordinator,
            outbox: VecDeque::new(),
            unreplicated: VecDeque::new(),
            sleeps_until_ms: i64::MIN,
        }));
        drop(state);
        // What followed from loading is dealt with as if a request had caused it.
        let _ = self.act(|_, _, out| *out = effects);
        true
    }

    /// Whether the log has been read, and the shard serves.
    pub fn is_loaded(&self) -> bool {
        matches!(*self.state.lock(), State::Active(_))
    }

    /// Whether this broker still leads the partition in this shard's leader epoch.
    pub fn is_current(&self) -> bool {
        self.partition.is_leader() && self.partition.state().leader_epoch == self.leader_epoch
    }

    /// Stops serving. Whoever waits is told to look for the new coordinator. When this returns, the shard appends
    /// nothing any more.
    pub fn close(&self) {
        let before = std::mem::replace(&mut *self.state.lock(), State::Closed);
        if let State::Active(active) = before {
            for (token, response) in active.coordinator.unload() {
                let _ = token.send(response);
            }
        }
        drop(self.appending.lock());
        self.wake.notify_one();
    }

    /// Looks at the coordinator; false while there is none.
    pub fn look(&self, look: impl FnOnce(&Coordinator<Token>)) -> bool {
        match &*self.state.lock() {
            State::Active(active) => look(&active.coordinator),
            State::Loading => return false,
            State::Closed => {}
        }
        true
    }

    /// Puts other settings in force.
    pub fn set_config(&self, config: Arc<Config>) {
        if let State::Active(active) = &mut *self.state.lock() {
            active.coordinator.set_config(config);
        }
    }

    /// Lets the coordinator do something, and does what follows from it.
    ///
    /// # Errors
    /// NOT_COORDINATOR once the shard is closed.
    pub fn act<T>(
        &self,
        action: impl FnOnce(&mut Coordinator<Token>, i64, &mut Effects<Token>) -> T,
    ) -> Result<T, Error> {
        let (result, has_writes) =
            self.step(|active, now_ms, effects| action(&mut active.coordinator, now_ms, effects))?;
        if has_writes {
            self.append_all();
        }
        Ok(result)
    }

    /// One step under the lock; answers are given after it. Says, too, whether something waits to be written.
    fn step<T>(
        &self,
        action: impl FnOnce(&mut Active, i64, &mut Effects<Token>) -> T,
    ) -> Result<(T, bool), Error> {
        let mut effects = Effects::default();
        let result = {
            let mut state = self.state.lock();
            let State::Active(active) = &mut *state else { return Err(Error::NotCoordinator) };
            let result = action(active, clock::now_ms(), &mut effects);
            active.outbox.extend(effects.writes.drain(..));
            let result = (result, !active.outbox.is_empty());
            if active.coordinator.next_deadline() < active.sleeps_until_ms {
                self.wake.notify_one();
            }
            result
        };
        for (token, response) in effects.replies {
            // A client that has gone away needs no answer.
            let _ = token.send(response);
        }
        events::log(effects.events);
        Ok(result)
    }

    /// Appends what waits to be written. Whoever holds the lock appends for all.
    fn append_all(&self) {
        loop {
            let Some(appending) = self.appending.try_lock() else { return };
            while let Some(writes) = self.next_writes() {
                let outcome = writer::append(&self.partition, self.leader_epoch, &writes);
                self.appended(&writes, &outcome);
            }
            drop(appending);
            // Someone may have come between the last look and the release, and gone away trusting in us.
            if !self.has_outbox() {
                return;
            }
        }
    }

    fn next_writes(&self) -> Option<Vec<Write>> {
        match &mut *self.state.lock() {
            State::Active(active) => writer::take(&mut active.outbox),
            State::Loading | State::Closed => None,
        }
    }

    fn has_outbox(&self) -> bool {
        matches!(&*self.state.lock(), State::Active(active) if !active.outbox.is_empty())
    }

    fn appended(&self, writes: &[Write], outcome: &Result<Produced, PartitionError>) {
        let high_watermark = self.partition.high_watermark();
        let _ = self.step(|active, now_ms, effects| {
            match outcome {
                Ok(produced) => {
                    let mut base_offset = produced.base_offset;
                    for write in writes {
                        let appended = Appended { id: write.id, base_offset, produced: *produced };
                        active.unreplicated.push_back(appended);
                        base_offset = base_offset
                            .saturating_add(i64::try_from(write.records.len()).unwrap_or(i64::MAX));
                    }
                }
                Err(error) => {
                    warn!(partition = %self.partition.name(), %error, "a group's records could not be appended");
                    let error = Error::from_append(error.code.code());
                    for write in writes {
                        active.coordinator.write_done(write.id, Err(error), now_ms, effects);
                    }
                }
            }
            active.acknowledge(high_watermark, now_ms, effects);
            if !active.unreplicated.is_empty() {
                self.wake.notify_one();
            }
        });
    }

    /// Looks after deadlines and replication until the shard is closed.
    pub async fn run(&self) {
        loop {
            let Some((until_ms, waits_for)) = self.next_wait() else { return };
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(clock::until(until_ms)) => {
                    let _ = self.act(|coordinator, now_ms, effects| coordinator.tick(now_ms, effects));
                }
                () = self.replicated(waits_for) => {
                    let high_watermark = self.partition.high_watermark();
                    let acknowledged = self.step(|active, now_ms, effects| {
                        active.acknowledge(high_watermark, now_ms, effects);
                    });
                    if matches!(acknowledged, Ok(((), true))) {
                        self.append_all();
                    }
                }
            }
        }
    }

    /// Until when to sleep, and what to wait for meanwhile; nothing once the shard is closed.
    fn next_wait(&self) -> Option<(i64, Option<Produced>)> {
        match &mut *self.state.lock() {
            State::Active(active) => {
                active.sleeps_until_ms = active.coordinator.next_deadline();
                let waits_for = active.unreplicated.front().map(|appended| appended.produced);
                Some((active.sleeps_until_ms, waits_for))
            }
            State::Loading | State::Closed => None,
        }
    }

    /// Ends when the high watermark has passed an append; never, if there is nothing to wait for or another leader
    /// epoch has begun: what becomes of the append is then known to the next coordinator alone.
    async fn replicated(&self, waits_for: Option<Produced>) {
        let Some(produced) = waits_for else { return std::future::pending().await };
        if self.partition.replicated(&produced).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Active {
    /// Tells the coordinator of every write below the high watermark, in order.
    fn acknowledge(&mut self, high_watermark: i64, now_ms: i64, effects: &mut Effects<Token>) {
        while let Some(appended) = self.unreplicated.front() {
            if appended.produced.last_offset >= high_watermark {
                return;
            }
            let (id, base_offset) = (appended.id, appended.base_offset);
            self.unreplicated.pop_front();
            self.coordinator.write_done(id, Ok(base_offset), now_ms, effects);
        }
    }
}
