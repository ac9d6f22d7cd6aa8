//! Writes under way, and what happens when they are done.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Coordinator, Slot};
use crate::classic::Context;
use crate::effects::{Completion, Outbox, Submission};
use crate::log::{OffsetKey, OffsetValue, Record};
use crate::{Effects, Error, LogRecord, Response, Write, WriteId};

/// A write whose outcome is not known yet.
#[derive(Debug)]
struct PendingWrite<R> {
    group_id: Arc<str>,
    completion: Completion<R>,
    /// The offsets it commits or takes back, each with its place in the batch.
    offsets: Vec<(i64, OffsetKey, Option<OffsetValue>)>,
}

#[derive(Debug)]
pub(super) struct Writes<R> {
    next_id: u64,
    pending: BTreeMap<WriteId, PendingWrite<R>>,
    /// When the requests that wait for a write give up, in order.
    deadlines: VecDeque<(i64, WriteId)>,
}

impl<R> Default for Writes<R> {
    fn default() -> Self {
        Self { next_id: 0, pending: BTreeMap::new(), deadlines: VecDeque::new() }
    }
}

impl<R> Writes<R> {
    pub(super) fn next_deadline(&self) -> i64 {
        self.deadlines.front().map_or(i64::MAX, |(deadline_ms, _)| *deadline_ms)
    }

    /// Requests do not wait for ever for a log that cannot commit. The write may still succeed, and then
    /// counts: only its answer is given up.
    pub(super) fn time_out(&mut self, now_ms: i64, effects: &mut Effects<R>) {
        while let Some((deadline_ms, id)) = self.deadlines.front().copied() {
            if deadline_ms > now_ms {
                return;
            }
            self.deadlines.pop_front();
            let Some(write) = self.pending.get_mut(&id) else { continue };
            let error = Error::CoordinatorNotAvailable;
            match std::mem::replace(&mut write.completion, Completion::None) {
                Completion::Reply(token, response) => effects.replies.push((token, response.failed(error))),
                Completion::GroupDeleted(Some(token)) => {
                    write.completion = Completion::GroupDeleted(None);
                    effects.replies.push((token, Response::DeleteGroup(Err(error))));
                }
                other => write.completion = other,
            }
        }
    }

    pub(super) fn unload(self, replies: &mut Vec<(R, Response)>) {
        let error = Error::NotCoordinator;
        for write in self.pending.into_values() {
            match write.completion {
                Completion::Reply(token, response) => replies.push((token, response.failed(error))),
                Completion::GroupDeleted(Some(token)) => {
                    replies.push((token, Response::DeleteGroup(Err(error))));
                }
                // These requests wait in their group, which answers them.
                _ => {}
            }
        }
    }
}

impl<R> Coordinator<R> {
    /// A write has been committed, with its first record at `result`, or has failed.
    ///
    /// Committed means below the high watermark: what is acknowledged must not be lost with a leader. A write
    /// counts as failed only if it is certain that it will not be committed.
    pub fn write_done(
        &mut self,
        id: WriteId,
        result: Result<i64, Error>,
        now_ms: i64,
        effects: &mut Effects<R>,
    ) {
        let Some(write) = self.writes.pending.remove(&id) else { return };
        while self.writes.deadlines.front().is_some_and(|(_, id)| !self.writes.pending.contains_key(id)) {
            self.writes.deadlines.pop_front();
        }
        let group_id = write.group_id;
        if let Some(slot) = self.groups.get_mut(&group_id) {
            slot.writes = slot.writes.saturating_sub(1);
            for (index, key, value) in write.offsets {
                slot.offsets.end_write(&key);
                if let Ok(base_offset) = result {
                    slot.offsets.apply(&key, value, base_offset.saturating_add(index));
                }
            }
        }
        let mut out = Outbox::default();
        self.complete(&group_id, write.completion, result.map(|_| ()), now_ms, &mut out);
        self.submit(out, now_ms, effects);
        self.reschedule(&group_id);
    }

    /// Gives numbers to what groups want written, and hands everything on to the caller.
    pub(super) fn submit(&mut self, mut out: Outbox<R>, now_ms: i64, effects: &mut Effects<R>) {
        while let Some(submission) = out.writes.pop_front() {
            let records: Result<Vec<LogRecord>, _> = submission.records.iter().map(Record::encode).collect();
            match records {
                Ok(records) => {
                    let id = self.begin_write(submission, now_ms);
                    effects.writes.push(Write { id, timestamp_ms: now_ms, records });
                }
                Err(_) => {
                    let Submission { group_id, completion, .. } = submission;
                    self.complete(&group_id, completion, Err(Error::UnknownServerError), now_ms, &mut out);
                }
            }
        }
        effects.replies.append(&mut out.replies);
        effects.events.append(&mut out.events);
    }

    fn begin_write(&mut self, submission: Submission<R>, now_ms: i64) -> WriteId {
        let Submission { group_id, records, completion } = submission;
        let id = WriteId(self.writes.next_id);
        self.writes.next_id = self.writes.next_id.wrapping_add(1);
        if matches!(completion, Completion::Reply(..) | Completion::GroupDeleted(Some(_))) {
            let deadline_ms = now_ms.saturating_add(self.config.offset_commit_timeout_ms);
            self.writes.deadlines.push_back((deadline_ms, id));
        }
        let mut offsets = Vec::new();
        for (index, record) in (0_i64..).zip(records) {
            if let Record::Offset { key, value } = record {
                offsets.push((index, key, value));
            }
        }
        if let Some(slot) = self.groups.get_mut(&group_id) {
            slot.writes = slot.writes.saturating_add(1);
            for (_, key, _) in &offsets {
                slot.offsets.begin_write(key);
            }
        }
        self.writes.pending.insert(id, PendingWrite { group_id, completion, offsets });
        id
    }

    fn complete(
        &mut self,
        group_id: &Arc<str>,
        completion: Completion<R>,
        result: Result<(), Error>,
        now_ms: i64,
        out: &mut Outbox<R>,
    ) {
        let slot = self.groups.get_mut(group_id);
        let mut cx = Context { config: &self.config, now_ms, out };
        match (completion, slot) {
            (Completion::None, _) | (Completion::Assignment(_) | Completion::StaticMember(_), None) => {}
            (Completion::Reply(token, response), _) => {
                let response = match result {
                    Ok(()) => response,
                    Err(error) => response.failed(error),
                };
                cx.out.reply(token, response);
            }
            (Completion::Assignment(write), Some(slot)) => {
                slot.group.assignment_written(write, result, &mut cx);
            }
            (Completion::StaticMember(write), Some(slot)) => {
                slot.group.static_member_written(write, result, &mut cx);
            }
            (Completion::GroupDeleted(token), slot) => {
                if let Some(token) = token {
                    cx.out.reply(token, Response::DeleteGroup(result));
                }
                match (result, slot) {
                    (Ok(()), _) => self.forget(group_id),
                    (Err(_), Some(slot)) => slot.group.revive(now_ms),
                    (Err(_), None) => {}
                }
            }
        }
    }

    fn forget(&mut self, group_id: &Arc<str>) {
        if let Some(Slot { scheduled_ms: Some(scheduled_ms), .. }) = self.groups.remove(group_id) {
            self.timers.remove(&(scheduled_ms, group_id.clone()));
        }
    }
}
