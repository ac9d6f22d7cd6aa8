//! Reading the log back.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Coordinator, Slot};
use crate::classic::{Context, Group};
use crate::effects::Outbox;
use crate::log::{DecodeError, GroupValue, OffsetKey, OffsetValue, Record};
use crate::offsets::Offsets;
use crate::{Config, Effects};

/// Builds a [`Coordinator`] from the records of its partition, oldest first.
#[derive(Debug, Default)]
pub struct Replay {
    groups: HashMap<Arc<str>, Loaded>,
    /// Offsets of transactions that have not ended, by producer id.
    pending: HashMap<i64, Vec<PendingOffset>>,
}

#[derive(Debug)]
struct PendingOffset {
    record_offset: i64,
    key: OffsetKey,
    value: Option<OffsetValue>,
}

#[derive(Debug, Default)]
struct Loaded {
    value: Option<GroupValue>,
    offsets: Offsets,
}

impl Replay {
    /// Takes over one record.
    ///
    /// # Errors
    /// The record is not in Kafka's format. It has changed nothing, and the next one can follow.
    pub fn record(
        &mut self,
        record_offset: i64,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), DecodeError> {
        match Record::decode(key, value)? {
            Record::Offset { key, value } => self.offset(&key, value, record_offset),
            Record::Group { group_id, value } => {
                self.groups.entry(group_id.clone()).or_default().value = value;
                self.forget_if_gone(&group_id);
            }
            Record::Unknown { .. } => {}
        }
        Ok(())
    }

    /// Takes over a record that a producer wrote within a transaction: its offset counts once that is committed.
    ///
    /// # Errors
    /// As [`Replay::record`].
    pub fn record_in_transaction(
        &mut self,
        producer_id: i64,
        record_offset: i64,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), DecodeError> {
        if let Record::Offset { key, value } = Record::decode(key, value)? {
            let pending = PendingOffset { record_offset, key, value };
            self.pending.entry(producer_id).or_default().push(pending);
        }
        Ok(())
    }

    /// The transaction of a producer has ended.
    pub fn end_transaction(&mut self, producer_id: i64, is_committed: bool) {
        let pending = self.pending.remove(&producer_id).unwrap_or_default();
        for PendingOffset { record_offset, key, value } in pending.into_iter().filter(|_| is_committed) {
            self.offset(&key, value, record_offset);
        }
    }

    fn offset(&mut self, key: &OffsetKey, value: Option<OffsetValue>, record_offset: i64) {
        let loaded = self.groups.entry(key.group_id.clone()).or_default();
        loaded.offsets.apply(key, value, record_offset);
        self.forget_if_gone(&key.group_id);
    }

    fn forget_if_gone(&mut self, group_id: &str) {
        let gone = |loaded: &Loaded| loaded.value.is_none() && loaded.offsets.is_empty();
        if self.groups.get(group_id).is_some_and(gone) {
            self.groups.remove(group_id);
        }
    }

    /// The log has been read to its end: members have a whole session from now on to be heard of.
    pub fn finish<R>(self, config: Arc<Config>, now_ms: i64, effects: &mut Effects<R>) -> Coordinator<R> {
        let mut coordinator = Coordinator::new(config, now_ms);
        for (group_id, loaded) in self.groups {
            let mut group = match loaded.value {
                Some(value) => Group::load(group_id.clone(), value),
                None => Group::new(group_id.clone(), now_ms),
            };
            let mut out = Outbox::default();
            group.loaded(&mut Context { config: &coordinator.config, now_ms, out: &mut out });
            coordinator.groups.insert(group_id.clone(), Slot::new(group, loaded.offsets));
            coordinator.submit(out, now_ms, effects);
            coordinator.reschedule(&group_id);
        }
        coordinator
    }
}
