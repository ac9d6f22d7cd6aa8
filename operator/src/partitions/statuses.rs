//! Writes the statuses of topics: many at once, and partition state never waits for them.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use milena_controller::StatusWrite;
use milena_crds::topic::KafkaTopic;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::api::{MANAGER, within};
use crate::context::Context;
use crate::error::Error;
use crate::world::Handle;

/// Writes under way at once. The API server takes about 1,000 small writes a second from sixteen writers.
const AT_ONCE: usize = 16;
/// Of those that tell of replicas out of sync alone: after a failure there are thousands of them, while the changes of
/// partitions that end it are waited for.
const MINOR_AT_ONCE: usize = 2;
/// How long a status waits that differs in nothing but replicas out of sync: a broker that restarts makes thousands of
/// them, and unmakes them a moment later.
const MINOR_WAIT: Duration = Duration::from_secs(5);
/// Wait after a write that failed.
const RETRY: Duration = Duration::from_millis(500);
/// Fields that may be absent: a merge patch has to say so.
const OPTIONAL: [&str; 3] = ["observedGeneration", "topicId", "topicName"];

/// The statuses that are to be written: at most one a topic, for the controller hands out the next one only when the
/// last one is done.
#[derive(Default)]
pub struct Statuses {
    lines: Mutex<Lines>,
    more: Notify,
}

#[derive(Default)]
struct Lines {
    /// To be written now.
    due: VecDeque<StatusWrite>,
    /// To be written now, a few at a time.
    due_minor: VecDeque<StatusWrite>,
    /// To be judged anew later, in the order of their times.
    minor: VecDeque<(Instant, String)>,
    /// Those that have waited: what is still to be written is written.
    waited: HashSet<String>,
}

impl Lines {
    fn put(&mut self, write: StatusWrite, now: Instant) {
        let waited = self.waited.remove(&write.name);
        match (write.minor, waited) {
            (false, _) => self.due.push_back(write),
            (true, true) => self.due_minor.push_back(write),
            (true, false) => self.minor.push_back((now + MINOR_WAIT, write.name)),
        }
    }

    /// The next one to be written while so many are under way.
    fn next(&mut self, under_way: usize) -> Option<StatusWrite> {
        match under_way {
            ..MINOR_AT_ONCE => self.due.pop_front().or_else(|| self.due_minor.pop_front()),
            MINOR_AT_ONCE..AT_ONCE => self.due.pop_front(),
            _ => None,
        }
    }

    /// The names whose wait is over.
    fn ripe(&mut self, now: Instant) -> Vec<String> {
        let count = self.minor.partition_point(|(until, _)| *until <= now);
        let names: Vec<String> = self.minor.drain(..count).map(|(_, name)| name).collect();
        self.waited.extend(names.iter().cloned());
        names
    }
}

impl Statuses {
    /// Puts statuses in line.
    pub fn put(&self, writes: Vec<StatusWrite>) {
        if !writes.is_empty() {
            let (mut lines, now) = (self.lines(), Instant::now());
            writes.into_iter().for_each(|write| lines.put(write, now));
            drop(lines);
            self.more.notify_one();
        }
    }

    fn next(&self, under_way: usize) -> Option<StatusWrite> {
        self.lines().next(under_way)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes, for as long as the operator runs.
    pub async fn run(self: Arc<Self>, handle: Arc<Handle>, context: Context) {
        let api: Api<KafkaTopic> = Api::namespaced(context.client.clone(), &handle.name.0);
        let mut under_way = FuturesUnordered::new();
        loop {
            let (ripe, next) = {
                let mut lines = self.lines();
                let ripe = lines.ripe(Instant::now());
                (ripe, lines.minor.front().map(|(until, _)| *until))
            };
            judge_anew(&handle, &ripe);
            while let Some(write) = self.next(under_way.len()) {
                under_way.push(carry_out(&context, &api, write));
            }
            tokio::select! {
                Some((name, answer)) = under_way.next() => hand_in(&handle, &name, answer),
                () = self.more.notified(), if under_way.len() < AT_ONCE => {}
                () = until(next), if next.is_some() => {}
            }
        }
    }
}

async fn until(time: Option<Instant>) {
    if let Some(time) = time {
        tokio::time::sleep_until(time.into()).await;
    }
}

/// The controller hands out the statuses again that still differ.
fn judge_anew(handle: &Handle, names: &[String]) {
    if !names.is_empty() {
        let mut state = handle.state();
        names.iter().for_each(|name| state.controller.status_done(name));
        drop(state);
        handle.wake_partitions.notify_one();
    }
}

/// What the API server has now goes back to where the next plan is made.
fn hand_in(handle: &Handle, name: &str, answer: Option<KafkaTopic>) {
    let mut state = handle.state();
    if let Some(mut topic) = answer {
        topic.managed_fields_mut().clear();
        topic.annotations_mut().remove(crate::watch::LAST_APPLIED);
        state.controller.apply_topic(Arc::new(topic));
    }
    state.controller.status_done(name);
    drop(state);
    handle.wake_partitions.notify_one();
}

/// Writes one status. `None`: it could not be; what is to be written is judged anew.
async fn carry_out(
    context: &Context,
    api: &Api<KafkaTopic>,
    write: StatusWrite,
) -> (String, Option<KafkaTopic>) {
    let answer = match patch(context, api, &write).await {
        Ok(topic) => Some(topic),
        Err(error) => {
            if !error.is_harmless() {
                tracing::warn!(topic = write.name, %error, "the status of a topic could not be written");
            }
            // An object that is gone, or not ours to write, is no reason to hurry.
            tokio::time::sleep(RETRY).await;
            None
        }
    };
    (write.name, answer)
}

async fn patch(context: &Context, api: &Api<KafkaTopic>, write: &StatusWrite) -> Result<KafkaTopic, Error> {
    context.may_write()?;
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let mut status = serde_json::to_value(&write.status)?;
    if let Some(fields) = status.as_object_mut() {
        for name in OPTIONAL {
            fields.entry(name).or_insert(Value::Null);
        }
    }
    // An object made anew under the name is another one: the API server answers with a conflict.
    let body = json!({ "metadata": { "uid": write.uid }, "status": status });
    within(api.patch_status(&write.name, &parameters, &Patch::Merge(body))).await
}

#[cfg(test)]
mod tests {
    use milena_crds::topic::KafkaTopicStatus;

    use super::*;

    fn write(name: &str, minor: bool) -> StatusWrite {
        StatusWrite { name: name.to_owned(), uid: None, status: KafkaTopicStatus::default(), minor }
    }

    #[test]
    fn what_passes_by_itself_is_not_written() {
        let (mut lines, begun) = (Lines::default(), Instant::now());
        lines.put(write("offline", false), begun);
        lines.put(write("behind", true), begun);
        lines.put(write("passing", true), begun + MINOR_WAIT / 2);
        assert_eq!(lines.due.iter().map(|write| write.name.as_str()).collect::<Vec<_>>(), ["offline"]);
        assert!(lines.ripe(begun).is_empty());
        assert_eq!(lines.ripe(begun + MINOR_WAIT), ["behind"]);
        // Judged anew: it still differs.
        lines.put(write("behind", true), begun + MINOR_WAIT);
        // The next one waits again.
        lines.put(write("behind", true), begun + MINOR_WAIT);
        assert_eq!((lines.due.len(), lines.due_minor.len()), (1, 1));
        let name = |write: Option<StatusWrite>| write.map(|write| write.name);
        assert_eq!(name(lines.next(AT_ONCE)), None);
        assert_eq!(name(lines.next(MINOR_AT_ONCE)).as_deref(), Some("offline"));
        assert_eq!(
            name(lines.next(MINOR_AT_ONCE)),
            None,
            "what passes by itself does not crowd out the rest"
        );
        assert_eq!(name(lines.next(MINOR_AT_ONCE - 1)).as_deref(), Some("behind"));
    }
}
