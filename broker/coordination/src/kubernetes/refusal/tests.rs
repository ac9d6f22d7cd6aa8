use kube::core::response::{StatusCause, StatusDetails};

use super::*;

fn status(code: u16, message: &str, causes: &[(&str, &str)]) -> Box<Status> {
    let cause = |(field, message): &(&str, &str)| StatusCause {
        field: (*field).to_owned(),
        message: (*message).to_owned(),
        reason: String::new(),
    };
    let details = StatusDetails {
        causes: causes.iter().map(cause).collect(),
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        retry_after_seconds: 0,
    };
    Status { code, message: message.to_owned(), details: Some(details), ..Status::default() }.boxed()
}

fn refusal(code: u16, message: &str, causes: &[(&str, &str)]) -> Refusal {
    Failure::from(kube::Error::Api(status(code, message, causes))).into()
}

#[test]
fn fields_say_which_error_it_is() {
    for (field, code) in [
        ("spec.partitions", ResponseError::InvalidPartitions),
        ("spec.replicas", ResponseError::InvalidReplicationFactor),
        ("spec.config", ResponseError::InvalidConfig),
        ("spec.config.retention.ms", ResponseError::InvalidConfig),
        ("spec.topicName", ResponseError::InvalidTopicException),
        ("spec", ResponseError::InvalidRequest),
    ] {
        assert_eq!(refusal(422, "", &[(field, "no")]).code, code, "{field}");
    }
}

#[test]
fn the_message_is_the_rules_own() {
    let rule = "Invalid value: \"integer\": partitions can grow, never shrink";
    let refused =
        refusal(422, "KafkaTopic \"a\" is invalid: spec: …", &[("spec.partitions", rule), ("spec", "x")]);
    assert_eq!(refused.message, "partitions can grow, never shrink; x");
    let long = refusal(422, &"é".repeat(2 * MAX_MESSAGE), &[]);
    assert_eq!(long.message.chars().count(), MAX_MESSAGE + 1);
}

#[test]
fn what_was_not_done_can_be_tried_again_and_what_may_be_done_is_told() {
    assert_eq!(refusal(503, "busy", &[]).code, ResponseError::NotController);
    assert_eq!(refusal(429, "busy", &[]).code, ResponseError::NotController);
    assert_eq!(refusal(500, "etcdserver: request timed out", &[]).code, ResponseError::RequestTimedOut);
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    let failure = Failure::from(kube::Error::Service(refused.into()));
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    let failure = Failure::from(kube::Error::Service(reset.into()));
    assert!(matches!(failure, Failure::Unknown(_)), "{failure:?}");
}

#[test]
fn what_kubernetes_forbids_is_a_policy() {
    let refused = refusal(403, "namespace kafka is being terminated", &[]);
    assert_eq!(refused.code, ResponseError::PolicyViolation);
    assert!(refused.message.contains("being terminated"));
}
