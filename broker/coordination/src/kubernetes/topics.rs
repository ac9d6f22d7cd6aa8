//! KafkaTopic objects made, changed and deleted on behalf of Kafka clients.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use kafka_protocol::ResponseError;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
};
use milena_crds::{KafkaTopic, KafkaTopicSpec, moves::Moves, names};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::{
    MANAGER,
    index::{Entry, Index},
    refusal::Failure,
};
use crate::{ConfigChanges, NewTopic, Refusal};

/// A request is given up after so long, attempts and pauses together.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts at an API server that cannot be reached.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a change is tried that others keep overtaking.
const CONFLICTS: usize = 8;

/// The KafkaTopics of one cluster.
pub struct Topics {
    api: Api<KafkaTopic>,
    cluster: String,
    /// Annotation of the objects made here: this broker's pod.
    maker: String,
    index: Arc<RwLock<Index>>,
}

impl Topics {
    /// The KafkaTopics of `cluster`; `index` is kept in line with a watch.
    pub fn new(
        client: Client,
        namespace: &str,
        cluster: &str,
        maker: &str,
        index: Arc<RwLock<Index>>,
    ) -> Topics {
        let api = Api::namespaced(client, namespace);
        Topics { api, cluster: cluster.to_owned(), maker: maker.to_owned(), index }
    }

    /// Makes a KafkaTopic; answers the topic's id.
    ///
    /// # Errors
    /// TOPIC_ALREADY_EXISTS, what the API server refuses, NOT_CONTROLLER or REQUEST_TIMED_OUT where it does not answer.
    pub async fn create(&self, topic: &NewTopic) -> Result<Uuid, Refusal> {
        if let Some(object) = self.index.read().claims(&topic.name) {
            return Err(exists(&topic.name, object));
        }
        for name in [names::object_name(&topic.name), names::object_name_in(&self.cluster, &topic.name)] {
            let object = self.object(&name, topic);
            let parameters = parameters();
            match within(Repeat::Undone, || self.api.create(&parameters, &object)).await {
                Ok(made) => return made.topic_id().ok_or_else(|| nameless(&name)),
                Err(Failure::Refused(status)) if status.code == 409 => {}
                Err(failure) => return Err(failure.into()),
            }
            let other = within(Repeat::Always, || self.api.get_opt(&name)).await.map_err(Refusal::from)?;
            if other.is_some_and(|other| self.is_topic(&other, &topic.name)) {
                return Err(exists(&topic.name, &name));
            }
            // The object is another topic, for instance of another cluster in this namespace.
        }
        let message = format!(
            "No KafkaTopic can be made for topic '{}': both names that it could have are taken by other topics. Make \
             one under another name, with spec.topicName: {}.",
            topic.name, topic.name
        );
        Err(Refusal::new(ResponseError::PolicyViolation, message))
    }

    /// Raises the number of partitions.
    ///
    /// # Errors
    /// INVALID_PARTITIONS where the topic has more already, else as [`Topics::create`].
    pub async fn grow(&self, id: Uuid, count: i32) -> Result<(), Refusal> {
        self.change(id, |topic| match topic.spec.partitions {
            now if now > count => Err(Refusal::new(
                ResponseError::InvalidPartitions,
                format!(
                    "Topic '{}' has {now} partition(s) by now; they can grow, not shrink.",
                    topic.topic_name()
                ),
            )),
            now if now == count => Ok(None),
            _ => Ok(Some(Merge::Spec(json!({ "partitions": count })))),
        })
        .await
    }

    /// Sets and resets settings.
    ///
    /// # Errors
    /// INVALID_CONFIG, else as [`Topics::create`].
    pub async fn alter(&self, id: Uuid, changes: &ConfigChanges) -> Result<(), Refusal> {
        self.change(id, |topic| {
            let same = |(name, value): (&String, &Option<String>)| {
                topic.spec.config.get(name).map(|value| value.as_str()) == value.as_deref()
            };
            if changes.iter().all(same) {
                Ok(None)
            } else {
                Ok(Some(Merge::Spec(json!({ "config": changes }))))
            }
        })
        .await
    }

    /// Asks the operator, by an annotation, to move partitions. What was asked before and has not begun is kept.
    ///
    /// # Errors
    /// As [`Topics::create`].
    pub async fn reassign(&self, id: Uuid, moves: &Moves, replicas: Option<i32>) -> Result<(), Refusal> {
        self.change(id, |topic| {
            let before = topic.annotations().get(names::REASSIGN).and_then(|text| text.parse::<Moves>().ok());
            let mut all = before.unwrap_or_default();
            all.0.extend(moves.0.clone());
            let annotations = json!({ names::REASSIGN: all.to_string() });
            Ok(Some(match replicas {
                None => Merge::Annotations(annotations),
                Some(replicas) => Merge::Both { annotations, spec: json!({ "replicas": replicas }) },
            }))
        })
        .await
    }

    /// Deletes the object of that topic; one that is gone is no error.
    ///
    /// # Errors
    /// What the API server refuses, NOT_CONTROLLER or REQUEST_TIMED_OUT where it does not answer.
    pub async fn delete(&self, id: Uuid) -> Result<(), Refusal> {
        let Some((name, entry)) = self.find(id) else { return Ok(()) };
        let uid = Some(entry.uid);
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..Default::default()
        };
        match within(Repeat::Always, || self.api.delete(&name, &parameters)).await {
            Ok(_) => Ok(()),
            // Gone, or gone and made anew by somebody else.
            Err(Failure::Refused(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Changes a topic's object as it is in the API server now, and only if it is still that: `change` answers what to
    /// merge into it, or none where nothing is to be done.
    pub(super) async fn change(
        &self,
        id: Uuid,
        change: impl Fn(&KafkaTopic) -> Result<Option<Merge>, Refusal>,
    ) -> Result<(), Refusal> {
        let Some((name, _)) = self.find(id) else { return Err(gone(id)) };
        let mut last = None;
        for _ in 0..CONFLICTS {
            let found = within(Repeat::Always, || self.api.get_opt(&name)).await.map_err(Refusal::from)?;
            let topic = found.filter(|topic| topic.topic_id() == Some(id)).ok_or_else(|| gone(id))?;
            let Some(merge) = change(&topic)? else { return Ok(()) };
            let version = topic.resource_version();
            let patch = Patch::Merge(match merge {
                Merge::Spec(spec) => json!({ "metadata": { "resourceVersion": version }, "spec": spec }),
                Merge::Annotations(annotations) => {
                    json!({ "metadata": { "resourceVersion": version, "annotations": annotations } })
                }
                Merge::Both { annotations, spec } => {
                    json!({ "metadata": { "resourceVersion": version, "annotations": annotations }, "spec": spec })
                }
            });
            let parameters =
                PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            match within(Repeat::Always, || self.api.patch(&name, &parameters, &patch)).await {
                Ok(_) => return Ok(()),
                Err(Failure::Refused(status)) if status.code == 409 => last = Some(Failure::Refused(status)),
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(last.map_or_else(|| gone(id), Refusal::from))
    }

    fn find(&self, id: Uuid) -> Option<(String, Entry)> {
        self.index.read().by_id(id)
    }

    fn object(&self, name: &str, topic: &NewTopic) -> KafkaTopic {
        let spec = KafkaTopicSpec {
            cluster: self.cluster.clone(),
            topic_name: (name != topic.name).then(|| topic.name.clone()),
            partitions: topic.partitions,
            replicas: topic.replicas,
            config: topic.config.clone(),
        };
        let one = |name: &str, value: &str| Some(BTreeMap::from([(name.to_owned(), value.to_owned())]));
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            labels: one(names::CLUSTER, &self.cluster),
            annotations: one(CREATED_BY, &self.maker),
            ..ObjectMeta::default()
        };
        KafkaTopic { metadata, spec, status: None }
    }

    fn is_topic(&self, object: &KafkaTopic, name: &str) -> bool {
        object.spec.cluster == self.cluster && object.topic_name() == name
    }
}

/// What is merged into an object.
pub(super) enum Merge {
    /// Into its spec.
    Spec(Value),
    /// Into its annotations.
    Annotations(Value),
    /// Into both.
    Both {
        /// Into the annotations.
        annotations: Value,
        /// Into the spec.
        spec: Value,
    },
}

/// Annotation of KafkaTopics that a Kafka client asked for: the broker that it asked.
const CREATED_BY: &str = "milena.dev/created-by-client-of";

fn parameters() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

/// Whether a call can be repeated when nobody knows whether it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// It does nothing the second time.
    Always,
    /// Only if it was not.
    Undone,
}

/// Calls the API server, again where that may help, within [`PATIENCE`].
async fn within<T, F>(repeat: Repeat, call: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = kube::Result<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut last = None;
    loop {
        let failure = match timeout_at(deadline, call()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => Failure::from(error),
            Err(_) => {
                // What the attempt that was cut off has done does not matter where it can be repeated.
                let known = last.filter(|_| repeat == Repeat::Always);
                let silence = || Failure::Unknown(format!("nothing came within {PATIENCE:?}"));
                return Err(known.unwrap_or_else(silence));
            }
        };
        let again = match failure {
            Failure::Unreachable(_) => true,
            Failure::Unknown(_) => repeat == Repeat::Always,
            Failure::Refused(_) => false,
        };
        if !again || Instant::now() + PAUSE >= deadline {
            return Err(failure);
        }
        last = Some(failure);
        sleep(PAUSE).await;
    }
}

fn exists(topic: &str, object: &str) -> Refusal {
    Refusal::new(
        ResponseError::TopicAlreadyExists,
        format!("Topic '{topic}' already exists (KafkaTopic {object})."),
    )
}

fn gone(id: Uuid) -> Refusal {
    let message = format!("There is no KafkaTopic for topic id {id} any more.");
    Refusal::new(ResponseError::UnknownTopicOrPartition, message)
}

fn nameless(object: &str) -> Refusal {
    let message = format!("The API server made KafkaTopic {object} without a uid.");
    Refusal::new(ResponseError::UnknownServerError, message)
}
