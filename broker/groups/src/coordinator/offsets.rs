//! OffsetCommit, OffsetFetch and OffsetDelete.

use std::sync::Arc;

use super::{Coordinator, Slot};
use crate::classic::Context;
use crate::config::MAX_STRING_BYTES;
use crate::effects::Completion;
use crate::log::{OffsetKey, OffsetValue, Record};
use crate::offsets::{
    CommitPartition, CommitRequest, CommittedTopic, DeleteOffsetsRequest, DeletedOffset, FetchTopic,
    FetchedTopic, Offsets,
};
use crate::{Config, Effects, Error, Response};

impl<R> Coordinator<R> {
    /// OffsetCommit. The answer is a [`Response::Commit`], once the offsets are committed.
    pub fn commit(&mut self, request: CommitRequest, token: R, now_ms: i64, effects: &mut Effects<R>) {
        if let Err(error) = self.admit_commit(&request, now_ms) {
            return effects.replies.push((token, Response::Commit(Err(error))));
        }
        let group_id = request.group_id.clone();
        self.run(&group_id, now_ms, effects, |slot, cx| slot.commit(request, token, cx));
    }

    fn admit_commit(&mut self, request: &CommitRequest, now_ms: i64) -> Result<(), Error> {
        if request.group_id.len() > MAX_STRING_BYTES {
            return Err(Error::InvalidGroupId);
        }
        match self.groups.get(request.group_id.as_str()) {
            Some(slot) => {
                let instance_id = request.group_instance_id.as_deref();
                slot.group.validate_commit(&request.member_id, instance_id, request.generation_id)
            }
            None if request.generation_id < 0 => self.create_group(&request.group_id, now_ms),
            None if request.knows_group_id_not_found => Err(Error::GroupIdNotFound),
            None => Err(Error::IllegalGeneration),
        }
    }

    /// OffsetFetch for the partitions that are named. A group that does not exist has committed nothing.
    #[must_use]
    pub fn fetch(&self, group_id: &str, topics: &[FetchTopic], require_stable: bool) -> Vec<FetchedTopic> {
        match self.groups.get(group_id) {
            Some(slot) => slot.offsets.fetch(topics, require_stable),
            None => Offsets::default().fetch(topics, require_stable),
        }
    }

    /// OffsetFetch for all partitions that have an offset.
    #[must_use]
    pub fn fetch_all(&self, group_id: &str, require_stable: bool) -> Vec<FetchedTopic> {
        self.groups.get(group_id).map(|slot| slot.offsets.fetch_all(require_stable)).unwrap_or_default()
    }

    /// OffsetDelete. The answer is a [`Response::DeleteOffsets`].
    pub fn delete_offsets(
        &mut self,
        request: &DeleteOffsetsRequest,
        token: R,
        now_ms: i64,
        effects: &mut Effects<R>,
    ) {
        let slot = self.groups.get(request.group_id.as_str());
        let valid = slot.ok_or(Error::GroupIdNotFound).and_then(|slot| slot.group.validate_delete_offsets());
        if let Err(error) = valid {
            return effects.replies.push((token, Response::DeleteOffsets(Err(error))));
        }
        self.run(&request.group_id, now_ms, effects, |slot, cx| {
            slot.delete_offsets(&request.topics, token, cx);
        });
    }
}

impl<R> Slot<R> {
    fn commit(&mut self, request: CommitRequest, token: R, cx: &mut Context<'_, R>) {
        self.group.committed(&request.member_id, cx.now_ms);
        let group_id = self.group.group_id().clone();
        let expire_timestamp_ms =
            request.retention_time_ms.map(|retention_ms| cx.now_ms.saturating_add(retention_ms));
        let mut records = Vec::new();
        let mut outcome = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let name: Arc<str> = topic.name.as_str().into();
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let error = check_metadata(partition.metadata.as_deref(), cx.config).err();
                partitions.push((partition.partition, error));
                if error.is_none() {
                    let key = OffsetKey {
                        group_id: group_id.clone(),
                        topic: name.clone(),
                        partition: partition.partition,
                    };
                    let value = OffsetValue {
                        expire_timestamp_ms,
                        topic_id: topic.topic_id,
                        ..offset_value(partition, cx.now_ms)
                    };
                    records.push(Record::Offset { key, value: Some(value) });
                }
            }
            outcome.push(CommittedTopic { name: topic.name, partitions });
        }
        answer_when_written(group_id, records, token, Response::Commit(Ok(outcome)), cx);
    }

    fn delete_offsets(&mut self, topics: &[(String, Vec<i32>)], token: R, cx: &mut Context<'_, R>) {
        let group_id = self.group.group_id().clone();
        let mut deleted = Vec::new();
        let mut outcome = Vec::new();
        for (topic, partitions) in topics {
            let error = self.group.is_subscribed_to(topic).then_some(Error::GroupSubscribedToTopic);
            for partition in partitions {
                if error.is_none() && self.offsets.may_have(topic, *partition) {
                    deleted.push((topic.as_str().into(), *partition));
                }
                outcome.push(DeletedOffset { topic: topic.clone(), partition: *partition, error });
            }
        }
        let records = tombstones(&group_id, deleted);
        answer_when_written(group_id, records, token, Response::DeleteOffsets(Ok(outcome)), cx);
    }
}

fn answer_when_written<R>(
    group_id: Arc<str>,
    records: Vec<Record>,
    token: R,
    response: Response,
    cx: &mut Context<'_, R>,
) {
    if records.is_empty() {
        cx.out.reply(token, response);
    } else {
        cx.out.write(group_id, records, Completion::Reply(token, response));
    }
}

fn check_metadata(metadata: Option<&str>, config: &Config) -> Result<(), Error> {
    let units = metadata.map_or(0, |text| text.encode_utf16().count());
    if units > config.offset_metadata_max_bytes { Err(Error::OffsetMetadataTooLarge) } else { Ok(()) }
}

fn offset_value(partition: CommitPartition, now_ms: i64) -> OffsetValue {
    OffsetValue {
        offset: partition.offset,
        leader_epoch: partition.leader_epoch,
        metadata: partition.metadata.unwrap_or_default(),
        commit_timestamp_ms: partition.commit_timestamp_ms.unwrap_or(now_ms),
        expire_timestamp_ms: None,
        topic_id: None,
    }
}

/// Records that take offsets back.
pub(super) fn tombstones(group_id: &Arc<str>, offsets: Vec<(Arc<str>, i32)>) -> Vec<Record> {
    let tombstone = |(topic, partition)| Record::Offset {
        key: OffsetKey { group_id: group_id.clone(), topic, partition },
        value: None,
    };
    offsets.into_iter().map(tombstone).collect()
}
