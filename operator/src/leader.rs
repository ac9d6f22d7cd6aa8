//! One of several replicas works: the one that holds the Lease.
//!
//! Safety does not rest on it, every write is a compare-and-swap or an apply; it keeps replicas from working against
//! each other.

mod claim;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::error::Error;
use crate::metrics::Metrics;
use claim::{Claim, Seen};

/// A Lease that was not renewed for so long is free: as long as a broker's, for a node that is lost may have both, and
/// the next holder has watched brokers all along.
const DURATION: Duration = Duration::from_secs(3);
/// How often it is renewed, or looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Who could not renew for so long stops working, well before anybody else begins.
const DEADLINE: Duration = Duration::from_millis(2500);

/// A candidate for the Lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    leader: watch::Sender<bool>,
    metrics: Metrics,
    /// The Lease as it was last written by this process.
    held: Option<Lease>,
    renewed: Instant,
    seen: Option<Seen>,
    /// The highest resourceVersion of the Lease.
    version: u64,
    /// A lower one came after it: etcd was restored.
    restored: bool,
}

impl Candidate {
    /// Will run for the Lease of that namespace and name.
    pub fn new(
        client: Client,
        namespace: &str,
        name: String,
        identity: String,
        leader: watch::Sender<bool>,
        metrics: Metrics,
    ) -> Self {
        let api = Api::namespaced(client, namespace);
        Self {
            api,
            name,
            identity,
            leader,
            metrics,
            held: None,
            renewed: Instant::now(),
            seen: None,
            version: 0,
            restored: false,
        }
    }

    /// Runs for the Lease, and renews it, until `stop`; then gives it back, so that another need not wait. Ends before that
    /// only where the API server has gone back in time.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // Sent once, at the end; or the sender is gone, which is the end too.
                _ = stop.changed() => break,
            }
            self.round().await;
            if self.restored {
                tracing::error!(
                    "the API server shows an older version of the operator's Lease than before: etcd was restored from a \
                     backup"
                );
                self.set(false);
                return;
            }
        }
        self.release().await;
    }

    /// One attempt to hold the Lease, given up in time to stop working.
    async fn round(&mut self) {
        let leads = *self.leader.borrow();
        let deadline = if leads { self.renewed + DEADLINE } else { Instant::now() + DURATION };
        let began = Instant::now();
        match timeout_at(deadline, self.attempt()).await {
            Ok(Ok(true)) => {
                // What was sent may count from when it was sent.
                self.renewed = began;
                self.set(true);
            }
            Ok(Ok(false)) => self.set(false),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the operator's Lease could not be renewed");
                self.held = None;
            }
            Err(_) => {
                tracing::warn!("the API server does not answer; the operator's Lease could not be renewed");
                self.held = None;
            }
        }
        if leads && self.renewed.elapsed() >= DEADLINE {
            self.set(false);
        }
    }

    /// Whether this replica holds the Lease now.
    async fn attempt(&mut self) -> Result<bool, Error> {
        if let Some(held) = self.held.take() {
            match self.replace(held, false).await {
                Ok(()) => return Ok(true),
                Err(Error::Conflict | Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(lease) = self.api.get_opt(&self.name).await? else { return self.create().await };
        if self.is_behind(&lease) {
            return Ok(false);
        }
        let spec = lease.spec.clone().unwrap_or_default();
        let claim =
            claim::decide(&self.identity, &spec, self.seen.take(), Instant::now().into_std(), DURATION);
        let (new_holder, seen) = match claim {
            Claim::Wait(seen) => (None, Some(seen)),
            Claim::Renew => (Some(false), None),
            Claim::Take => (Some(true), None),
        };
        self.seen = seen;
        let Some(new_holder) = new_holder else { return Ok(false) };
        match self.replace(lease, new_holder).await {
            Ok(()) => Ok(true),
            Err(Error::Conflict | Error::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn create(&mut self) -> Result<bool, Error> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(self.spec(&LeaseSpec::default(), true)) };
        match self.api.create(&PostParams::default(), &lease).await.map_err(Error::from) {
            Ok(lease) if self.is_behind(&lease) => Ok(false),
            Ok(lease) => {
                self.held = Some(lease);
                Ok(true)
            }
            Err(Error::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the Lease over the version that was read: the resourceVersion is the test.
    async fn replace(&mut self, mut lease: Lease, new_holder: bool) -> Result<(), Error> {
        let old = lease.spec.take().unwrap_or_default();
        lease.spec = Some(self.spec(&old, new_holder));
        lease.metadata.managed_fields = None;
        let lease = self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        self.is_behind(&lease);
        self.held = Some(lease);
        Ok(())
    }

    /// Whether the Lease is of an older version than one that was seen. Versions of one API server rise: what is behind is
    /// of a restored backup, and watches know nothing of that.
    fn is_behind(&mut self, lease: &Lease) -> bool {
        let version = lease.metadata.resource_version.as_deref().and_then(|text| text.parse().ok());
        self.restored |= version.is_some_and(|version: u64| version < self.version);
        self.version = version.unwrap_or(self.version);
        self.restored
    }

    fn spec(&self, old: &LeaseSpec, new_holder: bool) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let transitions = old.lease_transitions.unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if new_holder { Some(now.clone()) } else { old.acquire_time.clone() },
            renew_time: Some(now),
            lease_transitions: Some(transitions.saturating_add(i32::from(new_holder))),
            ..LeaseSpec::default()
        }
    }

    fn set(&self, leads: bool) {
        let changed = self.leader.send_if_modified(|held| std::mem::replace(held, leads) != leads);
        if changed {
            self.metrics.leader.set(i64::from(leads));
            let what = if leads {
                "this replica works: it holds the Lease"
            } else {
                "this replica waits: it does not hold the Lease"
            };
            tracing::info!(identity = self.identity, "{what}");
        }
    }

    /// Stops working, then gives the Lease back.
    async fn release(mut self) {
        self.set(false);
        let Some(mut lease) = self.held.take() else { return };
        let Some(spec) = lease.spec.as_mut() else { return };
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        let parameters = PostParams::default();
        let released = self.api.replace(&self.name, &parameters, &lease);
        if let Ok(Err(error)) = tokio::time::timeout(PERIOD, released).await {
            tracing::warn!(%error, "the operator's Lease could not be given back");
        }
    }
}
