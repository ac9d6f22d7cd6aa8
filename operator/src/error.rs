//! What can go wrong with the API server, sorted by what is to be done about it.

use kube::core::Status;

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another replica works, or may: nothing is written.
    #[error("this replica does not hold the Lease")]
    NotLeader,
    /// The namespace is being deleted; there is nothing to do in it.
    #[error("the namespace is being deleted")]
    Terminating,
    /// The object was changed or deleted since it was read; the watch brings what it is now.
    #[error("the object has changed meanwhile")]
    Conflict,
    /// The object is gone.
    #[error("the object does not exist")]
    NotFound,
    /// The API server does not take it, and will not the next time.
    #[error("{0}")]
    Refused(String),
    /// The API server does not answer: nobody knows whether a write was done.
    #[error("the API server does not answer")]
    Silent,
    /// The API server is away, or has trouble; worth trying again.
    #[error("{0}")]
    Api(kube::Error),
    /// An object cannot be written as JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = &error else { return Self::Api(error) };
        match () {
            () if terminating(status) => Self::Terminating,
            () if status.is_conflict() || status.is_already_exists() => Self::Conflict,
            () if status.is_not_found() => Self::NotFound,
            () if status.is_invalid() || status.is_forbidden() => Self::Refused(status.message.clone()),
            () => Self::Api(error),
        }
    }
}

impl Error {
    /// Whether nothing is wrong: somebody else was quicker, or works, or the ground is going away.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::NotLeader | Self::Terminating | Self::Conflict | Self::NotFound)
    }
}

/// Nothing can be created in a namespace that is being deleted: 403 with a cause of its own.
fn terminating(status: &Status) -> bool {
    let cause = |details: &kube::core::response::StatusDetails| {
        details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
    };
    status.details.as_ref().is_some_and(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: serde_json::Value) -> Error {
        kube::Error::Api(Box::new(serde_json::from_value(status).unwrap())).into()
    }

    #[test]
    fn sorted_by_what_is_to_be_done() {
        let terminating = serde_json::json!({
            "code": 403, "reason": "Forbidden",
            "details": {"causes": [{"reason": "NamespaceTerminating", "message": "it goes", "field": "x"}]}
        });
        assert!(matches!(error(terminating), Error::Terminating));
        let forbidden = serde_json::json!({"code": 403, "reason": "Forbidden", "message": "no"});
        assert!(matches!(error(forbidden), Error::Refused(message) if message == "no"));
        assert!(matches!(error(serde_json::json!({"code": 409, "reason": "Conflict"})), Error::Conflict));
        assert!(matches!(
            error(serde_json::json!({"code": 409, "reason": "AlreadyExists"})),
            Error::Conflict
        ));
        assert!(matches!(error(serde_json::json!({"code": 404, "reason": "NotFound"})), Error::NotFound));
        assert!(matches!(error(serde_json::json!({"code": 500})), Error::Api(_)));
    }
}
