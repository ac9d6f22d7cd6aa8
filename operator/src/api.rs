//! The client of the API server, and in which namespaces it looks.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::client::Body;
use kube::core::{ApiResource, DeserializeGuard, DynamicObject};
use kube::{Api, Client, Resource};
use milena_crds::KafkaCluster;
use milena_kubeclient::Access;
use serde::Serialize;
use serde_json::{Value, json};
use tower::util::MapRequestLayer;

use crate::error::Error;
use crate::metrics::Metrics;

/// Field manager of everything that the operator writes.
pub const MANAGER: &str = "milena-operator";

/// Who this is, to the API server.
const AGENT: &str = concat!("milena-operator/", env!("CARGO_PKG_VERSION"));
/// How long a connection to the API server may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long nothing may come of a request: longer than a watch.
const SILENCE: Duration = Duration::from_secs(40);
/// How long a write, or the reading of one object, may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// The answer of the API server, if it comes in time.
///
/// # Errors
/// What it says, or that it does not answer: nobody knows then whether a write was done.
pub async fn within<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(ATTEMPT, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Silent),
    }
}

/// A client for where this process runs (in a pod: its service account; else the kubeconfig), which counts every
/// write that is sent.
///
/// # Errors
/// When there is no configuration, or TLS cannot be set up from it.
pub fn connect(metrics: Metrics) -> Result<Client, milena_kubeclient::Error> {
    let mut access = Access::find()?;
    access.connect = CONNECT;
    access.silence = Some(SILENCE);
    let count = MapRequestLayer::new(move |request: hyper::Request<Body>| {
        if *request.method() != hyper::Method::GET {
            metrics.wrote(request.method().as_str(), &resource_of(request.uri().path()));
        }
        request
    });
    Ok(milena_kubeclient::builder(&access, AGENT)?.with_layer(&count).build())
}

/// The resource that a path of the API speaks of, with its subresource: `statefulsets`, `kafkatopics/status`.
fn resource_of(path: &str) -> String {
    // /api/v1 or /apis/GROUP/VERSION, then namespaces/NAMESPACE, then RESOURCE[/NAME[/SUBRESOURCE]].
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let versions = if parts.next() == Some("api") { 1 } else { 2 };
    let mut rest = parts.skip(versions).peekable();
    if rest.peek() == Some(&"namespaces") {
        rest.next();
        rest.next();
    }
    let resource = rest.next().unwrap_or("namespaces");
    match rest.nth(1) {
        Some(subresource) => format!("{resource}/{subresource}"),
        None => resource.to_owned(),
    }
}

/// The namespaces in which objects are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every namespace, by one watch a kind.
    All,
    /// These, by one watch a kind and namespace.
    Only(Vec<String>),
}

impl Scope {
    /// One handle a watch, for a kind that has a type here.
    pub fn apis<K>(&self, client: &Client) -> Vec<Api<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::All => vec![Api::all(client.clone())],
            Self::Only(names) => names.iter().map(|name| Api::namespaced(client.clone(), name)).collect(),
        }
    }

    /// One handle a watch, for a kind that is known at run time alone.
    pub fn dynamic(&self, client: &Client, kind: &ApiResource) -> Vec<Api<DeserializeGuard<DynamicObject>>> {
        match self {
            Self::All => vec![Api::all_with(client.clone(), kind)],
            Self::Only(names) => {
                names.iter().map(|name| Api::namespaced_with(client.clone(), name, kind)).collect()
            }
        }
    }
}

/// A reference that makes the KafkaCluster the owner. It does not block the owner's deletion: that would take the
/// right to change its finalizers.
pub fn owner(name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: KafkaCluster::api_version(&()).into_owned(),
        kind: KafkaCluster::kind(&()).into_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// A merge patch of the subresource `status` that also takes away what is no longer there.
///
/// # Errors
/// When a status cannot be written as JSON.
pub fn status_patch<S: Serialize>(old: Option<&S>, new: &S) -> Result<Value, serde_json::Error> {
    let mut fields = serde_json::to_value(new)?;
    let old = old.map(serde_json::to_value).transpose()?;
    if let (Some(Value::Object(old)), Some(fields)) = (old, fields.as_object_mut()) {
        for (name, _) in old {
            fields.entry(name).or_insert(Value::Null);
        }
    }
    Ok(json!({ "status": fields }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_takes_away_what_is_no_longer_there() {
        let (old, new) = (json!({ "a": 1, "b": 2 }), json!({ "b": 3 }));
        assert_eq!(status_patch(Some(&old), &new).unwrap(), json!({ "status": { "a": null, "b": 3 } }));
        assert_eq!(status_patch(None, &new).unwrap(), json!({ "status": { "b": 3 } }));
    }

    #[test]
    fn writes_are_counted_by_resource() {
        for (path, resource) in [
            ("/apis/milena.dev/v1alpha1/namespaces/default/kafkatopics/sample/status", "kafkatopics/status"),
            ("/apis/milena.dev/v1alpha1/namespaces/default/kafkapartitions", "kafkapartitions"),
            ("/apis/apps/v1/namespaces/default/statefulsets/demo", "statefulsets"),
            ("/api/v1/namespaces/default/services/demo", "services"),
            ("/api/v1/namespaces/default", "namespaces"),
        ] {
            assert_eq!(resource_of(path), resource, "{path}");
        }
    }
}
