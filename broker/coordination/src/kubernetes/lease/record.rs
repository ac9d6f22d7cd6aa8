//! What this broker writes into its Lease. Pure: the Lease that was read in, the Lease to write out.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
    jiff::Timestamp,
};
use milena_crds::{
    names,
    partition::{Generation, Offline},
};

use super::super::place::Place;

/// A Lease that was not renewed for so long says that its broker is probably gone.
pub const DURATION: Duration = Duration::from_secs(3);

/// One life of this broker: what tells this process from any other under the same name.
#[derive(Clone, Debug)]
pub struct Life {
    /// The broker's place in the cluster.
    pub place: Place,
    /// Generation of the data directory.
    pub generation: Generation,
    /// `holderIdentity`: the pod's name and something that no other process has.
    pub identity: String,
}

/// What the broker is about to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It serves.
    #[default]
    Serving,
    /// It wants to be rid of its leadership.
    Draining,
    /// It has stopped.
    Stopped,
}

/// What the operator is to know of a broker that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// What it is about to do.
    pub phase: Phase,
    /// Partitions that others are to lead.
    pub offline: Offline,
    /// Partitions of which it remembers a newer state than it is shown.
    pub older: Offline,
    /// What it is shown was compared with what it remembers, since the API server has gone back in time so often; none
    /// before the first time.
    pub compared: Option<u32>,
}

/// Whose a Lease is, from the view of one life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This process.
    Me,
    /// Nobody: it was given back at a clean stop.
    Nobody,
    /// Another process, in this broker epoch.
    Other {
        /// Its `holderIdentity`.
        identity: String,
        /// Its broker epoch.
        epoch: i32,
    },
}

impl Life {
    /// Whose this Lease is.
    pub fn holder(&self, lease: &Lease) -> Holder {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or("");
        match holder {
            "" => Holder::Nobody,
            holder if holder == self.identity => Holder::Me,
            other => Holder::Other { identity: other.to_owned(), epoch: epoch(lease) },
        }
    }

    /// A Lease where there is none. With an owner Kubernetes removes it together with the KafkaCluster.
    pub fn first(&self, epoch: i32, owner: OwnerReference, now: Timestamp) -> Lease {
        let metadata = ObjectMeta {
            name: Some(self.place.pod.clone()),
            namespace: Some(self.place.namespace.clone()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        };
        self.renewed(Lease { metadata, spec: None }, epoch, &Wish::default(), now)
    }

    /// The Lease as this life wants it, over what was read: labels and annotations of others stay, and so does the
    /// resourceVersion, which makes the write a compare-and-swap.
    pub fn renewed(&self, mut lease: Lease, epoch: i32, wish: &Wish, now: Timestamp) -> Lease {
        let taken_over = self.holder(&lease) != Holder::Me;
        let old = lease.spec.take().unwrap_or_default();
        lease.metadata.managed_fields = None;
        lease.metadata.labels.get_or_insert_default().extend(self.place.labels());
        let annotations = lease.metadata.annotations.get_or_insert_default();
        for (name, value) in self.place.annotations(self.generation, wish) {
            match value {
                Some(value) => annotations.insert(name.to_owned(), value),
                None => annotations.remove(name),
            };
        }
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if taken_over { Some(MicroTime(now)) } else { old.acquire_time.clone() },
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(epoch),
            ..old
        });
        lease
    }

    /// The Lease as it is left at a clean stop: nobody holds it, so nobody waits for its end. The broker epoch stays.
    pub fn released(&self, lease: Lease, epoch: i32, now: Timestamp) -> Lease {
        let mut lease = self.renewed(lease, epoch, &Wish { phase: Phase::Stopped, ..Wish::default() }, now);
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
        }
        lease
    }
}

/// The broker epoch in a Lease.
pub fn epoch(lease: &Lease) -> i32 {
    lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0)
}

/// Whether the operator believes that the process of this broker epoch is gone.
pub fn is_believed_dead(lease: &Lease) -> bool {
    let note = lease.metadata.annotations.as_ref().and_then(|notes| notes.get(names::BELIEVED_DEAD));
    note.is_some_and(|note| *note == epoch(lease).to_string())
}

/// The broker epoch of a new life: above every earlier one that the Lease or the data directory knows of.
pub fn next_epoch(lease: Option<&Lease>, remembered: i32) -> i32 {
    lease.map_or(0, epoch).max(remembered).max(0).saturating_add(1)
}

#[cfg(test)]
mod tests;
