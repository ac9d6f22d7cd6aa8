//! DeleteGroups: empty groups go, with their offsets.

use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, delete_groups_response::DeletableGroupResult,
};
use milena_groups::{Error, Response};

use super::{Call, group_text::code};

/// Answers one request.
pub async fn handle(call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let error = delete(call, &group_id).await.err();
        results.push(DeletableGroupResult::default().with_group_id(group_id).with_error_code(code(error)));
    }
    DeleteGroupsResponse::default().with_results(results)
}

async fn delete(call: &Call, group_id: &str) -> Result<(), Error> {
    let deleted = call
        .broker
        .groups
        .ask(&call.broker, group_id, |coordinator, token, now_ms, effects| {
            coordinator.delete_group(group_id, token, now_ms, effects);
        })
        .await?;
    match deleted {
        Response::DeleteGroup(result) => result,
        _ => Err(Error::UnknownServerError),
    }
}
