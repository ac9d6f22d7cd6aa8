//! Step five: what people see of a KafkaCluster.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::EventType;
use kube::{Resource as _, ResourceExt as _};
use milena_crds::cluster::{KafkaClusterStatus, ListenerStatus, MissingTopic};
use milena_crds::{KafkaCluster, names};
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;
use uuid::Uuid;

use super::build;
use super::validate::{Invalid, Resolved};
use crate::api::{MANAGER, status_patch, within};
use crate::context::Context;
use crate::error::Error;
use crate::partitions::summarize;
use crate::world::Handle;

/// Whether the cluster serves.
const READY: &str = "Ready";
/// Whether brokers can use all of their log directories.
const LOG_DIRECTORIES: &str = "LogDirectories";
/// Whether every partition has its newest state, after etcd was restored.
const RESTORED: &str = "Restored";

/// What the partitions' task knows that the status of the cluster tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Topics of the cluster.
    pub topics: i32,
    /// Partitions of those.
    pub partitions: i32,
    /// Partitions without a leader.
    pub offline: i32,
    /// Partitions of which some replica is not in sync.
    pub under_replicated: i32,
    /// Topics that were found missing.
    pub missing: Vec<MissingTopic>,
    /// One more than the highest id of a broker that holds a replica.
    pub brokers_in_use: i32,
    /// Brokers that cannot serve some of their partitions, with how many that are, where that can be told.
    pub troubled: BTreeMap<i32, Option<usize>>,
    /// Partitions on whose state nobody acts since etcd was restored.
    pub held: i32,
    /// Brokers that are waited for there.
    pub awaited: BTreeSet<i32>,
    /// A restore of etcd is declared.
    pub declared: bool,
    /// Partitions that move.
    pub moving: i32,
    /// Replicas that are still to leave a broker.
    pub to_move: i32,
    /// Topics that keep brokers from leaving.
    pub stuck: Vec<String>,
    /// The version that every broker runs, if it is one.
    pub version: Option<String>,
}

/// The verdict of one round.
struct Verdict {
    ready: bool,
    /// Whether there is nothing to worry about: it is good, or on its way.
    calm: bool,
    reason: &'static str,
    message: String,
}

/// Writes the status if it differs from what stands there, and an Event where the verdict is new.
pub async fn report(
    handle: &Handle,
    context: &Context,
    blocked: Option<&Resolved>,
    problem: Option<Invalid>,
    told: &mut Option<String>,
) -> Result<(), Error> {
    let (cluster, summary, set) = {
        let state = handle.state();
        let Some(cluster) = state.cluster.clone() else { return Ok(()) };
        let set = state.owned.get(&("statefulsets".to_owned(), handle.name.1.clone())).cloned();
        (cluster, summarize(&state), set)
    };
    let set: Option<StatefulSet> = set.and_then(|set| set.as_ref().clone().try_parse().ok());
    let progress = set.as_ref().and_then(|set| set.status.clone()).unwrap_or_default();
    let verdict = judge(&cluster, &summary, set.as_ref(), &progress, blocked, problem);
    let wanted = status(&cluster, summary, &progress, &verdict);
    if cluster.status.as_ref() == Some(&wanted) {
        return Ok(());
    }
    context.may_write()?;
    let api: Api<KafkaCluster> = Api::namespaced(context.client.clone(), &handle.name.0);
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(status_patch(cluster.status.as_ref(), &wanted)?);
    let mut got = within(api.patch_status(&handle.name.1, &parameters, &patch)).await?;
    got.managed_fields_mut().clear();
    remember(handle, got);
    if told.as_deref() != Some(verdict.reason) {
        *told = Some(verdict.reason.to_owned());
        let type_ = if verdict.calm { EventType::Normal } else { EventType::Warning };
        context.tell(&cluster.object_ref(&()), type_, verdict.reason, "Reconcile", verdict.message).await;
    }
    Ok(())
}

/// What this process wrote is known before the watch brings it.
fn remember(handle: &Handle, got: KafkaCluster) {
    let mut state = handle.state();
    if let Some(known) = &state.cluster
        && known.uid() == got.uid()
        && known.metadata.generation == got.metadata.generation
    {
        state.cluster = Some(Arc::new(got));
    }
}

/// The condition of type Ready: the first thing that stands in the way.
fn judge(
    cluster: &KafkaCluster,
    summary: &Summary,
    set: Option<&StatefulSet>,
    progress: &StatefulSetStatus,
    blocked: Option<&Resolved>,
    problem: Option<Invalid>,
) -> Verdict {
    let no = |reason, message| Verdict { ready: false, calm: false, reason, message };
    let soon = |reason, message| Verdict { calm: true, ..no(reason, message) };
    if let Some(problem) = problem {
        return no(problem.reason, problem.message);
    }
    if let Some(blocked) = blocked {
        let message = scaling_down(blocked, summary);
        return if summary.stuck.is_empty() {
            soon("ScalingDown", message)
        } else {
            no("ScaleDownBlocked", message)
        };
    }
    let wanted = cluster.spec.brokers;
    let ready = progress.ready_replicas.unwrap_or(0);
    let updated = progress.updated_replicas.unwrap_or(0);
    let seen = set.and_then(|set| set.metadata.generation);
    if seen.is_none() || progress.observed_generation < seen || progress.replicas != wanted {
        return soon("Scaling", format!("{} of {wanted} brokers have a pod", progress.replicas));
    }
    if updated < wanted && progress.update_revision != progress.current_revision {
        return soon("RollingUpdate", format!("{updated} of {wanted} brokers run with the current settings"));
    }
    if ready < wanted {
        let pods = format!("kubectl get pods -l {}={}", names::CLUSTER, cluster.name_any());
        let message = format!("{ready} of {wanted} brokers serve; see the pods: {pods}");
        return match reason_before(cluster) {
            None | Some("Scaling" | "Starting") => soon("Starting", message),
            Some("RollingUpdate") => soon("RollingUpdate", message),
            Some(_) => no("BrokersNotReady", message),
        };
    }
    if summary.held > 0 {
        let message = format!(
            "etcd was restored from a backup, and {} partitions have no leader until their newest state is put back: see \
             the condition {RESTORED}",
            summary.held
        );
        return no("Restoring", message);
    }
    if summary.offline > 0 {
        let message = format!(
            "{} partitions have no leader; see which topics are not ready: kubectl get kafkatopics",
            summary.offline
        );
        return no("OfflinePartitions", message);
    }
    Verdict { ready: true, calm: true, reason: "Ready", message: format!("all {wanted} brokers serve") }
}

/// The reason that stands in the status.
fn reason_before(cluster: &KafkaCluster) -> Option<&str> {
    condition_before(cluster, READY).map(|before| before.reason.as_str())
}

fn condition_before<'a>(cluster: &'a KafkaCluster, type_: &str) -> Option<&'a Condition> {
    cluster.status.iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == type_)
}

fn scaling_down(cluster: &Resolved, summary: &Summary) -> String {
    let (wanted, runs) = (cluster.spec.brokers, cluster.brokers);
    if summary.stuck.is_empty() {
        return format!(
            "{runs} brokers go on running until {wanted} have all partitions: {} move, {} replicas are still to leave",
            summary.moving, summary.to_move
        );
    }
    format!(
        "spec.brokers is {wanted}, but {runs} brokers go on running: these topics have more replicas than {wanted} \
         brokers can hold: {}. Give them fewer (replicas of the KafkaTopic), or set spec.brokers back to {runs}",
        summary.stuck.join(", ")
    )
}

fn selector(cluster: &KafkaCluster) -> String {
    let labels = build::selector(&cluster.name_any());
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn status(
    cluster: &KafkaCluster,
    summary: Summary,
    progress: &StatefulSetStatus,
    verdict: &Verdict,
) -> KafkaClusterStatus {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let bootstrap = format!("{}.{namespace}.svc:{}", names::bootstrap_service(&name), names::KAFKA_PORT);
    let id = cluster.uid().and_then(|uid| Uuid::parse_str(&uid).ok());
    KafkaClusterStatus {
        conditions: iter::once(ready(cluster, verdict))
            .chain(trouble(cluster, &summary.troubled))
            .chain(restored(cluster, &summary))
            .collect(),
        observed_generation: cluster.metadata.generation,
        brokers: progress.replicas,
        ready_brokers: progress.ready_replicas.unwrap_or(0),
        selector: Some(selector(cluster)),
        version: summary.version,
        cluster_id: id.map(names::kafka_uuid),
        listeners: vec![ListenerStatus { name: "internal".to_owned(), bootstrap_servers: bootstrap }],
        topics: summary.topics,
        partitions: summary.partitions,
        offline_partitions: summary.offline,
        under_replicated_partitions: summary.under_replicated,
        reassigning_partitions: summary.moving,
        replicas_to_move: summary.to_move,
        missing_topics: summary.missing,
    }
}

fn ready(cluster: &KafkaCluster, verdict: &Verdict) -> Condition {
    let value = if verdict.ready { "True" } else { "False" };
    condition(cluster, READY, value, verdict.reason, verdict.message.clone())
}

/// The condition of type LogDirectories, which is there only while brokers cannot serve all that they hold.
fn trouble(cluster: &KafkaCluster, troubled: &BTreeMap<i32, Option<usize>>) -> Option<Condition> {
    let (first, _) = troubled.first_key_value()?;
    let told = troubled.iter().map(|(id, count)| match count {
        Some(count) => format!("broker {id} cannot serve {count} of its partitions"),
        None => format!("broker {id} cannot serve its partitions"),
    });
    let name = cluster.name_any();
    let message = format!(
        "{}: a log directory failed, or logs in it cannot be opened; others lead them where they can. The log of the \
         broker says which and why (kubectl logs {name}-{first}); mend the disk, then delete the pod",
        told.collect::<Vec<_>>().join("; ")
    );
    Some(condition(cluster, LOG_DIRECTORIES, "False", "PartitionsNotServed", message))
}

/// The condition of type Restored, which is there only while partitions wait for their newest state.
fn restored(cluster: &KafkaCluster, summary: &Summary) -> Option<Condition> {
    if summary.held == 0 && !summary.declared {
        return None;
    }
    let ids: Vec<String> = summary.awaited.iter().map(ToString::to_string).collect();
    let (held, ids) = (summary.held, ids.join(","));
    let (reason, message) = match ids.is_empty() {
        true => ("PuttingBack", format!("the newest state of {held} partitions is about to be put back")),
        false => {
            let name = cluster.name_any();
            let message = format!(
                "nobody leads {held} partitions until every replica has said which state it remembers; waiting for broker \
                 {ids}. Start it; or give up what it alone knows: kubectl annotate --overwrite kafkacluster {name} \
                 {}=\"true without={ids}\"",
                names::RESTORED
            );
            ("WaitingForBrokers", message)
        }
    };
    Some(condition(cluster, RESTORED, "False", reason, message))
}

/// The time of the transition stays while the status does.
fn condition(cluster: &KafkaCluster, type_: &str, value: &str, reason: &str, message: String) -> Condition {
    let before = condition_before(cluster, type_);
    let since =
        before.filter(|before| before.status == value).map(|before| before.last_transition_time.clone());
    Condition {
        type_: type_.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: cluster.metadata.generation,
        last_transition_time: since.unwrap_or_else(now),
    }
}

/// To the second, as the API server keeps times.
fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use milena_crds::KafkaClusterSpec;
    use serde_json::json;

    use super::*;

    fn told(summary: &Summary) -> Option<(String, String)> {
        let spec: KafkaClusterSpec = serde_json::from_value(json!({ "storage": { "size": "1Gi" } })).unwrap();
        let condition = restored(&KafkaCluster::new("demo", spec), summary)?;
        assert_eq!((condition.type_.as_str(), condition.status.as_str()), (RESTORED, "False"));
        Some((condition.reason, condition.message))
    }

    #[test]
    fn a_restore_says_who_is_waited_for_and_what_to_do() {
        assert_eq!(told(&Summary::default()), None);
        let (reason, _) = told(&Summary { declared: true, ..Summary::default() }).unwrap();
        assert_eq!(reason, "PuttingBack");
        let waits = Summary { held: 7, awaited: [1, 4].into(), ..Summary::default() };
        let (reason, message) = told(&waits).unwrap();
        assert_eq!(reason, "WaitingForBrokers");
        for part in
            ["7 partitions", "broker 1,4.", "kafkacluster demo", "milena.dev/restored=\"true without=1,4\""]
        {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}
