//! IncrementalAlterConfigs (KIP-339): sets, resets, or edits lists; what is not named stays.

use futures::future::join_all;
use kafka_protocol::{
    ResponseError,
    messages::{
        IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
        incremental_alter_configs_request::AlterableConfig,
        incremental_alter_configs_response::AlterConfigsResourceResponse,
    },
    protocol::StrBytes,
};
use milena_crds::settings::{self, Kind};

use super::{Call, broker_rates, config_changes, describe_configs::BROKER};
use crate::{
    cluster::Topic,
    coordination::{ConfigChanges, Refusal},
};

/// Answers one request.
pub async fn handle(call: &Call, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let jobs = request.resources.iter().map(|resource| async {
        let (kind, name) = (resource.resource_type, &*resource.resource_name);
        let changed = async {
            if kind == BROKER {
                return broker_rates::change(call, name, &resource.configs, request.validate_only);
            }
            let edits = |topic: &Topic| changes(topic, &resource.configs);
            config_changes::apply(call, kind, name, request.validate_only, edits).await
        };
        let answer = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match changed.await {
            Ok(()) => answer.with_error_message(None),
            Err(refusal) => answer
                .with_error_code(refusal.code.code())
                .with_error_message(Some(StrBytes::from_string(refusal.message))),
        }
    });
    IncrementalAlterConfigsResponse::default().with_responses(join_all(jobs).await)
}

fn changes(topic: &Topic, edits: &[AlterableConfig]) -> Result<ConfigChanges, Refusal> {
    let mut changes = ConfigChanges::new();
    for edit in edits {
        let name = edit.name.to_string();
        let value = edited(topic, edit)?;
        if changes.insert(name, value).is_some() {
            let message = format!("Setting '{}' is named more than once.", &*edit.name);
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
    }
    Ok(changes)
}

/// The value after an edit; none where it goes back to the default.
fn edited(topic: &Topic, edit: &AlterableConfig) -> Result<Option<String>, Refusal> {
    let given = || {
        let missing = || {
            let message = format!("Setting '{}' has no value.", &*edit.name);
            Refusal::new(ResponseError::InvalidConfig, message)
        };
        edit.value.as_deref().map(str::to_owned).ok_or_else(missing)
    };
    match edit.config_operation {
        0 => given().map(Some),
        1 => known(&edit.name).map(|()| None),
        2 => edit_list(topic, &edit.name, &given()?, true).map(Some),
        3 => edit_list(topic, &edit.name, &given()?, false).map(Some),
        other => {
            let message =
                format!("Operation {other} is not known: set is 0, delete 1, append 2, subtract 3.");
            Err(Refusal::new(ResponseError::InvalidRequest, message))
        }
    }
}

fn known(name: &str) -> Result<(), Refusal> {
    match settings::topic_setting(name) {
        Some(_) => Ok(()),
        None => settings::check_topic(name, "").map_err(config_changes::invalid),
    }
}

fn edit_list(topic: &Topic, name: &str, items: &str, append: bool) -> Result<String, Refusal> {
    let is_list = |kind| matches!(kind, Kind::List(_) | Kind::ThrottledReplicas);
    let Some(setting) = settings::topic_setting(name).filter(|setting| is_list(setting.kind)) else {
        let message =
            format!("Setting '{name}' is no list: it can be set, not appended to or subtracted from.");
        return Err(Refusal::new(ResponseError::InvalidConfig, message));
    };
    let now = topic.config.get(name).map_or(setting.default.unwrap_or(""), |value| value.as_str());
    let split = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let (mut list, items) = (split(now), split(items));
    if append {
        let new: Vec<String> = items.into_iter().filter(|item| !list.contains(item)).collect();
        list.extend(new);
    } else {
        list.retain(|item| !items.contains(item));
    }
    Ok(list.join(","))
}
