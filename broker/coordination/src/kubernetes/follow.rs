//! Follows the watches, and shows the broker each new picture once it is remembered on disk.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use kube::Client;
use tokio::{
    sync::{oneshot, watch},
    task::block_in_place,
    time::{MissedTickBehavior, interval, sleep, sleep_until},
};
use tracing::{info, warn};

use super::{
    lease::{Registered, Reporter},
    memory::Memory,
    picture::Picture,
    place::Place,
    watches,
};
use crate::cluster::ClusterImage;

/// A start waits so long for the API server before it goes by what is remembered.
const PATIENCE: Duration = Duration::from_secs(2);
/// Two pictures lie so far apart at least: what comes together is shown together.
const GATHER: Duration = Duration::from_millis(10);
/// Most changes that are taken in at a time.
const BATCH: usize = 1024;
/// What could not be kept on disk is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);

/// Follows one cluster.
pub struct Follower {
    /// What is seen.
    pub picture: Picture,
    /// What was seen.
    pub memory: Memory,
    /// Where pictures are shown.
    pub images: watch::Sender<Arc<ClusterImage>>,
    /// Told of what was shown and is older than what is remembered.
    pub reporter: Reporter,
    /// Told once the first picture is shown.
    pub first: Option<oneshot::Sender<()>>,
}

impl Follower {
    /// Follows for ever.
    pub async fn run(mut self, client: Client, place: Place, mut registered: watch::Receiver<Registered>) {
        let begun = Instant::now();
        let restored = registered.clone();
        let mut changes = watches::changes(&client, &place, restored).ready_chunks(BATCH);
        let mut seen: Option<Arc<ClusterImage>> = None;
        let (mut patient, mut registering, mut restores) = (true, true, 0);
        let behind = self.memory.behind();
        let mut retry = interval(RETRY);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut again = false;
            let judgement = self.picture.next_judgement().saturating_sub(begun.elapsed());
            tokio::select! {
                chunk = changes.next() => {
                    let Some(chunk) = chunk else { return };
                    let gone_back = registered.borrow().restores;
                    if gone_back != restores {
                        // Before anything is taken in that is listed anew.
                        (restores, seen) = (gone_back, None);
                        self.picture.list_anew();
                    }
                    let now = begun.elapsed();
                    for change in chunk {
                        self.picture.take(change, now);
                    }
                }
                () = sleep(judgement) => {}
                _ = retry.tick(), if behind.load(Ordering::Acquire) => again = true,
                () = sleep_until((begun + PATIENCE).into()), if patient => {
                    patient = false;
                    self.resume();
                }
                changed = registered.changed(), if registering => {
                    let epoch = registered.borrow_and_update().epoch;
                    if let Some(epoch) = epoch {
                        block_in_place(|| self.memory.remember_epoch(epoch));
                    }
                    registering = changed.is_ok();
                }
            }
            self.picture.judge(begun.elapsed());
            if !self.picture.is_complete() {
                continue;
            }
            let image = self.picture.image();
            if again || seen.as_ref().is_none_or(|seen| differ(seen, &image)) {
                let shown = block_in_place(|| self.memory.remember(&image));
                self.reporter.compared(self.memory.older(), restores);
                self.show(shown);
                seen = Some(image);
                sleep(GATHER).await;
            }
        }
    }

    /// Goes by what is remembered, if nothing was seen yet and there is something.
    fn resume(&mut self) {
        if self.first.is_none() {
            return;
        }
        match self.memory.resume() {
            Some(image) => {
                warn!(
                    topics = image.topics.len(),
                    "the API server is not reached: going by what this broker knew before it stopped"
                );
                self.show(image);
            }
            None => {
                warn!("waiting for the API server: this broker cannot go by what it knew before it stopped")
            }
        }
    }

    fn show(&mut self, image: Arc<ClusterImage>) {
        if let Some(first) = self.first.take() {
            info!(topics = image.topics.len(), brokers = image.brokers.len(), "the cluster is known");
            self.images.send_replace(image);
            // Nobody waits any more where the start was given up.
            let _ = first.send(());
        } else {
            self.images.send_replace(image);
        }
    }
}

/// Whether two pictures differ, by what they share: no cost for what did not change.
fn differ(one: &ClusterImage, other: &ClusterImage) -> bool {
    !(one.topics.ptr_eq(&other.topics)
        && one.brokers.ptr_eq(&other.brokers)
        && one.deleted.ptr_eq(&other.deleted)
        && one.known.ptr_eq(&other.known)
        && one.held.ptr_eq(&other.held)
        && Arc::ptr_eq(&one.settings, &other.settings)
        && one.cluster_id == other.cluster_id)
}
