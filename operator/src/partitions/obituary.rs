//! Tells leaders whom the operator believes dead, so that they take it out of their in-sync replicas (rule 7): by one
//! annotation of that broker's Lease, whatever it led or followed. It is a hint: what leaders do is compare-and-swap.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use milena_crds::names;
use serde_json::json;

use super::Task;
use super::roster::Untold;
use crate::api::{MANAGER, within};
use crate::error::Error;

impl Task {
    /// Tells of everybody who is believed dead. `false`: somebody has not been told of, and it has to be tried again.
    pub async fn tell_of_the_dead(&self) -> bool {
        let untold = self.handle.state().roster.untold(self.clock.now());
        let all = untold.iter().map(|untold| self.tell_of(untold));
        futures::future::join_all(all).await.into_iter().all(|told| told)
    }

    async fn tell_of(&self, untold: &Untold) -> bool {
        let (namespace, cluster) = &self.handle.name;
        match self.write_obituary(untold).await {
            Ok(lease) => {
                self.handle.state().roster.lease(cluster, &lease, false, self.clock.now());
                true
            }
            // It was renewed, or taken by another process: the watch shows that.
            Err(error) if error.is_harmless() => true,
            Err(error) => {
                let broker = untold.broker;
                tracing::warn!(namespace, cluster, broker, %error, "leaders cannot be told that a broker is gone; trying again");
                false
            }
        }
    }

    /// Only over the Lease by which the broker was judged: one that is renewed says that it lives.
    async fn write_obituary(&self, untold: &Untold) -> Result<Lease, Error> {
        self.context.may_write()?;
        let (namespace, cluster) = &self.handle.name;
        let api: Api<Lease> = Api::namespaced(self.context.client.clone(), namespace);
        let patch = json!({ "metadata": {
            "resourceVersion": untold.version,
            "annotations": { names::BELIEVED_DEAD: untold.epoch.to_string() },
        }});
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        within(api.patch(&names::pod(cluster, untold.broker), &parameters, &Patch::Merge(patch))).await
    }
}
