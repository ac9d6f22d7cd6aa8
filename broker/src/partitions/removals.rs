//! Replicas that a move has taken from this broker: they stop, and their logs go (rules 12 and 14).
//!
//! The state that no longer names this broker is of a leader epoch above all in which it was a replica, and was seen
//! after those: what is remembered on disk lets no older one through.

use std::{collections::BTreeMap, sync::Arc};

use milena_replication::Source;
use tracing::info;

use super::{Hosted, HostedTopic, Partition};
use crate::cluster::Topic;

/// Takes out of `hosted` what `me` has of a topic and the topic's state gives to others; answers what was open, which
/// neither leads nor follows any more. A partition whose state is not known stays.
pub fn take_out(hosted: &mut Hosted, topic: &Topic, me: i32) -> Vec<Arc<Partition>> {
    let Some(known) = hosted.topic(topic.id) else { return Vec::new() };
    let elsewhere = |index: &i32| topic.partition(*index).is_some_and(|state| !state.replicas.contains(&me));
    let has_some = known.open.keys().chain(&known.failed).chain(known.offline.keys()).any(&elsewhere);
    if !has_some {
        return Vec::new();
    }
    let stops = |(index, replica): &(&i32, &Arc<Partition>)| {
        let Some(state) = topic.partition(**index).filter(|_| elsewhere(index)) else { return false };
        replica.act_on(state, Source::Store);
        !replica.state().replicas.contains(&me)
    };
    let gone: BTreeMap<i32, Arc<Partition>> =
        known.open.iter().filter(stops).map(|(index, replica)| (*index, replica.clone())).collect();
    let mut left: HostedTopic = known.as_ref().clone();
    left.open.retain(|index, _| !gone.contains_key(index));
    left.failed.retain(|index| !elsewhere(index));
    left.offline.retain(|index, _| !elsewhere(index));
    hosted.put(topic.id, Arc::new(left));
    for replica in gone.values() {
        info!(partition = %replica.name(), state = %replica.state(), "moved to other brokers");
    }
    gone.into_values().collect()
}
