//! Requests in annotations of KafkaTopics: who has carried one out takes it away, if it still says the same.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use milena_controller::Answer;
use milena_crds::topic::KafkaTopic;
use serde_json::json;

use crate::api::{MANAGER, within};
use crate::context::Context;
use crate::error::Error;
use crate::world::Handle;

/// Takes the annotation out. A newer request in its place is left there.
pub async fn carry_out(context: &Context, handle: &Handle, answer: Answer) -> Result<(), Error> {
    let result = take_out(context, handle, &answer).await;
    let mut state = handle.state();
    match result {
        Ok(mut topic) => {
            topic.managed_fields_mut().clear();
            topic.annotations_mut().remove(crate::watch::LAST_APPLIED);
            state.controller.apply_topic(Arc::new(topic));
            Ok(())
        }
        Err(error) => {
            state.controller.answer_failed(&answer.topic);
            Err(error)
        }
    }
}

async fn take_out(context: &Context, handle: &Handle, answer: &Answer) -> Result<KafkaTopic, Error> {
    context.may_write()?;
    let api: Api<KafkaTopic> = Api::namespaced(context.client.clone(), &handle.name.0);
    let path = format!("/metadata/annotations/{}", answer.annotation.replace('/', "~1"));
    let operations = json!([
        { "op": "test", "path": "/metadata/uid", "value": answer.uid },
        { "op": "test", "path": path, "value": answer.value },
        { "op": "remove", "path": path },
    ]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(operations)?);
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    within(api.patch(&answer.topic, &parameters, &patch)).await
}
