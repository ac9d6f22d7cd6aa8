//! What a replica is by the newest state: leader, follower or neither.

use std::sync::{Arc, atomic::Ordering};

use milena_crds::partition::PartitionState;
use milena_replication::{Conditions, Learned, Source};
use tracing::{debug, error, warn};

use super::{Partition, exchanges::FollowerSlot, partition::Inner};
use crate::clock;

impl Partition {
    /// Leads, follows or does neither, as the newest state says.
    pub fn act_on(&self, state: &PartitionState, source: Source) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let Some(log) = &inner.log else { return };
        let conditions = Conditions {
            log_end: log.log_end_offset(),
            high_watermark: self.high_watermark(),
            min_in_sync: self.config.load().min_in_sync,
            now_ms: clock::now_ms(),
        };
        let led = inner.replica.leader().is_some();
        match inner.replica.learn(state, source, conditions) {
            Learned::Refused => {
                let known = inner.replica.lowest_epoch();
                if state.leader_epoch < known {
                    warn!(partition = %self.name(), known, told = %state, "a lower leader epoch is refused");
                }
                return;
            }
            Learned::Unchanged { moved } => {
                self.state.store(Arc::new(state.clone()));
                self.publish(inner, moved);
                return;
            }
            Learned::Leads => self.begin_to_lead(inner),
            Learned::Follows => debug!(partition = %self.name(), state = %state, "following"),
            Learned::Idles if state.leader == Some(self.me.broker) => error!(
                partition = %self.name(), state = %state, mine = %self.me,
                "not leading: the state names another generation of this log, which may have lost records"
            ),
            Learned::Idles if led => debug!(partition = %self.name(), state = %state, "no longer leading"),
            Learned::Idles => {}
        }
        self.state.store(Arc::new(state.clone()));
        self.durable_end.store(conditions.log_end, Ordering::Release);
        self.leads.store(inner.replica.leader().is_some(), Ordering::Release);
        // Whoever waits here has to look elsewhere, and who waited for this broker to lead may be served.
        self.look_again();
    }

    /// The leader epoch goes to the log before anything is done in it.
    fn begin_to_lead(&self, inner: &mut Inner) {
        let (Some(leader), Some(log)) = (inner.replica.leader(), &mut inner.log) else { return };
        let (epoch, log_end) = (leader.epoch(), log.log_end_offset());
        if let Err(error) = log.assign_epoch(epoch) {
            error!(partition = %self.name(), %error, "cannot lead: the leader epoch cannot be written");
            inner.replica.stand_down();
            return;
        }
        debug!(partition = %self.name(), epoch, log_end, "leading");
        self.publish(inner, true);
    }

    /// Shows a new high watermark to readers, and wakes those that wait for it.
    pub(super) fn publish(&self, inner: &Inner, moved: bool) {
        if let Some(leader) = inner.replica.leader().filter(|_| moved) {
            self.high_watermark.store(leader.high_watermark(), Ordering::Release);
            self.waiters.wake();
            self.high_watermark_watchers.mark();
            self.exchanges.each(FollowerSlot::queue);
        }
    }
}
