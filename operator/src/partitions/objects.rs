//! KafkaPartitions objects: which version of each is known, and their writing by compare-and-swap.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, ResourceExt as _};
use milena_controller::{ChunkWrite, Cluster, Plan};
use milena_crds::partitions::KafkaPartitions;
use milena_crds::{KafkaCluster, names};

use crate::api::{MANAGER, owner, within};
use crate::context::Context;
use crate::error::Error;
use crate::world::State;

/// The objects of one cluster as they were last seen.
#[derive(Debug, Default)]
pub struct Objects {
    known: BTreeMap<u32, Known>,
}

#[derive(Debug)]
struct Known {
    version: String,
    /// The KafkaCluster with which the object goes.
    owner: Option<String>,
}

impl Objects {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// The resourceVersion of an object as it was last seen.
    pub fn version(&self, chunk: u32) -> Option<String> {
        self.known.get(&chunk).map(|known| known.version.clone())
    }
}

/// The resourceVersions that the writes of a plan are to be tested against, in their order.
pub type Versions = Vec<Option<String>>;

impl State {
    /// What to write now, and the versions of the objects that it was decided on. They are taken here: what a watch
    /// brings before the write has a newer version, over which an old decision must not be written (rule 1).
    pub fn plan(&mut self, now: Timestamp) -> (Plan, Versions) {
        let plan = self.controller.plan(now);
        let versions = plan.chunks.iter().map(|write| self.objects.version(write.chunk)).collect();
        (plan, versions)
    }

    /// A KafkaPartitions object as a watch or an answer shows it.
    pub fn apply_chunk(&mut self, object: KafkaPartitions) {
        let Some(chunk) = names::chunk_of_object(&object.spec.cluster, &object.name_any()) else { return };
        let known =
            Known { version: object.resource_version().unwrap_or_default(), owner: owner_of(&object) };
        let older = |last: &Known| number(&known.version) < number(&last.version);
        if self.objects.known.get(&chunk).is_some_and(older) || self.is_foreign(&known) {
            return;
        }
        self.objects.known.insert(chunk, known);
        self.controller.apply_chunk(chunk, object.spec);
    }

    /// A KafkaPartitions object that is gone, or missing.
    pub fn remove_chunk(&mut self, cluster: &str, name: &str, version: Option<&str>) {
        let Some(chunk) = names::chunk_of_object(cluster, name) else { return };
        let newer = |last: &Known| version.is_some_and(|gone| number(gone) < number(&last.version));
        if self.objects.known.get(&chunk).is_some_and(newer) {
            return;
        }
        self.objects.known.remove(&chunk);
        self.controller.remove_chunk(chunk);
    }

    /// The KafkaCluster is there, has changed, or is gone.
    pub fn set_cluster(&mut self, cluster: Option<Arc<KafkaCluster>>) {
        self.cluster = cluster;
        let known = &self.objects.known;
        let foreign: Vec<u32> =
            known.iter().filter(|(_, known)| self.is_foreign(known)).map(|(id, _)| *id).collect();
        if !foreign.is_empty() {
            // The cluster was made anew before all of the former one was gone: its partitions went with it.
            self.controller.apply_cluster(None);
            for chunk in foreign {
                self.objects.known.remove(&chunk);
                self.controller.remove_chunk(chunk);
            }
        }
        self.controller.apply_cluster(self.cluster.as_deref().map(Cluster::from));
    }

    /// Whether an object belongs to an earlier cluster of the same name, and is about to go after it.
    fn is_foreign(&self, known: &Known) -> bool {
        let uid = self.cluster.as_ref().and_then(|cluster| cluster.uid());
        known.owner.is_some() && uid.is_some() && known.owner != uid
    }
}

fn owner_of(object: &KafkaPartitions) -> Option<String> {
    object.owner_references().iter().find(|owner| owner.kind == "KafkaCluster").map(|owner| owner.uid.clone())
}

/// Versions of one object are in the order of their numbers.
fn number(version: &str) -> u64 {
    version.parse().unwrap_or_default()
}

/// Writes an object over the version that the decision was made on.
///
/// # Errors
/// [`Error::Conflict`] if it is no longer that version, [`Error::NotFound`] if it is gone.
pub async fn write(
    context: &Context,
    cluster: &KafkaCluster,
    version: Option<String>,
    write: &ChunkWrite,
) -> Result<KafkaPartitions, Error> {
    context.may_write()?;
    let name = names::partitions_object(&cluster.name_any(), write.chunk);
    let version = version.filter(|_| !write.create);
    let object =
        KafkaPartitions { metadata: metadata(cluster, name.clone(), version), spec: write.spec.clone() };
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let api = api(context, cluster);
    let written = if write.create {
        within(api.create(&parameters, &object)).await?
    } else {
        within(api.replace(&name, &parameters, &object)).await?
    };
    Ok(written)
}

/// An object as it is now, past every cache.
///
/// # Errors
/// When the API server does not answer.
pub async fn read(
    context: &Context,
    cluster: &KafkaCluster,
    chunk: u32,
) -> Result<Option<KafkaPartitions>, Error> {
    within(api(context, cluster).get_opt(&names::partitions_object(&cluster.name_any(), chunk))).await
}

fn api(context: &Context, cluster: &KafkaCluster) -> Api<KafkaPartitions> {
    Api::namespaced(context.client.clone(), &cluster.namespace().unwrap_or_default())
}

/// The state of partitions goes with the cluster only where the volumes do: records that stay could not be found again
/// without it, for epochs must never go back.
fn metadata(cluster: &KafkaCluster, name: String, version: Option<String>) -> ObjectMeta {
    let labels = [
        (names::CLUSTER, cluster.name_any()),
        (names::MANAGED_BY, MANAGER.to_owned()),
        (names::COMPONENT, "partitions".to_owned()),
    ];
    let goes = cluster.spec.storage.delete_with_cluster;
    let owners = cluster.uid().filter(|_| goes).map(|uid| vec![owner(&cluster.name_any(), &uid)]);
    ObjectMeta {
        name: Some(name),
        namespace: cluster.namespace(),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
        owner_references: owners,
        resource_version: version,
        ..ObjectMeta::default()
    }
}
