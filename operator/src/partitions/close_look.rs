//! A close look at brokers whose Leases have expired, before anybody believes it.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use milena_crds::names;
use tokio::time::timeout;

use super::Task;
use super::pulse::{self, Answer, Gone, probe};
use super::roster::Process;

/// How long the API server may take to show one Lease.
const CLOSE_LOOK: Duration = Duration::from_secs(1);

impl Task {
    /// Looks closely at brokers whose Leases have expired, before anybody believes it: the watch may lag, or the API
    /// server may have been the one that was away. `false`: it does not answer now.
    pub async fn bury(&mut self) -> bool {
        let now = self.clock.now();
        let (expired, suspicious) = {
            let state = self.handle.state();
            (state.roster.expired(now), state.roster.suspicious(now))
        };
        let standing: BTreeSet<Gone> = expired.iter().map(|(id, process)| (*id, process.epoch)).collect();
        self.buried.retain(|gone| standing.contains(gone));
        let new = expired
            .into_iter()
            .filter(|(id, process)| suspicious || !self.buried.contains(&(*id, process.epoch)));
        let looks = new.map(|(id, process)| self.look_closely(id, process, suspicious));
        let seen: Vec<Option<Gone>> = futures::future::join_all(looks).await;
        let all = seen.iter().all(Option::is_some);
        self.buried.extend(seen.into_iter().flatten());
        all
    }

    /// Reads one Lease past every cache, and where that is not enough tries the broker itself. Answers who was looked at;
    /// `None` where the API server does not answer: nobody can be elected then anyway.
    async fn look_closely(&self, id: i32, process: Process, suspicious: bool) -> Option<Gone> {
        let api: Api<Lease> = Api::namespaced(self.context.client.clone(), &self.handle.name.0);
        let name = names::pod(&self.handle.name.1, id);
        let lease = timeout(CLOSE_LOOK, api.get_opt(&name)).await.ok()?.ok()?;
        let changed = lease.is_some_and(|lease| {
            self.handle.state().roster.lease(&self.handle.name.1, &lease, false, self.clock.now())
        });
        if suspicious && !changed {
            let answer = match process.pod_ip.as_deref().and_then(pulse::address) {
                Some(address) => probe(address).await,
                None => Answer::Silence,
            };
            let mut state = self.handle.state();
            match answer {
                Answer::Listens(_) => state.roster.answered(id, self.clock.now()),
                Answer::Refused | Answer::Silence => {
                    state.roster.gone(id, process.epoch, self.clock.now());
                }
            }
        }
        Some((id, process.epoch))
    }
}
