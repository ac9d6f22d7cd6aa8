//! The end of a restore of etcd: the annotation that declares it goes, once the newest state of everything is put back.

use kube::api::{Patch, PatchParams};
use kube::runtime::events::EventType;
use kube::{Api, Resource as _, ResourceExt as _};
use milena_crds::{KafkaCluster, names};
use serde_json::json;
use std::sync::Arc;

use crate::api::{MANAGER, within};
use crate::context::Context;
use crate::error::Error;
use crate::world::Handle;

/// Takes the annotation out, if it still says `declared`.
pub async fn is_over(
    context: &Context,
    handle: &Handle,
    cluster: &KafkaCluster,
    declared: String,
) -> Result<(), Error> {
    context.may_write()?;
    let api: Api<KafkaCluster> = Api::namespaced(context.client.clone(), &handle.name.0);
    let path = format!("/metadata/annotations/{}", names::RESTORED.replace('/', "~1"));
    let operations = json!([
        { "op": "test", "path": "/metadata/uid", "value": cluster.metadata.uid },
        { "op": "test", "path": path, "value": declared },
        { "op": "remove", "path": path },
    ]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(operations)?);
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let mut got = within(api.patch(&handle.name.1, &parameters, &patch)).await?;
    got.managed_fields_mut().clear();
    got.annotations_mut().remove(crate::watch::LAST_APPLIED);
    let about = got.object_ref(&());
    handle.state().set_cluster(Some(Arc::new(got)));
    handle.wake_partitions.notify_one();
    handle.wake_objects.notify_one();
    let message = "the newest state that replicas remember is put back for every partition: the restore of etcd is over";
    context.tell(&about, EventType::Normal, "RestoreOver", "Plan", message.to_owned()).await;
    Ok(())
}
