//! Who is in sync with the partitions that this broker leads: what the leaders propose is written, many at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use milena_replication::{Change, Outcome};
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, info};

use super::outlook::Outlook;
use crate::{
    coordination::IsrChange,
    node::{Broker, View},
    partitions::Partition,
};

/// How often it is looked for followers that are behind, and for changes to repeat.
const TICK: Duration = Duration::from_millis(500);
/// Who has joined may be the last that others wait for to leave: so many times it is looked again at once.
const MORE_ROUNDS: usize = 1;
/// Most changes that are asked for at a time.
const BATCH: usize = 4096;

/// Runs until the stop.
pub async fn look_after(
    broker: Arc<Broker>,
    mut waiting: UnboundedReceiver<Arc<Partition>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut views = broker.view_changes();
    let mut outlook = Outlook::default();
    outlook.suspects = broker.replication.suspects.all();
    outlook.look(&broker.view());
    loop {
        let look = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            changed = views.changed() => {
                if changed.is_err() {
                    return;
                }
                let view = broker.view();
                let (news, back) = outlook.look(&view);
                // Who is back says anew what it has: what it said before its removal does not count for its return.
                back.into_iter().for_each(|id| broker.replication.close_sessions(id));
                match news {
                    true => led(&view, |_| true),
                    false if !outlook.is_clouded(&view) => continue,
                    // Who begins to lead removes the dead with its first change: all that a picture brings together.
                    false => led(&view, |partition| outlook.has_dead(partition)),
                }
            }
            () = broker.replication.suspects.changed() => {
                outlook.suspects = broker.replication.suspects.all();
                led(&broker.view(), |_| true)
            }
            partition = waiting.recv() => {
                let mut look: Vec<_> = partition.into_iter().collect();
                while look.len() < BATCH && let Ok(partition) = waiting.try_recv() {
                    look.push(partition);
                }
                look
            }
            _ = tick.tick() => {
                outlook.listen(&broker.replication.hearing, TICK, broker.config().replica_silence);
                led(&broker.view(), Partition::needs_a_look)
            }
        };
        for partitions in look.chunks(BATCH) {
            let mut more = change(&broker, partitions, &outlook).await;
            for _ in 0..MORE_ROUNDS {
                more = change(&broker, &more, &outlook).await;
            }
        }
    }
}

fn led(view: &View, wanted: impl Fn(&Partition) -> bool) -> Vec<Arc<Partition>> {
    let wanted = |replica: &&Arc<Partition>| replica.is_leader() && wanted(replica);
    view.hosted.replicas().filter(wanted).cloned().collect()
}

/// Makes the changes that these partitions propose. Answers those that move, and may have more to propose.
async fn change(broker: &Broker, partitions: &[Arc<Partition>], outlook: &Outlook) -> Vec<Arc<Partition>> {
    let max_lag_ms = broker.config().replica_lag_ms;
    let propose = |partition: &Arc<Partition>| {
        let key = partition.key();
        let change = partition.propose(max_lag_ms, |id| outlook.belief(id, &key))?;
        Some((partition.clone(), change))
    };
    let proposed: Vec<(Arc<Partition>, Change)> = partitions.iter().filter_map(propose).collect();
    if proposed.is_empty() {
        return Vec::new();
    }
    let changes =
        proposed.iter().map(|(partition, change)| IsrChange { key: partition.key(), change: change.clone() });
    let changes = changes.collect();
    let made = AtomicUsize::new(0);
    // Each goes on as soon as it is answered, and does not wait for all the others.
    let answered = |index: usize, outcome| {
        let Some((partition, change)) = proposed.get(index) else { return };
        debug!(partition = %partition.name(), ?outcome, "in-sync replicas");
        made.fetch_add(usize::from(outcome == Outcome::Succeeded), Ordering::Relaxed);
        broker.metrics.count_isr_change(change, outcome);
        partition.answered(change, outcome);
    };
    broker.coordination.change_isr(changes, Box::new(answered)).await;
    info!(me = broker.id, proposed = proposed.len(), ?made, "in-sync replicas of partitions led here");
    let moved =
        |(partition, change): (Arc<Partition>, Change)| change.new.is_reassigning().then_some(partition);
    proposed.into_iter().filter_map(moved).collect()
}
