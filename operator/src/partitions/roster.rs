//! Which brokers there are and which of them work: Leases and pods, as the watches bring them. Pure; time comes in.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use milena_controller::broker::{Broker, Brokers, Liveness};
use milena_controller::lease::{Instant, Leases, Sight, Verdict};
use milena_crds::{names, partition::Offline};

/// A Lease that says nothing of its duration lasts so long.
const DEFAULT_DURATION: Duration = Duration::from_secs(3);

/// The brokers of one cluster.
#[derive(Debug, Default)]
pub struct Roster {
    leases: Leases,
    facts: BTreeMap<i32, Facts>,
    /// The resourceVersion of each Lease.
    versions: BTreeMap<i32, String>,
}

/// What a broker says of itself in its Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    epoch: i64,
    broker: Broker,
    pod_ip: Option<String>,
    version: Option<String>,
    /// When this process took the Lease, by the clock of its node.
    acquired: Option<Timestamp>,
    /// It was not given back.
    held: bool,
    /// The Lease says already that its process is believed to be gone.
    believed_dead: bool,
}

/// A broker process to hold a connection to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its broker epoch.
    pub epoch: i64,
    /// Where it listens, without the port.
    pub pod_ip: Option<String>,
}

/// A broker that is believed dead and whose Lease does not say so yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// Broker id.
    pub broker: i32,
    /// Its broker epoch.
    pub epoch: i64,
    /// The resourceVersion of the Lease by which it was judged.
    pub version: String,
}

impl Roster {
    /// A Lease as a watch (`live`) or a list shows it. The answer: whether there is anything in it but a renewal.
    pub fn lease(&mut self, cluster: &str, lease: &Lease, live: bool, now: Instant) -> bool {
        let Some((id, facts)) = read(cluster, lease) else { return false };
        let spec = lease.spec.as_ref();
        let seconds =
            spec.and_then(|spec| spec.lease_duration_seconds).and_then(|all| u64::try_from(all).ok());
        let duration = seconds.map_or(DEFAULT_DURATION, Duration::from_secs);
        let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0.to_string());
        let before = self.liveness(id, now);
        let stamp = renewed.unwrap_or_default();
        self.leases.observe(id, &Sight { epoch: facts.epoch, stamp: &stamp, duration }, live, now);
        if !facts.held {
            // Given back at a clean stop.
            self.leases.gone(id, facts.epoch);
        }
        self.versions.insert(id, lease.resource_version().unwrap_or_default());
        let known = self.facts.insert(id, facts.clone());
        known.as_ref() != Some(&facts) || before != self.liveness(id, now)
    }

    /// A Lease was deleted, or is missing.
    pub fn lease_gone(&mut self, cluster: &str, name: &str) -> bool {
        let Some(id) = names::broker_of_pod(cluster, name) else { return false };
        self.leases.removed(id);
        self.versions.remove(&id);
        self.facts.remove(&id).is_some()
    }

    /// A pod is new or has changed; if its container has terminated, so has the process that it ran. The answer:
    /// whether that is news.
    pub fn pod(&mut self, cluster: &str, pod: &Pod, now: Instant) -> bool {
        let Some((id, facts)) = self.of_pod(cluster, &pod.name_any()) else { return false };
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let ended = statuses.filter_map(|status| {
            let (now, last) = (status.state.as_ref(), status.last_state.as_ref());
            now.and_then(|state| state.terminated.as_ref()).or_else(|| last?.terminated.as_ref())
        });
        // Both times are of one node's clock. Seconds are all that the kubelet keeps: a process that ended within
        // the second of its beginning is left to its Lease.
        let after = |end: &ContainerStateTerminated| match (end.finished_at.as_ref(), facts.acquired) {
            (Some(end), Some(began)) => end.0 >= began,
            _ => false,
        };
        let epoch = facts.epoch;
        if ended.into_iter().any(after) { self.gone(id, epoch, now) } else { false }
    }

    /// A pod was seen to go. Its successor cannot have begun before that.
    pub fn pod_gone(&mut self, cluster: &str, name: &str, now: Instant) -> bool {
        let Some((id, epoch)) = self.of_pod(cluster, name).map(|(id, facts)| (id, facts.epoch)) else {
            return false;
        };
        self.gone(id, epoch, now)
    }

    /// The process of that epoch is gone for certain. The answer: whether that is news.
    pub fn gone(&mut self, broker: i32, epoch: i64, now: Instant) -> bool {
        let before = self.liveness(broker, now);
        self.leases.gone(broker, epoch);
        before != self.liveness(broker, now)
    }

    /// The broker answered a probe.
    pub fn answered(&mut self, broker: i32, now: Instant) {
        self.leases.answered(broker, now);
    }

    /// What is known of Leases is old.
    pub fn watch_broken(&mut self, now: Instant) {
        self.leases.watch_broken(now);
    }

    /// Brokers whose Leases have expired, or that are gone: to be looked at closely before anybody is elected.
    pub fn expired(&self, now: Instant) -> BTreeMap<i32, Process> {
        let expired: Vec<i32> = match self.leases.judge(now) {
            Verdict::Suspicious(brokers) => brokers,
            Verdict::Brokers(all) => {
                let dead = all.into_iter().filter(|(_, liveness)| *liveness == Liveness::Dead);
                dead.map(|(id, _)| id).collect()
            }
        };
        self.processes().into_iter().filter(|(id, _)| expired.contains(id)).collect()
    }

    /// Whether so many expired together that the API server is the likelier culprit.
    pub fn suspicious(&self, now: Instant) -> bool {
        matches!(self.leases.judge(now), Verdict::Suspicious(_))
    }

    /// Every broker, as elections take it. Nobody can tell of one whose expiry is suspicious.
    pub fn brokers(&self, now: Instant) -> Brokers {
        let verdict = self.leases.judge(now);
        let liveness = |id: &i32| match &verdict {
            Verdict::Brokers(all) => all.get(id).copied().unwrap_or(Liveness::Dead),
            Verdict::Suspicious(_) => Liveness::Unknown,
        };
        self.facts
            .iter()
            .map(|(id, facts)| (*id, Broker { liveness: liveness(id), ..facts.broker.clone() }))
            .collect()
    }

    /// Brokers that are believed dead, and of whom nobody else knows that yet.
    pub fn untold(&self, now: Instant) -> Vec<Untold> {
        let Verdict::Brokers(verdicts) = self.leases.judge(now) else { return Vec::new() };
        let dead = |id: &i32| verdicts.get(id) == Some(&Liveness::Dead);
        let untold = |(id, facts): (&i32, &Facts)| {
            let version = self.versions.get(id).filter(|_| dead(id) && facts.held && !facts.believed_dead)?;
            Some(Untold { broker: *id, epoch: facts.epoch, version: version.clone() })
        };
        self.facts.iter().filter_map(untold).collect()
    }

    /// When to judge again if nothing happens.
    pub fn next_expiry(&self, now: Instant) -> Option<Instant> {
        self.leases.next_expiry(now)
    }

    /// The process of each broker.
    pub fn processes(&self) -> BTreeMap<i32, Process> {
        let process = |facts: &Facts| Process { epoch: facts.epoch, pod_ip: facts.pod_ip.clone() };
        self.facts.iter().map(|(id, facts)| (*id, process(facts))).collect()
    }

    /// The version of Milena that all of the first `brokers` run, if it is one.
    pub fn version(&self, brokers: i32) -> Option<String> {
        let mut versions = (0..brokers).map(|id| self.facts.get(&id)?.version.as_deref());
        let first = versions.next()??;
        versions.all(|version| version == Some(first)).then(|| first.to_owned())
    }

    /// Brokers that cannot serve some of their partitions.
    pub fn troubled(&self) -> BTreeMap<i32, Offline> {
        let troubled = self.facts.iter().filter(|(_, facts)| !facts.broker.offline.is_empty());
        troubled.map(|(id, facts)| (*id, facts.broker.offline.clone())).collect()
    }

    fn liveness(&self, broker: i32, now: Instant) -> Option<Liveness> {
        match self.leases.judge(now) {
            Verdict::Brokers(all) => all.get(&broker).copied(),
            Verdict::Suspicious(_) => None,
        }
    }

    fn of_pod(&self, cluster: &str, pod: &str) -> Option<(i32, &Facts)> {
        let id = names::broker_of_pod(cluster, pod)?;
        Some((id, self.facts.get(&id)?))
    }
}

/// A broker's Lease. `None`: it is none, or not filled in yet.
fn read(cluster: &str, lease: &Lease) -> Option<(i32, Facts)> {
    let id = names::broker_of_pod(cluster, lease.metadata.name.as_deref()?)?;
    let spec = lease.spec.as_ref()?;
    let note = |name: &str| lease.annotations().get(name).filter(|text| !text.is_empty());
    let epoch = i64::from(spec.lease_transitions?);
    let broker = Broker {
        liveness: Liveness::Unknown,
        epoch,
        generation: note(names::LOG_GENERATION)?.parse().ok()?,
        rack: note(names::RACK).cloned(),
        draining: note(names::DRAINING).is_some_and(|text| text == "true"),
        offline: note(names::OFFLINE_PARTITIONS).and_then(|text| text.parse().ok()).unwrap_or_default(),
        older: note(names::OLDER_STATES).and_then(|text| text.parse().ok()).unwrap_or_default(),
    };
    let acquired = spec.acquire_time.as_ref().map(|time| time.0);
    let (pod_ip, version) = (note(names::POD_IP).cloned(), note(names::BROKER_VERSION).cloned());
    let held = spec.holder_identity.as_ref().is_some_and(|holder| !holder.is_empty());
    let believed_dead = note(names::BELIEVED_DEAD).is_some_and(|text| *text == epoch.to_string());
    Some((id, Facts { epoch, broker, pod_ip, version, acquired, held, believed_dead }))
}
