//! Produce requests of one connection that wait for their acknowledgement while later ones are taken. What they brought is
//! appended already, in their order, and they are answered in it.

use std::{
    collections::VecDeque,
    future::{pending, ready},
};

use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

use crate::api;

/// Most requests of a connection that wait; then it is read no further.
const MOST: usize = 16;

/// The requests that wait, oldest first.
#[derive(Default)]
pub struct Pipeline {
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    answer: BoxFuture<'static, api::Answer>,
    /// The share of the memory for requests, which is held until the answer.
    _memory: Option<OwnedSemaphorePermit>,
}

impl Pipeline {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether one more may wait.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MOST
    }

    /// One more waits, behind the others.
    pub fn push(&mut self, answer: BoxFuture<'static, api::Answer>, memory: Option<OwnedSemaphorePermit>) {
        self.waiting.push_back(Waiting { answer, _memory: memory });
    }

    /// One more has its answer, and has to wait until the others have theirs.
    pub fn push_answered(&mut self, answer: api::Answer) {
        self.push(Box::pin(ready(answer)), None);
    }

    /// The oldest one's answer, once there is one; without any that wait this never ends. Dropped before its end, it has
    /// taken nothing.
    pub async fn next(&mut self) -> api::Answer {
        let Some(first) = self.waiting.front_mut() else { return pending().await };
        let answer = (&mut first.answer).await;
        self.waiting.pop_front();
        if self.waiting.is_empty() {
            // A connection that idles holds nothing.
            self.waiting = VecDeque::new();
        }
        answer
    }
}
