//! What every part of the operator works with.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder};
use tokio::sync::watch;

use crate::api::Scope;
use crate::cluster::Defaults;
use crate::error::Error;
use crate::metrics::Metrics;

/// Shared by all tasks; a clone is the same thing.
#[derive(Clone)]
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Where to look.
    pub scope: Scope,
    /// What brokers are made of where a KafkaCluster leaves it open.
    pub defaults: Defaults,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether this replica holds the Lease.
    pub leader: watch::Receiver<bool>,
    /// Whether every watch has brought its first list.
    pub synced: watch::Receiver<bool>,
    /// Writes Events.
    pub recorder: Recorder,
}

impl Context {
    /// To be asked before each write: a replica that lost the Lease stops at once.
    ///
    /// # Errors
    /// When this replica does not hold the Lease.
    pub fn may_write(&self) -> Result<(), Error> {
        if *self.leader.borrow() { Ok(()) } else { Err(Error::NotLeader) }
    }

    /// Waits until this replica works: it holds the Lease and its caches are filled. `false` when the operator ends.
    pub async fn working(&self) -> bool {
        let (mut leader, mut synced) = (self.leader.clone(), self.synced.clone());
        leader.wait_for(|holds| *holds).await.is_ok() && synced.wait_for(|filled| *filled).await.is_ok()
    }

    /// Waits until this replica does not hold the Lease.
    pub async fn deposed(&self) {
        // Whoever gave it away for good has ended.
        let _ = self.leader.clone().wait_for(|holds| !holds).await;
    }

    /// Tells people something about an object. What cannot be told is logged: an Event is a courtesy.
    pub async fn tell(
        &self,
        about: &ObjectReference,
        type_: EventType,
        reason: &str,
        action: &str,
        note: String,
    ) {
        if self.may_write().is_err() {
            return;
        }
        let event = Event {
            type_,
            reason: reason.to_owned(),
            action: action.to_owned(),
            note: Some(shorten(note)),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::debug!(%error, reason, "an Event could not be written");
        }
    }
}

/// The API server takes notes of up to 1,024 bytes.
fn shorten(mut note: String) -> String {
    const LONGEST: usize = 1024;
    if note.len() >= LONGEST {
        let end = (0..LONGEST - 4).rev().find(|index| note.is_char_boundary(*index)).unwrap_or(0);
        note.truncate(end);
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_fit() {
        assert_eq!(shorten("short".to_owned()), "short");
        for character in ["a", "ä", "…", "🦀"] {
            let note = shorten(character.repeat(1024));
            assert!(note.len() < 1024 && note.ends_with('…'));
        }
    }
}
