//! Step four: server-side apply of what is missing or different, and deletion of what is no longer wanted.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::DynamicObject;
use kube::runtime::events::EventType;
use kube::{Resource as _, ResourceExt as _};
use milena_crds::names;

use super::build::Desired;
use super::diff::{self, Applied, Reason};
use super::validate::{Invalid, Resolved};
use super::{Observed, volumes};
use crate::api::{MANAGER, within};
use crate::context::Context;
use crate::error::Error;
use crate::world::{Handle, OwnedName};

/// Why the cluster's objects are not as they should be.
pub enum Problem {
    /// Something that only the user can change; trying again is of no use.
    Spec(Invalid),
    /// Something that may be over when it is tried again.
    Error(Error),
}

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// What the status says when the API server refuses an object.
pub fn refusal(error: &Error) -> Option<Invalid> {
    match error {
        Error::Refused(message) => Some(Invalid { reason: "Refused", message: message.clone() }),
        Error::Api(error) => Some(Invalid { reason: "ApiServerTrouble", message: error.to_string() }),
        _ => None,
    }
}

/// Applies what differs, in order, then deletes what is no longer wanted.
pub async fn apply(
    handle: &Handle,
    context: &Context,
    observed: &Observed,
    cluster: &Resolved,
    desired: Vec<Desired>,
    memory: &mut HashMap<OwnedName, Applied>,
) -> Result<(), Problem> {
    let mut wanted = BTreeSet::new();
    let mut problem = None;
    for mut desired in desired {
        let name: OwnedName = (desired.resource.plural.clone(), desired.object.name_any());
        let live = observed.owned.get(&name).map(Arc::as_ref);
        if name.0 == "statefulsets" {
            // The rest of the StatefulSet is kept right even where its volumes cannot be.
            problem = volumes::grow(context, cluster, &mut desired.object, live).await?;
        }
        let sent = diff::hash(&desired.object);
        if let Some(reason) = diff::decide(&desired.object, sent, live, memory.get(&name).copied()) {
            let got = put(context, cluster, &desired, sent, live).await?;
            memory.insert(name.clone(), Applied { sent, got: diff::fingerprint(&got) });
            handle.state().owned.insert(name.clone(), Arc::new(got));
            tell(context, observed, &desired.object, reason, live).await;
        } else if let (None, Some(live)) = (memory.get(&name), live) {
            memory.insert(name.clone(), Applied { sent, got: diff::fingerprint(live) });
        }
        wanted.insert(name);
    }
    prune(handle, context, observed, &wanted).await?;
    problem.map_or(Ok(()), |invalid| Err(Problem::Spec(invalid)))
}

/// Applies one object.
async fn put(
    context: &Context,
    cluster: &Resolved,
    desired: &Desired,
    sent: u64,
    live: Option<&DynamicObject>,
) -> Result<DynamicObject, Problem> {
    context.may_write()?;
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &cluster.namespace, &desired.resource);
    let name = desired.object.name_any();
    // What has the name but not the label may be anybody's.
    let present = match live {
        Some(live) => Some(live.clone()),
        None => within(api.get_opt(&name)).await?,
    };
    if let Some(present) = present {
        belongs(&present, cluster, &desired.resource.kind)?;
    }
    let mut object = desired.object.clone();
    object.annotations_mut().insert(names::APPLIED.to_owned(), diff::text(sent));
    tracing::info!(namespace = cluster.namespace, kind = desired.resource.kind, name, "applying an object");
    let parameters = PatchParams::apply(MANAGER).force();
    let mut got = within(api.patch(&name, &parameters, &Patch::Apply(&object))).await?;
    got.managed_fields_mut().clear();
    Ok(got)
}

/// Never take over an object of somebody else, nor one of an earlier cluster of that name that is about to go.
fn belongs(present: &DynamicObject, cluster: &Resolved, kind: &str) -> Result<(), Problem> {
    if present.metadata.deletion_timestamp.is_some() {
        return Err(Problem::Error(Error::Conflict));
    }
    if present.owner_references().iter().any(|owner| owner.uid == cluster.uid) {
        return Ok(());
    }
    let name = present.name_any();
    let message = format!(
        "the {kind} {name} exists and does not belong to this KafkaCluster; delete it, or create the KafkaCluster \
         under another name"
    );
    Err(Problem::Spec(Invalid { reason: "NameTaken", message }))
}

/// Deletes objects of this cluster that are no longer wanted.
async fn prune(
    handle: &Handle,
    context: &Context,
    observed: &Observed,
    wanted: &BTreeSet<OwnedName>,
) -> Result<(), Problem> {
    let uid = observed.cluster.uid();
    for (name, live) in &observed.owned {
        let ours = live.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref());
        if wanted.contains(name) || !ours || live.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let Some(resource) = super::kinds().into_iter().find(|kind| kind.plural == name.0) else { continue };
        context.may_write()?;
        let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &handle.name.0, &resource);
        let same = Preconditions { uid: live.uid(), resource_version: None };
        tracing::info!(namespace = handle.name.0, kind = resource.kind, name = name.1, "deleting an object");
        match within(api.delete(&name.1, &DeleteParams::default().preconditions(same))).await {
            Ok(_) | Err(Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Tells the user what was put back.
async fn tell(
    context: &Context,
    observed: &Observed,
    object: &DynamicObject,
    reason: Reason,
    live: Option<&DynamicObject>,
) {
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    let name = object.name_any();
    // Absent when the cluster was already seen to be made: somebody deleted it.
    let made = observed.cluster.status.as_ref().is_some_and(|status| status.observed_generation.is_some());
    let note = match reason {
        Reason::Edited if live.is_some() => {
            format!("The {kind} {name} was changed by somebody else; it is put back")
        }
        Reason::Absent if made => format!("The {kind} {name} was missing; it is put back"),
        _ => return,
    };
    // Events of one reason and action count as one, with the first one's note.
    let action = format!("Apply{kind}");
    context.tell(&observed.cluster.object_ref(&()), EventType::Warning, "PutBack", &action, note).await;
}
