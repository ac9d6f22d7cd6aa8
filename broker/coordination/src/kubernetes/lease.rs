//! This broker's Lease: taken at the start, renewed every second, given back at a clean stop.
//!
//! A Lease is a hint to others and no fence: a broker that cannot renew goes on serving (rule 10). It has a thread of
//! its own, because the threads that serve clients may all stand in a slow disk for longer than a Lease lasts.

pub mod record;

use std::{
    thread,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::OwnerReference, jiff::Timestamp,
};
use kube::{Api, Client, Resource as _, api::PostParams};
use milena_crds::{KafkaCluster, partition::Offline};
use milena_kubeclient::Access;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{error, info, warn};

use super::{
    AGENT, MANAGER,
    outage::{Outage, causes},
};
use record::{DURATION, Holder, Life, Phase, Wish, epoch, next_epoch};

/// How often the Lease is renewed.
const PERIOD: Duration = Duration::from_secs(1);
/// An attempt that takes longer is given up.
const ATTEMPT: Duration = Duration::from_secs(2);

/// What is known of the registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// The broker epoch; none before the first registration of this life.
    pub epoch: Option<i32>,
    /// Whether the last attempt to write the Lease succeeded.
    pub reachable: bool,
    /// How often the API server showed an older version of the Lease than before: etcd was restored.
    pub restores: u32,
}

/// Tells the operator, by the Lease, what this broker was shown and is older than what it remembers.
pub struct Reporter(watch::Sender<Wish>);

impl Reporter {
    /// What was shown, after so many restores, was compared with what is remembered: `older` is of these partitions.
    /// Before that the Lease is neither taken nor renewed, so that nobody elects a broker before it has told.
    pub fn compared(&self, older: Offline, restores: u32) {
        self.0.send_if_modified(|wish| {
            let new = Wish { older, compared: Some(restores), ..wish.clone() };
            let changed = *wish != new;
            *wish = new;
            changed
        });
    }
}

/// The running registration. Dropped, it leaves the Lease to expire.
pub struct Registration {
    wish: watch::Sender<Wish>,
    state: watch::Receiver<Registered>,
}

impl Registration {
    /// Begins to register and renew, on a thread of its own. `remembered`: the broker epoch of the last life.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(api_server: Access, life: Life, remembered: i32) -> std::io::Result<Registration> {
        let (wish, wishes) = watch::channel(Wish::default());
        let (states, state) = watch::channel(Registered::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("lease".to_owned()).spawn(move || {
            runtime.block_on(async {
                match milena_kubeclient::client(&api_server, AGENT) {
                    Ok(client) => Keeper::new(client, life, remembered, states).run(wishes).await,
                    Err(error) => error!(%error, "no Lease: no client can be made for the API server"),
                }
            });
        })?;
        Ok(Registration { wish, state })
    }

    /// What is known of the registration, and a signal at each change.
    pub fn state(&self) -> watch::Receiver<Registered> {
        self.state.clone()
    }

    /// Who tells the operator of older states.
    pub fn reporter(&self) -> Reporter {
        Reporter(self.wish.clone())
    }

    /// Tells the operator that this broker wants to be rid of its leadership.
    pub fn drain(&self) {
        self.wish.send_modify(|wish| wish.phase = Phase::Draining);
    }

    /// Tells the operator which partitions others are to lead.
    pub fn cannot_serve(&self, offline: Offline) {
        self.wish.send_if_modified(|wish| std::mem::replace(&mut wish.offline, offline.clone()) != offline);
    }

    /// Tells the operator that this broker is willing to lead again.
    pub fn serve(&self) {
        self.wish.send_if_modified(|wish| {
            let drained = wish.phase == Phase::Draining;
            if drained {
                wish.phase = Phase::Serving;
            }
            drained
        });
    }

    /// Gives the Lease back. Ends when that is done, or has failed.
    pub async fn release(&self) {
        self.wish.send_modify(|wish| wish.phase = Phase::Stopped);
        let mut state = self.state.clone();
        // The sender goes with the thread.
        while state.changed().await.is_ok() {}
    }
}

/// Why a Lease could not be written.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", causes(.0))]
    Api(#[from] kube::Error),
    #[error("the API server does not answer within {ATTEMPT:?}")]
    Silent,
    #[error(
        "the API server has gone back in time: etcd was restored from a backup. Everything is listed anew"
    )]
    BackInTime,
    #[error("there is no KafkaCluster of that name")]
    NoCluster,
    #[error("another process, {0}, holds the Lease of this broker in a later broker epoch")]
    Superseded(String),
}

/// Keeps one Lease.
struct Keeper {
    leases: Api<Lease>,
    clusters: Api<KafkaCluster>,
    life: Life,
    /// The highest broker epoch known; this life's own once it is registered.
    remembered: i32,
    states: watch::Sender<Registered>,
    /// The Lease as this life wrote it last.
    held: Option<Lease>,
    /// A Lease of a process that took this life's place, and when it was first seen like that.
    rival: Option<(Lease, Instant)>,
    outage: Outage,
    /// The highest resourceVersion of the Lease, and how often a lower one came after it.
    version: u64,
    restores: u32,
}

impl Keeper {
    fn new(client: Client, life: Life, remembered: i32, states: watch::Sender<Registered>) -> Keeper {
        let namespace = life.place.namespace.clone();
        Keeper {
            leases: Api::namespaced(client.clone(), &namespace),
            clusters: Api::namespaced(client, &namespace),
            life,
            remembered,
            states,
            held: None,
            rival: None,
            outage: Outage::default(),
            version: 0,
            restores: 0,
        }
    }

    async fn run(mut self, mut wishes: watch::Receiver<Wish>) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = wishes.changed() => if changed.is_err() { return },
            }
            let wish = wishes.borrow_and_update().clone();
            if wish.phase == Phase::Stopped {
                return self.release().await;
            }
            if wish.compared != Some(self.restores) {
                continue;
            }
            let done = timeout(ATTEMPT, self.keep(&wish)).await;
            self.note(done.unwrap_or(Err(Failure::Silent)));
        }
    }

    /// Tells everybody how it went: the log once an outage, the others at once.
    fn note(&mut self, done: Result<(), Failure>) {
        let reachable = done.is_ok();
        match done {
            Ok(()) => {
                if let Some(outage) = self.outage.ends() {
                    info!(?outage, "the Lease is renewed again");
                }
            }
            Err(failure @ Failure::BackInTime) => error!(lease = self.life.place.pod, "{failure}"),
            Err(failure) if !self.outage.begins() => {
                tracing::debug!(%failure, "the Lease still cannot be renewed")
            }
            Err(failure @ Failure::Superseded(_)) => {
                error!(%failure, lease = self.life.place.pod, "no longer renewing; clients are still served");
            }
            Err(failure) => {
                warn!(%failure, lease = self.life.place.pod, "the Lease cannot be renewed; clients are still served");
            }
        }
        self.states.send_if_modified(|state| {
            let epoch = if reachable { Some(self.remembered) } else { state.epoch };
            let new = Registered { epoch, reachable, restores: self.restores };
            std::mem::replace(state, new) != new
        });
    }

    /// One renewal, or one attempt to register.
    async fn keep(&mut self, wish: &Wish) -> Result<(), Failure> {
        if let Some(held) = self.held.take() {
            match self.replace(held, self.remembered, wish).await {
                Err(Failure::Api(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {}
                done => return done,
            }
        }
        self.register(wish).await
    }

    /// Takes the Lease as it is in the API server now.
    async fn register(&mut self, wish: &Wish) -> Result<(), Failure> {
        let registered = self.states.borrow().epoch;
        let Some(lease) = self.leases.get_opt(&self.life.place.pod).await? else {
            // Somebody deleted it; the epoch of this life is still its own.
            let epoch = registered.unwrap_or_else(|| next_epoch(None, self.remembered));
            return self.create(epoch, wish).await;
        };
        if self.look_at_version(&lease) {
            return Err(Failure::BackInTime);
        }
        let epoch = match (self.life.holder(&lease), registered) {
            (Holder::Me, _) => epoch(&lease),
            (Holder::Other { identity, epoch }, Some(mine))
                if epoch > mine && !self.rival_is_gone(&lease) =>
            {
                return Err(Failure::Superseded(identity));
            }
            _ => next_epoch(Some(&lease), self.remembered),
        };
        self.replace(lease, epoch, wish).await
    }

    /// Whether a Lease that another process took was not renewed for a whole duration, on this process's own clock.
    ///
    /// The newer process of a pod is the one that Kubernetes means: this one must not wrestle with it.
    fn rival_is_gone(&mut self, lease: &Lease) -> bool {
        match &self.rival {
            Some((seen, since)) if seen.spec == lease.spec => since.elapsed() >= DURATION,
            _ => {
                self.rival = Some((lease.clone(), Instant::now()));
                false
            }
        }
    }

    async fn create(&mut self, epoch: i32, wish: &Wish) -> Result<(), Failure> {
        let cluster = self.clusters.get_opt(&self.life.place.cluster).await?.ok_or(Failure::NoCluster)?;
        let lease = self.life.first(epoch, owner(&cluster)?, Timestamp::now());
        let lease = self.life.renewed(lease, epoch, wish, Timestamp::now());
        let written = self.leases.create(&parameters(), &lease).await?;
        self.wrote(written);
        Ok(())
    }

    async fn replace(&mut self, lease: Lease, epoch: i32, wish: &Wish) -> Result<(), Failure> {
        let lease = self.life.renewed(lease, epoch, wish, Timestamp::now());
        let written = self.leases.replace(&self.life.place.pod, &parameters(), &lease).await?;
        self.wrote(written);
        Ok(())
    }

    /// An API server's versions rise: where a Lease has a lower one than before, it is that of a restored backup.
    fn look_at_version(&mut self, lease: &Lease) -> bool {
        let version = lease.metadata.resource_version.as_deref().and_then(|text| text.parse::<u64>().ok());
        let Some(version) = version else { return false };
        let back = version < self.version;
        self.version = version;
        self.restores = self.restores.saturating_add(u32::from(back));
        back
    }

    fn wrote(&mut self, lease: Lease) {
        if self.look_at_version(&lease) {
            error!(lease = self.life.place.pod, "{}", Failure::BackInTime);
        }
        let epoch = epoch(&lease);
        if self.held.is_none() && self.states.borrow().epoch != Some(epoch) {
            info!(lease = self.life.place.pod, broker_epoch = epoch, generation = %self.life.generation, "registered");
        }
        self.remembered = epoch;
        self.rival = None;
        self.held = Some(lease);
    }

    /// Leaves the Lease to nobody, if it is this life's.
    async fn release(mut self) {
        let Some(held) = self.held.take() else { return };
        let lease = self.life.released(held, self.remembered, Timestamp::now());
        let parameters = parameters();
        let replaced = self.leases.replace(&self.life.place.pod, &parameters, &lease);
        match timeout(ATTEMPT, replaced).await {
            Ok(Ok(_)) => info!(lease = self.life.place.pod, "the Lease is given back"),
            Ok(Err(error)) => warn!(%error, "the Lease could not be given back; it expires"),
            Err(_) => warn!("the Lease could not be given back, the API server does not answer; it expires"),
        }
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn owner(cluster: &KafkaCluster) -> Result<OwnerReference, Failure> {
    cluster.owner_ref(&()).ok_or(Failure::NoCluster)
}

/// A text that no other process has.
pub fn identity(pod: &str) -> String {
    format!("{pod}_{}", uuid::Uuid::new_v4())
}
