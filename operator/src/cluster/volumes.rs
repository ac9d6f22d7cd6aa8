//! Volumes that grow, and become more. A StatefulSet's claim templates cannot change: the claims are grown one by one,
//! and the StatefulSet is made anew around its running pods, which it then restarts one by one where they get a volume
//! more.

use std::cmp::Ordering;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::events::EventType;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use super::apply::Problem;
use super::validate::{Invalid, Resolved};
use super::{build, quantity};
use crate::api::{MANAGER, within};
use crate::context::Context;
use crate::error::Error;

/// Where the size stands in a StatefulSet and in a claim.
const TEMPLATES: &str = "/spec/volumeClaimTemplates";
const SIZE: &str = "/spec/resources/requests/storage";

/// Brings the volumes to the size and number that the cluster asks for. Where the size cannot be, `desired` keeps the one
/// that the live StatefulSet has, and the answer says why.
pub async fn grow(
    context: &Context,
    cluster: &Resolved,
    desired: &mut DynamicObject,
    live: Option<&DynamicObject>,
) -> Result<Option<Invalid>, Problem> {
    let Some(live) = live else { return Ok(None) };
    let (Some(wanted), Some(has)) = (size_of_template(desired), size_of_template(live)) else {
        return Ok(None);
    };
    let refused = match wanted.cmp(&has) {
        Ordering::Less => {
            Some(format!("spec.storage.size is {}; a volume cannot shrink", cluster.spec.storage.size.0))
        }
        Ordering::Equal => None,
        Ordering::Greater => grow_claims(context, cluster, wanted).await?,
    };
    let grows = wanted > has && refused.is_none();
    if refused.is_some() {
        keep_size(desired, live);
    }
    if !grows && count(live) == count(desired) {
        let problem = refused.or_else(|| fewer_volumes(cluster));
        return Ok(problem.map(|message| Invalid { reason: "StorageNotResized", message }));
    }
    make_anew(context, cluster, live).await?;
    // The StatefulSet's deletion begins the next round.
    Err(Problem::Error(Error::Conflict))
}

/// Grows every claim that is smaller; says why not, where the storage class does not allow it.
async fn grow_claims(context: &Context, cluster: &Resolved, wanted: u128) -> Result<Option<String>, Problem> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &cluster.namespace);
    let size = &cluster.spec.storage.size.0;
    let selector: Vec<String> =
        build::selector(&cluster.name).iter().map(|(key, value)| format!("{key}={value}")).collect();
    for claim in within(api.list(&ListParams::default().labels(&selector.join(",")))).await? {
        let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        let has = requests.and_then(|requests| quantity::bytes(&requests.get("storage")?.0));
        if has.is_some_and(|has| has >= wanted) {
            continue;
        }
        context.may_write()?;
        let patch = json!({ "spec": { "resources": { "requests": { "storage": size } } } });
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match within(api.patch(&claim.name_any(), &parameters, &Patch::Merge(patch))).await {
            Ok(_) => {}
            Err(Error::Refused(message)) => {
                return Ok(Some(format!(
                    "the volumes stay as they are, set spec.storage.size back or use a storage class that allows \
                     expansion: {message}"
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Deletes the StatefulSet alone; its pods run on, and the new one takes them in.
async fn make_anew(context: &Context, cluster: &Resolved, live: &DynamicObject) -> Result<(), Problem> {
    context.may_write()?;
    let api: Api<StatefulSet> = Api::namespaced(context.client.clone(), &cluster.namespace);
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        preconditions: Some(Preconditions { uid: live.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    tracing::info!(
        namespace = cluster.namespace,
        name = cluster.name,
        "making a StatefulSet anew for larger or more volumes"
    );
    within(api.delete(&live.name_any(), &parameters)).await?;
    let note = format!(
        "{} of {} for each broker; the StatefulSet is made anew around the running pods",
        if cluster.volumes == 1 { "A volume".to_owned() } else { format!("{} volumes", cluster.volumes) },
        cluster.spec.storage.size.0
    );
    context
        .tell(
            &live.object_ref(&ApiResource::erase::<StatefulSet>(&())),
            EventType::Normal,
            "VolumesGrow",
            "Resize",
            note,
        )
        .await;
    Ok(())
}

/// Why the cluster has more volumes than its spec says.
fn fewer_volumes(cluster: &Resolved) -> Option<String> {
    cluster.fewer_volumes().then(|| {
        format!(
            "spec.storage.volumes is {}, and each broker has {}: a volume with records is not taken away, set it back",
            cluster.spec.storage.volumes, cluster.volumes
        )
    })
}

/// How many volumes each pod of a StatefulSet has; 0 for other objects.
pub fn count(set: &DynamicObject) -> i32 {
    let templates = set.data.pointer(TEMPLATES).and_then(Value::as_array);
    templates.and_then(|all| i32::try_from(all.len()).ok()).unwrap_or(0)
}

fn size_of_template(set: &DynamicObject) -> Option<u128> {
    let template = set.data.pointer(TEMPLATES)?.as_array()?.first()?;
    quantity::bytes(template.pointer(SIZE)?.as_str()?)
}

/// An apply with another size would be refused.
fn keep_size(desired: &mut DynamicObject, live: &DynamicObject) {
    let size = live.data.pointer(TEMPLATES).and_then(|all| all.as_array()?.first()?.pointer(SIZE)).cloned();
    let Some(size) = size else { return };
    let templates = desired.data.pointer_mut(TEMPLATES).and_then(Value::as_array_mut);
    for place in templates.into_iter().flatten().filter_map(|template| template.pointer_mut(SIZE)) {
        *place = size.clone();
    }
}
