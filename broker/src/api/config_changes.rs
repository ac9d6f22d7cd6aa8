//! Changes of settings, however a client words them: checked whole, then made whole.

use std::time::Duration;

use kafka_protocol::ResponseError;
use milena_crds::settings::{self, Config, SettingError};

use super::{
    Call,
    describe_configs::{BROKER, TOPIC, check_broker_name},
};
use crate::{
    cluster::Topic,
    coordination::{ConfigChanges, Refusal},
};

/// How long a change may take until this broker goes by it.
const APPLIED_WITHIN: Duration = Duration::from_secs(10);

/// Makes the changes that `changes` derives from a topic's settings as they are.
pub async fn apply(
    call: &Call,
    resource_type: i8,
    name: &str,
    validate_only: bool,
    changes: impl FnOnce(&Topic) -> Result<ConfigChanges, Refusal>,
) -> Result<(), Refusal> {
    match resource_type {
        TOPIC => {}
        BROKER => {
            check_broker_name(call, name)?;
            let message = "Settings of brokers are changed where they are kept: spec.config of the KafkaCluster, or \
                           --config on the command line.";
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
        other => {
            let message = format!("Settings of resource type {other} are not kept here: topics (2) are.");
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
    }
    let view = call.broker.view();
    let topic = view.image.topic(name).ok_or_else(|| {
        Refusal::new(ResponseError::UnknownTopicOrPartition, format!("There is no topic '{name}'."))
    })?;
    let mut changes = changes(topic)?;
    settings::check_topic_config(&after(&topic.config, &changes)).map_err(invalid)?;
    for (name, value) in &mut changes {
        *value = value.take().map(|value| settings::canonical(name, &value));
    }
    let wanted = after(&topic.config, &changes);
    if validate_only || wanted == topic.config {
        return Ok(());
    }
    call.broker.coordination.alter_topic(&topic.name, changes.clone()).await?;
    let id = topic.id;
    let shown = call.broker.wait_for(APPLIED_WITHIN, |view| {
        let now = &view.image.topic_by_id(id)?.config;
        changes
            .iter()
            .all(|(name, value)| now.get(name).map(|now| now.as_str()) == value.as_deref())
            .then_some(())
    });
    shown.await.ok_or_else(|| {
        let message = format!("the change is stored, but not in force after {APPLIED_WITHIN:?}");
        Refusal::new(ResponseError::RequestTimedOut, message)
    })
}

/// INVALID_CONFIG with the table's message.
pub fn invalid(error: SettingError) -> Refusal {
    Refusal::new(ResponseError::InvalidConfig, error.to_string())
}

fn after(config: &Config, changes: &ConfigChanges) -> Config {
    let mut config = config.clone();
    for (name, value) in changes {
        match value {
            Some(value) => config.insert(name.clone(), value.as_str().into()),
            None => config.remove(name),
        };
    }
    config
}
