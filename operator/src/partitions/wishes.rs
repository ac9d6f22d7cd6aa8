//! Takes away annotations that asked for elections, once those were held or cannot be.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use milena_controller::WishesDone;
use milena_crds::{KafkaTopic, names};
use serde_json::json;

use crate::api::{MANAGER, within};
use crate::context::Context;
use crate::error::Error;
use crate::world::Handle;

/// Annotations taken away at once.
const AT_ONCE: usize = 16;
/// Wait after one that stays.
const RETRY: Duration = Duration::from_millis(500);

/// Takes the annotations away, and hands in what the API server has then.
pub async fn take_away(context: Context, handle: Arc<Handle>, done: Vec<WishesDone>) {
    let api: Api<KafkaTopic> = Api::namespaced(context.client.clone(), &handle.name.0);
    let all = futures::stream::iter(done).map(|done| one(&context, &api, &handle, done));
    all.buffer_unordered(AT_ONCE).for_each(|()| std::future::ready(())).await;
    handle.wake_partitions.notify_one();
}

async fn one(context: &Context, api: &Api<KafkaTopic>, handle: &Handle, done: WishesDone) {
    let topic = match patch(context, api, &done).await {
        Ok(mut topic) => {
            topic.managed_fields_mut().clear();
            topic.annotations_mut().remove(crate::watch::LAST_APPLIED);
            Some(Arc::new(topic))
        }
        Err(error) => {
            if !error.is_harmless() {
                tracing::warn!(topic = done.name, %error, "the annotation {} stays for now", names::ELECT_LEADERS);
            }
            tokio::time::sleep(RETRY).await;
            None
        }
    };
    let mut state = handle.state();
    if let Some(topic) = topic {
        state.controller.apply_topic(topic);
    }
    state.controller.wishes_done(&done.name);
}

/// Only the annotation that was read: one that has changed since asks for something else.
async fn patch(context: &Context, api: &Api<KafkaTopic>, done: &WishesDone) -> Result<KafkaTopic, Error> {
    context.may_write()?;
    let path = format!("/metadata/annotations/{}", names::ELECT_LEADERS.replace('/', "~1"));
    let operations = serde_json::from_value(json!([
        { "op": "test", "path": "/metadata/uid", "value": done.uid },
        { "op": "test", "path": path, "value": done.text },
        { "op": "remove", "path": path },
    ]))?;
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    within(api.patch(&done.name, &parameters, &Patch::<()>::Json(operations))).await
}
