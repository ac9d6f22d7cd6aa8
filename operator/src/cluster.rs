//! The objects that a KafkaCluster is made of: observe, validate, build, apply, status.

mod apply;
mod build;
mod diff;
mod quantity;
mod status;
mod validate;
mod volumes;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::core::DynamicObject;
use milena_crds::{KafkaCluster, names};
use tokio::time::timeout;

use crate::context::Context;
use crate::error::Error;
use crate::partitions::summarize;
use crate::world::{Handle, OwnedName};

pub use build::kinds;
pub use status::Summary;
pub use validate::Defaults;

/// Shortest time between two rounds: what changes meanwhile is one round.
const PAUSE: Duration = Duration::from_millis(100);
/// Wait after a round that failed, doubled up to the longest.
const RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Wait before a cluster is looked at again that something unwatched stands in the way of.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What a round sees: step one.
struct Observed {
    cluster: Arc<KafkaCluster>,
    owned: BTreeMap<OwnedName, Arc<DynamicObject>>,
    summary: Summary,
}

/// What this process remembers from round to round.
#[derive(Default)]
struct Memory {
    applied: HashMap<OwnedName, diff::Applied>,
    told: Option<String>,
}

/// Looks after one cluster's objects for as long as the operator runs.
pub async fn run(handle: Arc<Handle>, context: Context) {
    let mut memory = Memory::default();
    let mut failures = 0u32;
    loop {
        if !context.working().await || handle.is_closed() {
            return;
        }
        let observed = observe(&handle);
        if let Some(observed) = observed {
            let result = round(&handle, &context, &observed, &mut memory).await;
            context.metrics.reconciled("cluster", result.as_ref().err().is_none_or(Error::is_harmless));
            match result {
                Ok(settled) => {
                    failures = 0;
                    if !settled {
                        // What stands in the way is nothing that is watched: a volume's class, an object of others.
                        let _ = timeout(LOOK_AGAIN, handle.wake_objects.notified()).await;
                        continue;
                    }
                }
                Err(error) => {
                    log(&handle, &error);
                    wait(failures).await;
                    failures = failures.saturating_add(1);
                    // Conflicts go away by themselves; all else is tried again.
                    if !matches!(error, Error::Terminating) {
                        continue;
                    }
                }
            }
        } else {
            memory = Memory::default();
        }
        handle.wake_objects.notified().await;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn wait(failures: u32) {
    tokio::time::sleep(RETRY.saturating_mul(1 << failures.min(10)).min(LONGEST_RETRY)).await;
}

fn log(handle: &Handle, error: &Error) {
    let (namespace, name) = &handle.name;
    if error.is_harmless() {
        tracing::debug!(namespace, name, %error, "a reconcile of a KafkaCluster ended early");
    } else {
        tracing::warn!(namespace, name, %error, "a reconcile of a KafkaCluster failed; trying again");
    }
}

/// Step one: the state as the watches have it. `None`: there is no such cluster, or it is not ours to touch.
fn observe(handle: &Handle) -> Option<Observed> {
    let state = handle.state();
    let cluster = state.cluster.clone()?;
    if !state.planned || cluster.metadata.deletion_timestamp.is_some() || is_paused(&cluster) {
        return None;
    }
    Some(Observed { cluster, owned: state.owned.clone(), summary: summarize(&state) })
}

/// Whether somebody asked for the cluster to be left alone.
pub fn is_paused(cluster: &KafkaCluster) -> bool {
    cluster.annotations().get(names::PAUSED).is_some_and(|value| value == "true")
}

/// The steps two to five. Answers whether only a change of what is watched can change the outcome.
async fn round(
    handle: &Handle,
    context: &Context,
    observed: &Observed,
    memory: &mut Memory,
) -> Result<bool, Error> {
    let in_use = validate::InUse {
        brokers: observed.summary.brokers_in_use,
        volumes: observed.owned.values().map(|object| volumes::count(object)).max().unwrap_or(0),
    };
    let resolved = validate::validate(&observed.cluster, &context.defaults, in_use);
    let outcome = match &resolved {
        Ok(resolved) => {
            let desired = build::build(resolved)?;
            apply::apply(handle, context, observed, resolved, desired, &mut memory.applied).await
        }
        Err(invalid) => Err(apply::Problem::Spec(invalid.clone())),
    };
    let settled = resolved.is_err() || !matches!(outcome, Err(apply::Problem::Spec(_)));
    let (problem, error) = match outcome {
        Ok(()) => (None, None),
        Err(apply::Problem::Spec(invalid)) => (Some(invalid), None),
        Err(apply::Problem::Error(error)) => (apply::refusal(&error), Some(error)),
    };
    let blocked = resolved.ok().filter(validate::Resolved::scale_down_blocked);
    status::report(handle, context, blocked.as_ref(), problem, &mut memory.told).await?;
    match error {
        Some(error) => Err(error),
        None => Ok(settled),
    }
}
