//! A coordinator with a log behind it that can be held up, fail, and be read back by another coordinator.

#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::VecDeque;
use std::sync::Arc;

use milena_groups::{Config, Coordinator, Effects, Error, LogRecord, Replay, Response, Write};

/// A coordinator, its log, and the writes that the log has not answered yet.
pub struct World<R> {
    pub config: Arc<Config>,
    pub coordinator: Coordinator<R>,
    pub log: Vec<LogRecord>,
    pub writes: VecDeque<Write>,
    pub now_ms: i64,
    pub replies: Vec<(R, Response)>,
}

impl<R> World<R> {
    pub fn new(config: Config) -> Self {
        let config = Arc::new(config);
        let coordinator = Replay::default().finish(config.clone(), 0, &mut Effects::default());
        Self { config, coordinator, log: Vec::new(), writes: VecDeque::new(), now_ms: 0, replies: Vec::new() }
    }

    /// Lets the coordinator do something and collects what follows.
    pub fn act<T>(&mut self, action: impl FnOnce(&mut Coordinator<R>, i64, &mut Effects<R>) -> T) -> T {
        let mut effects = Effects::default();
        let result = action(&mut self.coordinator, self.now_ms, &mut effects);
        self.take(effects);
        result
    }

    fn take(&mut self, effects: Effects<R>) {
        self.replies.extend(effects.replies);
        for write in effects.writes {
            assert!(!write.records.is_empty(), "a write without records");
            self.writes.push_back(write);
        }
    }

    /// The log answers the oldest write.
    pub fn write_done(&mut self, failure: Option<Error>) {
        let write = self.writes.pop_front().expect("a write under way");
        let result = match failure {
            Some(error) => Err(error),
            None => {
                let base_offset = i64::try_from(self.log.len()).unwrap();
                self.log.extend(write.records);
                Ok(base_offset)
            }
        };
        self.act(|coordinator, now_ms, effects| coordinator.write_done(write.id, result, now_ms, effects));
    }

    /// The log answers every write.
    pub fn settle(&mut self) {
        while !self.writes.is_empty() {
            self.write_done(None);
        }
    }

    /// Time passes; everything that falls due on the way happens when it is due.
    pub fn advance_to(&mut self, now_ms: i64) {
        while self.coordinator.next_deadline() <= now_ms {
            self.now_ms = self.now_ms.max(self.coordinator.next_deadline());
            self.act(|coordinator, now_ms, effects| coordinator.tick(now_ms, effects));
        }
        self.now_ms = now_ms;
    }

    /// The coordinator moves: everyone that waits is sent away, what was being written may or may not have
    /// reached the log, and the next one reads the log.
    pub fn move_coordinator(&mut self, writes_kept: usize) {
        for write in self.writes.drain(..).take(writes_kept) {
            self.log.extend(write.records);
        }
        let mut effects = Effects::default();
        let next = replay(&self.log).finish(self.config.clone(), self.now_ms, &mut effects);
        let last = std::mem::replace(&mut self.coordinator, next);
        self.replies.extend(last.unload());
        self.take(effects);
    }
}

pub fn replay(log: &[LogRecord]) -> Replay {
    let mut replay = Replay::default();
    for (offset, record) in (0_i64..).zip(log) {
        replay.record(offset, &record.key, record.value.as_deref()).unwrap();
    }
    replay
}
