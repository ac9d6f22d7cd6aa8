//! AlterConfigs, the old way: what is not named goes back to its default.

use futures::future::join_all;
use kafka_protocol::{
    ResponseError,
    messages::{
        AlterConfigsRequest, AlterConfigsResponse, alter_configs_request::AlterableConfig,
        alter_configs_response::AlterConfigsResourceResponse,
    },
    protocol::StrBytes,
};

use super::{Call, config_changes};
use crate::{
    cluster::Topic,
    coordination::{ConfigChanges, Refusal},
};

/// Answers one request.
pub async fn handle(call: &Call, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let jobs = request.resources.iter().map(|resource| async {
        let changed = config_changes::apply(
            call,
            resource.resource_type,
            &resource.resource_name,
            request.validate_only,
            |topic| replaced(topic, &resource.configs),
        );
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
    AlterConfigsResponse::default().with_responses(join_all(jobs).await)
}

fn replaced(topic: &Topic, wanted: &[AlterableConfig]) -> Result<ConfigChanges, Refusal> {
    let mut changes: ConfigChanges = topic.config.keys().map(|name| (name.clone(), None)).collect();
    for setting in wanted {
        let Some(value) = &setting.value else {
            let message = format!("Setting '{}' has no value.", &*setting.name);
            return Err(Refusal::new(ResponseError::InvalidConfig, message));
        };
        changes.insert(setting.name.to_string(), Some(value.to_string()));
    }
    Ok(changes)
}
