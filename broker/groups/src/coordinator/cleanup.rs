//! What goes away by itself: expired offsets, groups without any, offsets of deleted topics.

use std::sync::Arc;

use uuid::Uuid;

use super::offsets::tombstones;
use super::{Coordinator, Slot};
use crate::Effects;
use crate::classic::Context;
use crate::effects::{Completion, Event};

/// A topic that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its name.
    pub name: String,
    /// Its id. Offsets that name another id belong to a topic that was made anew under the old name.
    pub topic_id: Option<Uuid>,
}

impl<R> Coordinator<R> {
    /// Takes back expired offsets, and groups that are empty and have no offsets left.
    pub(super) fn clean_up(&mut self, now_ms: i64, effects: &mut Effects<R>) {
        let group_ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for group_id in group_ids {
            self.run(&group_id, now_ms, effects, Slot::clean_up);
        }
    }

    /// Takes back what was committed to topics that no longer exist.
    pub fn topics_deleted(&mut self, topics: &[DeletedTopic], now_ms: i64, effects: &mut Effects<R>) {
        let group_ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for group_id in group_ids {
            self.run(&group_id, now_ms, effects, |slot, cx| slot.topics_deleted(topics, cx));
        }
    }
}

impl<R> Slot<R> {
    fn clean_up(&mut self, cx: &mut Context<'_, R>) {
        let Some(base) = self.group.expiry_base() else { return };
        let retention_ms = cx.config.offsets_retention_ms;
        let expired =
            self.offsets.expired(base, cx.now_ms, retention_ms, |topic| self.group.is_subscribed_to(topic));
        let all = expired.len() == self.offsets.iter().count();
        if !expired.is_empty() {
            let group_id = self.group.group_id().to_string();
            cx.out.events.push(Event::OffsetsExpired { group_id, count: expired.len() });
        }
        if all && self.writes == 0 && self.group.is_deletable() {
            return self.delete(None, cx);
        }
        self.take_back(expired, cx);
    }

    fn topics_deleted(&mut self, topics: &[DeletedTopic], cx: &mut Context<'_, R>) {
        let mut gone = Vec::new();
        for topic in topics {
            let of_that_topic =
                |id: Option<Uuid>| id.is_none() || topic.topic_id.is_none() || id == topic.topic_id;
            for (partition, offset) in self.offsets.of_topic(&topic.name) {
                if of_that_topic(offset.value.topic_id) {
                    gone.push((topic.name.as_str().into(), partition));
                }
            }
        }
        self.take_back(gone, cx);
    }

    fn take_back(&mut self, offsets: Vec<(Arc<str>, i32)>, cx: &mut Context<'_, R>) {
        if !offsets.is_empty() {
            let group_id = self.group.group_id().clone();
            let records = tombstones(&group_id, offsets);
            cx.out.write(group_id, records, Completion::None);
        }
    }
}
