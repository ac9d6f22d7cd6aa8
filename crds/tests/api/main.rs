//! What a real API server takes and refuses.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod cases;
mod control_plane;

use control_plane::ControlPlane;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt as _};
use milena_crds::{GROUP, KafkaTopic, VERSION};

#[tokio::test(flavor = "current_thread")]
async fn the_api_server_takes_what_is_valid_and_refuses_what_is_not() {
    let Some(assets) = control_plane::assets() else { return };
    let plane = ControlPlane::start(&assets).await;
    plane.install().await;
    let mut wrong = Vec::new();
    for case in cases::CASES {
        let answer = apply(&plane.client, case.kind, case.name, case.spec).await;
        match (case.refused, answer) {
            (None, Ok(_)) => {}
            (Some(message), Err(error)) if error.contains(message) => {}
            (expected, answer) => {
                wrong.push(format!("{} {}: expected {expected:?}, found {answer:?}", case.name, case.spec));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    subresources(&plane.client).await;
}

/// The scale subresource, the field selector and the defaults.
async fn subresources(client: &Client) {
    let clusters: Api<milena_crds::KafkaCluster> = Api::default_namespaced(client.clone());
    let scale = serde_json::json!({ "spec": { "replicas": 5 } });
    clusters.patch_scale("k", &PatchParams::default(), &Patch::Merge(scale)).await.unwrap();
    assert_eq!(clusters.get("k").await.unwrap().spec.brokers, 5);
    let topics: Api<KafkaTopic> = Api::default_namespaced(client.clone());
    let of = |cluster: &str| kube::api::ListParams::default().fields(&format!("spec.cluster={cluster}"));
    let names: Vec<_> =
        topics.list(&of("other")).await.unwrap().iter().map(|topic| topic.name_any()).collect();
    assert_eq!(names, ["minimal"]);
    let minimal = topics.get("minimal").await.unwrap();
    assert_eq!((minimal.spec.partitions, minimal.spec.replicas), (1, 1));
    assert!(minimal.topic_id().is_some());
}

/// As `kubectl apply --server-side` does: unknown fields are errors.
async fn apply(client: &Client, kind: &str, name: &str, spec: &str) -> Result<DynamicObject, String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, VERSION, kind));
    let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
    let spec: serde_json::Value = serde_yaml::from_str(spec).unwrap();
    let body = serde_json::json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": { "name": name }, "spec": spec
    });
    let params = PatchParams::apply("test").force().validation_strict();
    api.patch(name, &params, &Patch::Apply(body)).await.map_err(|error| error.to_string())
}
