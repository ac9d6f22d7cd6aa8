//! ApiVersions: what is served, from the table (KIP-35, KIP-511).

use std::sync::LazyLock;

use kafka_protocol::{
    ResponseError,
    messages::{ApiVersionsRequest, ApiVersionsResponse, api_versions_response::ApiVersion},
};
use milena_protocol::response_frame;

use super::{Answer, Call, table::TABLE};

static SERVED: LazyLock<Vec<ApiVersion>> = LazyLock::new(|| {
    let row = |row: &super::table::Row| {
        ApiVersion::default().with_api_key(row.key as i16).with_min_version(row.min).with_max_version(row.max)
    };
    TABLE.iter().map(row).collect()
});

/// Answers one request.
pub async fn handle(call: &Call, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if call.head.api_version >= 3 {
        let (name, version) = (&request.client_software_name, &request.client_software_version);
        if !(is_software(name) && is_software(version)) {
            return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
        }
        *call.peer.software.lock() = Some((name.to_string(), version.to_string()));
    }
    ApiVersionsResponse::default().with_api_keys(SERVED.clone())
}

/// A version of ApiVersions that is not known is answered in version 0, so that the client can try again.
pub fn unsupported(call: &Call) -> Answer {
    let known = SERVED.iter().filter(|row| row.api_key == call.head.api_key).cloned().collect();
    let response = ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(known);
    Ok(Some(response_frame::<ApiVersionsRequest>(0, call.head.correlation_id, &response)?))
}

/// Letters, digits, and `-` and `.` between them (KIP-511).
fn is_software(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(word) && text.ends_with(word) && text.chars().all(|c| word(c) || c == '-' || c == '.')
}
