//! Topics made, grown, altered and deleted on behalf of clients: checked here, decided by the control plane,
//! and answered once this broker sees the result.

use std::{sync::Arc, time::Duration};

use kafka_protocol::ResponseError;
use milena_crds::{
    names,
    partition::MAX_REPLICAS,
    settings::{self, Config},
    topic::MAX_PARTITIONS,
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    cluster::Topic,
    coordination::{NewTopic, Refusal},
    node::{Broker, View},
};

/// How long a client waits at most for a topic to be made by the way (Metadata, FindCoordinator).
const BY_THE_WAY: Duration = Duration::from_secs(5);

/// A topic as CreateTopics describes it; what is left out takes the cluster's defaults.
#[derive(Clone, Debug, Default)]
pub struct TopicRequest {
    /// Kafka's name.
    pub name: String,
    /// Number of partitions; none: `num.partitions`.
    pub partitions: Option<i32>,
    /// Replicas of each partition; none: `default.replication.factor`.
    pub replicas: Option<i16>,
    /// Settings that differ from the defaults.
    pub config: Config,
}

/// Checks all that can be known here, so that nothing is left half done.
///
/// # Errors
/// Kafka's error and a message with the wrong value.
pub fn check_new(broker: &Broker, asked: TopicRequest) -> Result<NewTopic, Refusal> {
    let config = broker.config();
    let view = broker.view();
    names::check_topic_name(&asked.name)
        .map_err(|error| Refusal::new(ResponseError::InvalidTopicException, error.to_string()))?;
    check_free(&view, &asked.name)?;
    let partitions = asked.partitions.unwrap_or(config.num_partitions);
    if !(1..=MAX_PARTITIONS).contains(&partitions) {
        let message =
            format!("Number of partitions was set to {partitions}; it must be 1 to {MAX_PARTITIONS}.");
        return Err(Refusal::new(ResponseError::InvalidPartitions, message));
    }
    let replicas = asked.replicas.unwrap_or(config.default_replication_factor);
    check_replicas(&view, replicas)?;
    settings::check_topic_config(&asked.config)
        .map_err(|error| Refusal::new(ResponseError::InvalidConfig, error.to_string()))?;
    let config = asked
        .config
        .iter()
        .map(|(name, value)| (name.clone(), settings::canonical(name, value.as_str()).into()));
    Ok(NewTopic { name: asked.name, partitions, replicas: i32::from(replicas), config: config.collect() })
}

fn check_free(view: &View, name: &str) -> Result<(), Refusal> {
    if view.image.topic(name).is_some() {
        return Err(Refusal::new(
            ResponseError::TopicAlreadyExists,
            format!("Topic '{name}' already exists."),
        ));
    }
    if !name.contains(['.', '_']) {
        return Ok(());
    }
    // Metrics have `_` for both: Kafka refuses a name that would share them with another's.
    let metric = names::metric_name(name);
    match view.image.topics.keys().find(|other| names::metric_name(other) == metric) {
        None => Ok(()),
        Some(other) => Err(Refusal::new(
            ResponseError::InvalidTopicException,
            format!("Topic '{name}' collides with existing topic: {other}"),
        )),
    }
}

fn check_replicas(view: &View, replicas: i16) -> Result<(), Refusal> {
    let refuse = |message| Err(Refusal::new(ResponseError::InvalidReplicationFactor, message));
    let brokers = view.image.brokers.len();
    match replicas {
        ..=0 => refuse(format!("Replication factor was set to {replicas}; it must be 1 or more.")),
        _ if usize::try_from(replicas).is_ok_and(|wanted| wanted > brokers) => refuse(format!(
            "Replication factor {replicas} cannot be reached: the cluster has {brokers} broker(s)."
        )),
        _ if usize::try_from(replicas).is_ok_and(|wanted| wanted > MAX_REPLICAS) => {
            refuse(format!("Replication factor was set to {replicas}; it must be 1 to {MAX_REPLICAS}."))
        }
        _ => Ok(()),
    }
}

/// Makes a topic and waits until this broker serves its metadata with a leader for every partition.
///
/// # Errors
/// The control plane's refusal, or REQUEST_TIMED_OUT where the object is made and nobody acts on it.
pub async fn create(broker: &Broker, topic: NewTopic, wait: Duration) -> Result<Arc<Topic>, Refusal> {
    let id = broker.coordination.create_topic(topic.clone()).await?;
    let ready = |view: &View| {
        let topic = view.image.topic_by_id(id)?;
        let has_leader = |index| topic.partition(index).is_some_and(|state| state.leader.is_some());
        (0..topic.partition_count()).all(has_leader).then(|| topic.clone())
    };
    broker.wait_for(wait, ready).await.ok_or_else(|| {
        let message = format!(
            "KafkaTopic for '{}' is made, but has no leaders after {wait:?}. Look at its conditions (kubectl \
             describe kafkatopics) and at the operator's log.",
            topic.name
        );
        Refusal::new(ResponseError::RequestTimedOut, message)
    })
}

/// The topic of that name; made with the cluster's defaults where there is none, as clients may ask by
/// Metadata (`auto.create.topics.enable`).
///
/// # Errors
/// Why it could not be made.
pub async fn ensure(broker: &Broker, name: &str) -> Result<Arc<Topic>, Refusal> {
    if let Some(topic) = broker.view().image.topic(name) {
        return Ok(topic.clone());
    }
    let config = broker.config();
    let request = match name {
        "__consumer_offsets" => TopicRequest {
            name: name.to_owned(),
            partitions: Some(config.offsets_topic_partitions),
            replicas: Some(affordable(&broker.view(), config.offsets_topic_replicas)),
            config: compacted(config.offsets_topic_segment_bytes),
        },
        _ => TopicRequest { name: name.to_owned(), ..TopicRequest::default() },
    };
    match create(broker, check_new(broker, request)?, BY_THE_WAY).await {
        // Another client, or another broker, was faster.
        Err(refusal) if refusal.code == ResponseError::TopicAlreadyExists => wait_visible(broker, name).await,
        created => created,
    }
}

/// As many replicas as are asked for, or as there are brokers: nobody is there to ask whether fewer will do.
fn affordable(view: &View, replicas: i16) -> i16 {
    let brokers = view.image.brokers.values().filter(|broker| broker.alive).count();
    replicas.min(i16::try_from(brokers).unwrap_or(i16::MAX)).max(1)
}

async fn wait_visible(broker: &Broker, name: &str) -> Result<Arc<Topic>, Refusal> {
    let found = broker.wait_for(BY_THE_WAY, |view| view.image.topic(name).cloned()).await;
    found.ok_or_else(|| {
        let message = format!("Topic '{name}' exists, but has no partitions yet.");
        Refusal::new(ResponseError::LeaderNotAvailable, message)
    })
}

fn compacted(segment_bytes: i64) -> Config {
    Config::from([
        ("cleanup.policy".to_owned(), "compact".into()),
        ("compression.type".to_owned(), "producer".into()),
        ("segment.bytes".to_owned(), segment_bytes.to_string().into()),
    ])
}

/// Deletes a topic and waits until this broker no longer shows it.
///
/// # Errors
/// The control plane's refusal, or REQUEST_TIMED_OUT.
pub async fn delete(broker: &Broker, id: Uuid, wait: Duration) -> Result<(), Refusal> {
    broker.coordination.delete_topic(id).await?;
    let gone = |view: &View| view.image.topic_by_id(id).is_none().then_some(());
    broker.wait_for(wait, gone).await.ok_or_else(|| {
        Refusal::new(ResponseError::RequestTimedOut, format!("the topic is still there after {wait:?}"))
    })
}

/// Raises a topic's number of partitions and waits until this broker shows them.
///
/// # Errors
/// INVALID_PARTITIONS, the control plane's refusal, or REQUEST_TIMED_OUT.
pub async fn grow(broker: &Broker, topic: &Topic, count: i32, wait: Duration) -> Result<(), Refusal> {
    broker.coordination.grow_topic(&topic.name, count).await?;
    let (id, wanted) = (topic.id, usize::try_from(count).unwrap_or(usize::MAX));
    let grown = |view: &View| {
        let partitions = &view.image.topic_by_id(id)?.partitions;
        (partitions.len() >= wanted && partitions.iter().all(Option::is_some)).then_some(())
    };
    broker.wait_for(wait, grown).await.ok_or_else(|| {
        Refusal::new(ResponseError::RequestTimedOut, format!("no {count} partitions after {wait:?}"))
    })
}

/// Checks a new number of partitions.
///
/// # Errors
/// INVALID_PARTITIONS with both numbers.
pub fn check_growth(topic: &Topic, count: i32) -> Result<(), Refusal> {
    let now = topic.partition_count();
    let refuse = |message| Err(Refusal::new(ResponseError::InvalidPartitions, message));
    if count == now {
        refuse(format!("Topic '{}' already has {count} partition(s).", topic.name))
    } else if count < now {
        refuse(format!(
            "Topic '{}' has {now} partition(s), which would not be increased by {count}: partitions can only \
             grow.",
            topic.name
        ))
    } else if count > MAX_PARTITIONS {
        refuse(format!("{count} partitions are more than the {MAX_PARTITIONS} that a topic can have."))
    } else {
        Ok(())
    }
}

/// Waits for something to be seen in this broker's view.
impl Broker {
    /// The first answer of `look` that is not none, at once or after a change of the view, within `wait`.
    pub async fn wait_for<T>(&self, wait: Duration, look: impl Fn(&View) -> Option<T>) -> Option<T> {
        let mut changes = self.view_changes();
        let seen = async {
            loop {
                if let Some(found) = look(&self.view()) {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        timeout(wait, seen).await.ok().flatten()
    }
}
