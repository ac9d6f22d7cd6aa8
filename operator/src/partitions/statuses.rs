//! Writes the statuses of topics: many at once, and partition state never waits for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
/// Wait after a write that failed.
const RETRY: Duration = Duration::from_millis(500);
/// Fields that may be absent: a merge patch has to say so.
const OPTIONAL: [&str; 3] = ["observedGeneration", "topicId", "topicName"];

/// The statuses that are to be written: at most one a topic, for the controller hands out the next one only when the
/// last one is done.
#[derive(Default)]
pub struct Statuses {
    line: Mutex<VecDeque<StatusWrite>>,
    more: Notify,
}

impl Statuses {
    /// Puts statuses in line.
    pub fn put(&self, writes: Vec<StatusWrite>) {
        if !writes.is_empty() {
            self.line().extend(writes);
            self.more.notify_one();
        }
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<StatusWrite>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes, for as long as the operator runs.
    pub async fn run(self: Arc<Self>, handle: Arc<Handle>, context: Context) {
        let api: Api<KafkaTopic> = Api::namespaced(context.client.clone(), &handle.name.0);
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < AT_ONCE {
                let Some(write) = self.line().pop_front() else { break };
                under_way.push(carry_out(&context, &api, write));
            }
            tokio::select! {
                Some((name, answer)) = under_way.next() => hand_in(&handle, &name, answer),
                () = self.more.notified(), if under_way.len() < AT_ONCE => {}
            }
        }
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
