//! What the API server answers, as Kafka's errors.

use std::{error::Error as _, io};

use kafka_protocol::ResponseError;
use kube::core::Status;

use super::outage::causes;
use crate::Refusal;

/// Longest message that is handed on, in characters.
const MAX_MESSAGE: usize = 500;

/// Where a field that was refused belongs in Kafka's errors; the first that fits counts.
const FIELDS: &[(&str, ResponseError)] = &[
    ("spec.partitions", ResponseError::InvalidPartitions),
    ("spec.replicas", ResponseError::InvalidReplicationFactor),
    ("spec.config", ResponseError::InvalidConfig),
    ("spec.topicName", ResponseError::InvalidTopicException),
    ("metadata.name", ResponseError::InvalidTopicException),
];

/// What can be done about an error of the API server's client.
#[derive(Debug)]
pub enum Failure {
    /// Nothing was done: it is worth another attempt.
    Unreachable(String),
    /// Nobody knows whether it was done.
    Unknown(String),
    /// The API server refused.
    Refused(Box<Status>),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Failure {
        match error {
            kube::Error::Api(status) if matches!(status.code, 429 | 503) => {
                Failure::Unreachable(shorten(&status.message))
            }
            kube::Error::Api(status) if status.code >= 500 => Failure::Unknown(shorten(&status.message)),
            kube::Error::Api(status) => Failure::Refused(status),
            error if never_connected(&error) => Failure::Unreachable(shorten(&causes(&error))),
            error => Failure::Unknown(shorten(&causes(&error))),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        match failure {
            // Clients try this one again, and it says that nothing was done.
            Failure::Unreachable(why) => Refusal::new(
                ResponseError::NotController,
                format!("The Kubernetes API server cannot be reached: {why}"),
            ),
            Failure::Unknown(why) => Refusal::new(
                ResponseError::RequestTimedOut,
                format!("The Kubernetes API server gave no answer, the change may or may not be made: {why}"),
            ),
            Failure::Refused(status) => refused(&status),
        }
    }
}

fn refused(status: &Status) -> Refusal {
    let message = shorten(&reasons(status));
    match status.code {
        400 | 422 => Refusal::new(code_of_fields(status), message),
        401 | 403 => Refusal::new(
            ResponseError::PolicyViolation,
            format!("Kubernetes does not let this broker do it: {message}"),
        ),
        404 => Refusal::new(ResponseError::UnknownTopicOrPartition, message),
        409 => Refusal::new(
            ResponseError::RequestTimedOut,
            format!("The KafkaTopic kept changing meanwhile; try again: {message}"),
        ),
        _ => Refusal::new(
            ResponseError::UnknownServerError,
            format!("The Kubernetes API server refused: {message}"),
        ),
    }
}

/// The causes one by one where there are some, which leaves out what object of what kind was written.
fn reasons(status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<&str> =
        causes.map(|cause| plain(&cause.message)).filter(|text| !text.is_empty()).collect();
    if causes.is_empty() { status.message.clone() } else { causes.join("; ") }
}

/// Without `Invalid value: "object": ` before the text of a rule.
fn plain(message: &str) -> &str {
    let rule = message.strip_prefix("Invalid value: \"").and_then(|rest| rest.split_once("\": "));
    rule.map_or(message, |(_, text)| text)
}

fn code_of_fields(status: &Status) -> ResponseError {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let code =
        |field: &str| FIELDS.iter().find(|(prefix, _)| field.starts_with(prefix)).map(|(_, code)| *code);
    causes.filter_map(|cause| code(&cause.field)).next().unwrap_or(ResponseError::InvalidRequest)
}

/// Whether no connection was made, so that nothing can have been done.
fn never_connected(error: &kube::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
            );
        }
        cause = error.source();
    }
    false
}

fn shorten(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        None => message.to_owned(),
        Some(_) => message.chars().take(MAX_MESSAGE).chain("…".chars()).collect(),
    }
}

#[cfg(test)]
mod tests;
