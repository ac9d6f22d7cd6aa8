//! From what the watches show to the picture of the cluster. No I/O and no clock: the time comes in.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use milena_controller::{
    Liveness,
    lease::{Instant, Leases, Sight, Verdict},
};
use milena_crds::{KafkaCluster, KafkaTopic, names, restore::Declared};
use parking_lot::RwLock;
use uuid::Uuid;

use super::{
    index::Index,
    isr::Objects,
    lease::record,
    place::Place,
    watches::{Change, Of},
};
use crate::{
    assembler::Assembler,
    cluster::{BrokerInfo, ClusterImage},
};

/// What the objects of a cluster say together.
pub struct Picture {
    place: Place,
    assembler: Assembler,
    leases: Leases,
    /// Before that, others have not had the time to renew since the API server is back.
    blind_until: Instant,
    /// Brokers with a Lease, as they are believed to be.
    brokers: BTreeMap<i32, BrokerInfo>,
    /// Brokers that the KafkaCluster asks for; none before it was seen.
    wanted: Option<i32>,
    topics: Arc<RwLock<Index>>,
    objects: Arc<RwLock<Objects>>,
    listed: Listed,
    /// Something was seen that brokers are to be judged by at once.
    unjudged: bool,
    next_judgement: Instant,
}

/// Brokers are judged so often where nothing happens.
const JUDGED: Duration = Duration::from_secs(1);

/// Of which kinds the first list is complete.
#[derive(Default)]
struct Listed {
    cluster: bool,
    topics: bool,
    partitions: bool,
    leases: bool,
}

impl Picture {
    /// A picture in which there is this broker alone. `topics` is kept in line with the KafkaTopics, and
    /// `objects` with the KafkaPartitions.
    pub fn new(place: Place, topics: Arc<RwLock<Index>>, objects: Arc<RwLock<Objects>>) -> Picture {
        let mut picture = Picture {
            assembler: Assembler::default(),
            leases: Leases::default(),
            blind_until: Instant::ZERO,
            brokers: BTreeMap::new(),
            wanted: None,
            topics,
            objects,
            listed: Listed::default(),
            unjudged: false,
            next_judgement: Instant::ZERO,
            place,
        };
        picture.show_brokers();
        picture
    }

    /// Whether every kind was listed: before that, what is missing says nothing.
    pub fn is_complete(&self) -> bool {
        let Listed { cluster, topics, partitions, leases } = self.listed;
        cluster && topics && partitions && leases
    }

    /// Everything is being listed anew: until that is done the picture is not complete.
    pub fn list_anew(&mut self) {
        self.listed = Listed::default();
    }

    /// The picture as it is now.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.assembler.image()
    }

    /// Takes a change in.
    pub fn take(&mut self, change: Change, now: Instant) {
        match change {
            Change::Cluster(Of::Applied(cluster)) => self.apply_cluster(&cluster),
            // Brokers serve on without their KafkaCluster; Kubernetes stops them when they are to go.
            Change::Cluster(Of::Gone(_) | Of::Broken) => {}
            Change::Cluster(Of::Listed) => self.listed.cluster = true,
            Change::Topic(Of::Applied(topic)) => self.apply_topic(&topic),
            Change::Topic(Of::Gone(name)) => {
                let former = self.topics.write().remove(&name);
                self.forget_topic(former);
            }
            Change::Topic(Of::Listed) => self.listed.topics = true,
            Change::Partitions(Of::Applied(object)) => {
                self.objects.write().apply(&object);
                self.assembler.apply_partitions(&object);
            }
            Change::Partitions(Of::Gone(name)) => {
                self.objects.write().remove(&name);
                self.assembler.remove_partitions(&name);
            }
            Change::Partitions(Of::Listed) => self.listed.partitions = true,
            Change::Lease(Of::Applied(lease)) => self.apply_lease(&lease, now),
            Change::Lease(Of::Gone(name)) => self.remove_lease(&name),
            Change::Lease(Of::Listed) => self.listed.leases = true,
            Change::Lease(Of::Broken) => self.leases.watch_broken(now),
            Change::Topic(Of::Broken) | Change::Partitions(Of::Broken) => {}
        }
    }

    /// Believes of every broker what its Lease says by now. Where most Leases seem to expire together, this broker's own
    /// tells who is away: unless it goes on being renewed it is the API server, and nothing is believed then that was
    /// not believed before.
    ///
    /// Renewals come once a second from every broker: most of them are no reason to look at all the others.
    pub fn judge(&mut self, now: Instant) {
        if !self.unjudged && now < self.next_judgement {
            return;
        }
        self.unjudged = false;
        match self.leases.judge(now) {
            Verdict::Brokers(verdicts) => {
                for (id, broker) in &mut self.brokers {
                    match verdicts.get(id) {
                        Some(Liveness::Alive) => broker.alive = true,
                        Some(Liveness::Dead) => broker.alive = false,
                        Some(Liveness::Unknown) | None => {}
                    }
                }
            }
            Verdict::Suspicious(expired) if expired.contains(&self.place.broker) => {
                self.blind_until = now.saturating_add(record::DURATION);
            }
            Verdict::Suspicious(expired) if now >= self.blind_until => {
                for id in expired {
                    if let Some(broker) = self.brokers.get_mut(&id) {
                        broker.alive = false;
                    }
                }
            }
            Verdict::Suspicious(_) => {}
        }
        let expiry = self.leases.next_expiry(now).unwrap_or(Instant::MAX);
        self.next_judgement = expiry.min(now.saturating_add(JUDGED));
        self.show_brokers();
    }

    /// When to judge again if nothing changes.
    pub fn next_judgement(&self) -> Instant {
        self.next_judgement
    }

    fn apply_cluster(&mut self, cluster: &KafkaCluster) {
        if let Some(id) = cluster.uid().and_then(|uid| Uuid::parse_str(&uid).ok()) {
            self.assembler.set_cluster_id(Arc::from(names::kafka_uuid(id)));
        }
        self.assembler.set_settings(&cluster.spec.config);
        let declared = Declared::of(cluster.metadata.annotations.as_ref());
        self.assembler.set_declared(declared.map(|declared| declared.id));
        self.wanted = Some(cluster.spec.brokers);
        self.unjudged = true;
    }

    fn apply_topic(&mut self, topic: &KafkaTopic) {
        // The API server selects by cluster; this is for one that cannot.
        if topic.spec.cluster != self.place.cluster {
            return;
        }
        let difference = self.topics.write().apply(topic);
        self.forget_topic(difference.former);
        if difference.changed {
            self.assembler.apply_topic(topic);
        }
    }

    fn forget_topic(&mut self, id: Option<Uuid>) {
        if let Some(id) = id {
            self.assembler.forget_topic(id);
        }
    }

    fn apply_lease(&mut self, lease: &Lease, now: Instant) {
        let Some(id) = names::broker_of_pod(&self.place.cluster, &lease.name_any()) else { return };
        let Some(mut broker) = broker_info(lease) else { return };
        let spec = lease.spec.clone().unwrap_or_default();
        let epoch = i64::from(record::epoch(lease));
        let stamp = spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(record::DURATION, Duration::from_secs);
        // What is seen first may come from a list, and be old.
        self.leases.observe(id, &Sight { epoch, stamp: &stamp, duration }, false, now);
        // Given back, or the operator says so (rule 7).
        let gone = spec.holder_identity.is_none() || record::is_believed_dead(lease);
        if gone {
            self.leases.gone(id, epoch);
        }
        broker.alive = self.brokers.get(&id).is_none_or(|known| known.alive);
        // A renewal by a broker that is believed to be alive says nothing new.
        self.unjudged |= gone || !broker.alive || self.brokers.get(&id) != Some(&broker);
        self.brokers.insert(id, broker);
    }

    fn remove_lease(&mut self, name: &str) {
        if let Some(id) = names::broker_of_pod(&self.place.cluster, name) {
            self.leases.removed(id);
            self.brokers.remove(&id);
            self.unjudged = true;
        }
    }

    /// Shows clients the brokers that are there, or that are wanted and may come back; this one always.
    fn show_brokers(&mut self) {
        let stays =
            |id: &i32, broker: &BrokerInfo| broker.alive || self.wanted.is_none_or(|wanted| *id < wanted);
        let mut shown: BTreeMap<i32, BrokerInfo> = self
            .brokers
            .iter()
            .filter(|(id, broker)| stays(id, broker))
            .map(|(id, info)| (*id, info.clone()))
            .collect();
        shown.insert(self.place.broker, self.myself());
        for id in self.assembler.brokers() {
            if !shown.contains_key(&id) {
                self.assembler.remove_broker(id);
            }
        }
        for (id, broker) in shown {
            self.assembler.set_broker(id, broker);
        }
    }

    fn myself(&self) -> BrokerInfo {
        BrokerInfo {
            host: Some(Arc::from(self.place.host())),
            port: names::KAFKA_PORT,
            pod_ip: self.place.pod_ip.as_deref().map(Arc::from),
            rack: self.place.rack.as_deref().map(Arc::from),
            alive: true,
            offline: Arc::default(),
        }
    }
}

/// A broker as its Lease describes it; none where it has no endpoint that can be read.
fn broker_info(lease: &Lease) -> Option<BrokerInfo> {
    let (host, port) = lease.annotations().get(names::ENDPOINT)?.rsplit_once(':')?;
    let rack = lease.annotations().get(names::RACK).filter(|rack| !rack.is_empty());
    let offline = lease.annotations().get(names::OFFLINE_PARTITIONS).and_then(|text| text.parse().ok());
    Some(BrokerInfo {
        host: Some(Arc::from(host)),
        port: port.parse().ok()?,
        pod_ip: lease.annotations().get(names::POD_IP).map(|address| Arc::from(address.as_str())),
        rack: rack.map(|rack| Arc::from(rack.as_str())),
        alive: true,
        offline: offline.map(Arc::new).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
