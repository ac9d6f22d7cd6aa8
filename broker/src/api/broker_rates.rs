//! Settings that one broker keeps and clients change: how fast it copies replicas that move.

use std::collections::BTreeMap;

use kafka_protocol::{
    ResponseError,
    messages::{
        describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsSynonym},
        incremental_alter_configs_request::AlterableConfig,
    },
    protocol::StrBytes,
};

use super::{Call, describe_configs::check_broker_name};
use crate::{
    coordination::Refusal,
    throttle::{Throttles, UNLIMITED},
};

/// Source of a value that is set for one broker while it runs.
const DYNAMIC_BROKER_SOURCE: i8 = 2;
const DEFAULT_SOURCE: i8 = 5;
/// Type of 64 bits.
const LONG: i8 = 5;

/// Sets and resets rates of the broker of that name, which is this one.
pub fn change(
    call: &Call,
    name: &str,
    edits: &[AlterableConfig],
    validate_only: bool,
) -> Result<(), Refusal> {
    check_broker_name(call, name)?;
    let mut changes = BTreeMap::new();
    for edit in edits {
        let Some(known) = Throttles::NAMES.into_iter().find(|known| *known == &*edit.name) else {
            let message = format!(
                "Setting '{}' of brokers is changed where it is kept: spec.config of the KafkaCluster, or --config on \
                 the command line. Set for a broker by clients: {}.",
                &*edit.name,
                Throttles::NAMES.join(", ")
            );
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        };
        if name.is_empty() {
            let message = format!("'{known}' is set for each broker by itself: name one.");
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
        if changes.insert(known, rate(known, edit)?).is_some() {
            let message = format!("Setting '{known}' is named more than once.");
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
    }
    if validate_only || changes.is_empty() {
        return Ok(());
    }
    let kept = tokio::task::block_in_place(|| call.broker.throttles.set(&changes));
    kept.map_err(|error| {
        let message = format!("in force, and not kept for the next start: {error}");
        Refusal::new(ResponseError::KafkaStorageError, message)
    })
}

/// The rate after an edit; none where it goes back to no limit.
fn rate(name: &str, edit: &AlterableConfig) -> Result<Option<i64>, Refusal> {
    match edit.config_operation {
        0 => {
            let text = edit.value.as_deref().unwrap_or_default();
            let rate = text.trim().parse().ok().filter(|rate: &i64| *rate >= 0);
            rate.map(Some).ok_or_else(|| {
                let message =
                    format!("Invalid value {text} for configuration {name}: bytes a second, 0 or more.");
                Refusal::new(ResponseError::InvalidConfig, message)
            })
        }
        1 => Ok(None),
        other => {
            let message = format!("Operation {other} is not possible with '{name}': set is 0, delete 1.");
            Err(Refusal::new(ResponseError::InvalidConfig, message))
        }
    }
}

/// The rates, for who asks for the broker's settings.
pub fn describe(throttles: &Throttles) -> impl Iterator<Item = DescribeConfigsResourceResult> {
    Throttles::NAMES.into_iter().map(|name| {
        let set = throttles.value(name);
        let value = Some(StrBytes::from_string(set.unwrap_or(UNLIMITED).to_string()));
        let source = if set.is_some() { DYNAMIC_BROKER_SOURCE } else { DEFAULT_SOURCE };
        let own = DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(value.clone())
            .with_source(source);
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(value)
            .with_config_source(source)
            .with_config_type(LONG)
            .with_synonyms(vec![own])
            .with_documentation(Some(StrBytes::from_static_str(
                "Bytes a second that replicas which move are copied with; no limit by default.",
            )))
    })
}
