//! Who is in sync with the partitions that this broker leads: what the leaders propose is written, many at a time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use milena_replication::{Change, Outcome};
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, info};

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
    let mut alive = living(&broker.view());
    let mut suspects = broker.replication.suspects.all();
    loop {
        let look = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            changed = views.changed() => {
                if changed.is_err() {
                    return;
                }
                let before = std::mem::replace(&mut alive, living(&broker.view()));
                if before == alive {
                    continue;
                }
                // Who is back says anew what it has: what it said before its removal does not count for its return.
                alive.difference(&before).for_each(|id| broker.replication.close_sessions(*id));
                led(&broker.view(), |_| true)
            }
            () = broker.replication.suspects.changed() => {
                suspects = broker.replication.suspects.all();
                led(&broker.view(), |_| true)
            }
            partition = waiting.recv() => {
                let mut look: Vec<_> = partition.into_iter().collect();
                while look.len() < BATCH && let Ok(partition) = waiting.try_recv() {
                    look.push(partition);
                }
                look
            }
            _ = tick.tick() => led(&broker.view(), Partition::needs_a_look),
        };
        let dead = |id| !alive.contains(&id) || suspects.contains(&id);
        for partitions in look.chunks(BATCH) {
            let mut more = change(&broker, partitions, dead).await;
            for _ in 0..MORE_ROUNDS {
                more = change(&broker, &more, dead).await;
            }
        }
    }
}

fn living(view: &View) -> BTreeSet<i32> {
    view.image.brokers.iter().filter(|(_, broker)| broker.alive).map(|(id, _)| *id).collect()
}

fn led(view: &View, wanted: impl Fn(&Partition) -> bool) -> Vec<Arc<Partition>> {
    let wanted = |replica: &&Arc<Partition>| replica.is_leader() && wanted(replica);
    view.hosted.replicas().filter(wanted).cloned().collect()
}

/// Makes the changes that these partitions propose. Answers those that move, and may have more to propose.
async fn change(
    broker: &Broker,
    partitions: &[Arc<Partition>],
    dead: impl Fn(i32) -> bool,
) -> Vec<Arc<Partition>> {
    let max_lag_ms = broker.config().replica_lag_ms;
    let propose = |partition: &Arc<Partition>| {
        let change = partition.propose(max_lag_ms, &dead)?;
        Some((partition.clone(), change))
    };
    let proposed: Vec<_> = partitions.iter().filter_map(propose).collect();
    if proposed.is_empty() {
        return Vec::new();
    }
    let changes =
        proposed.iter().map(|(partition, change)| IsrChange { key: partition.key(), change: change.clone() });
    let outcomes = broker.coordination.change_isr(changes.collect()).await;
    let made = outcomes.iter().filter(|outcome| **outcome == Outcome::Succeeded).count();
    info!(me = broker.id, proposed = proposed.len(), made, "in-sync replicas of partitions led here");
    for ((partition, change), outcome) in proposed.iter().zip(outcomes) {
        debug!(partition = %partition.name(), ?outcome, "in-sync replicas");
        broker.metrics.count_isr_change(change, outcome);
        partition.answered(change, outcome);
    }
    let moved =
        |(partition, change): (Arc<Partition>, Change)| change.new.is_reassigning().then_some(partition);
    proposed.into_iter().filter_map(moved).collect()
}
