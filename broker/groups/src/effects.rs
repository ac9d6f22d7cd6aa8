use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::Error;
use crate::classic::{JoinResponse, SyncResponse};
use crate::log::Record;
use crate::offsets::{CommitResponse, DeleteOffsetsResponse};

/// What the caller has to do after a call: append, answer, and log if it likes.
///
/// The writes of one coordinator must reach the log in the order of their ids.
#[derive(Debug)]
pub struct Effects<R> {
    /// Answers that can be given at once.
    pub replies: Vec<(R, Response)>,
    /// Records to append; each write ends with [`crate::Coordinator::write_done`].
    pub writes: Vec<Write>,
    /// What happened, for logs and metrics.
    pub events: Vec<Event>,
}

impl<R> Default for Effects<R> {
    fn default() -> Self {
        Self { replies: Vec::new(), writes: Vec::new(), events: Vec::new() }
    }
}

impl<R> Effects<R> {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.replies.is_empty() && self.writes.is_empty() && self.events.is_empty()
    }
}

/// Names a write until it is done. Ids rise by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub(crate) u64);

/// Records to append together, as one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// To be given back to [`crate::Coordinator::write_done`].
    pub id: WriteId,
    /// The timestamp of the records, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Key and value of each record, in order; never empty.
    pub records: Vec<LogRecord>,
}

/// Key and value of a record of `__consumer_offsets`; no value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// An encoded key.
    pub key: Bytes,
    /// An encoded value, or a tombstone.
    pub value: Option<Bytes>,
}

/// The answer to a request that was given a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To JoinGroup.
    Join(JoinResponse),
    /// To SyncGroup.
    Sync(SyncResponse),
    /// To OffsetCommit.
    Commit(CommitResponse),
    /// To OffsetDelete.
    DeleteOffsets(DeleteOffsetsResponse),
    /// To one group of DeleteGroups.
    DeleteGroup(Result<(), Error>),
}

impl Response {
    /// The same kind of answer, as a failure of the whole request.
    pub(crate) fn failed(self, error: Error) -> Self {
        match self {
            Self::Join(response) => Self::Join(JoinResponse::failed(error, response.member_id)),
            Self::Sync(_) => Self::Sync(SyncResponse::failed(error)),
            Self::Commit(_) => Self::Commit(Err(error)),
            Self::DeleteOffsets(_) => Self::DeleteOffsets(Err(error)),
            Self::DeleteGroup(_) => Self::DeleteGroup(Err(error)),
        }
    }
}

/// What happened in a group, one log line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A rebalance has begun.
    Rebalancing {
        /// The group.
        group_id: String,
        /// The generation that ends.
        generation_id: i32,
        /// What caused it.
        reason: &'static str,
        /// The member that caused it, if one did.
        member_id: String,
    },
    /// A new generation has begun; its leader now assigns.
    Generation {
        /// The group.
        group_id: String,
        /// The generation.
        generation_id: i32,
        /// Members in it; none means that the group is empty.
        members: usize,
    },
    /// The assignment is committed and given to the members.
    Stable {
        /// The group.
        group_id: String,
        /// The generation.
        generation_id: i32,
    },
    /// A member was taken out of the group.
    MemberRemoved {
        /// The group.
        group_id: String,
        /// The member.
        member_id: String,
        /// Why.
        reason: &'static str,
    },
    /// Offsets were found to be past their retention.
    OffsetsExpired {
        /// The group.
        group_id: String,
        /// How many.
        count: usize,
    },
}

/// What a group asks of its coordinator: effects that are not numbered yet.
#[derive(Debug)]
pub(crate) struct Outbox<R> {
    pub(crate) replies: Vec<(R, Response)>,
    pub(crate) writes: VecDeque<Submission<R>>,
    pub(crate) events: Vec<Event>,
}

impl<R> Default for Outbox<R> {
    fn default() -> Self {
        Self { replies: Vec::new(), writes: VecDeque::new(), events: Vec::new() }
    }
}

impl<R> Outbox<R> {
    pub(crate) fn reply(&mut self, token: R, response: Response) {
        self.replies.push((token, response));
    }

    pub(crate) fn write(&mut self, group_id: Arc<str>, records: Vec<Record>, completion: Completion<R>) {
        self.writes.push_back(Submission { group_id, records, completion });
    }
}

/// Records of one group to write, and what then happens.
#[derive(Debug)]
pub(crate) struct Submission<R> {
    pub(crate) group_id: Arc<str>,
    pub(crate) records: Vec<Record>,
    pub(crate) completion: Completion<R>,
}

/// What happens once a write is known to have succeeded or failed.
#[derive(Debug)]
pub(crate) enum Completion<R> {
    /// Nothing: the group goes on without waiting.
    None,
    /// The request is answered.
    Reply(R, Response),
    /// A generation's assignment is given to its members.
    Assignment(crate::classic::AssignmentWrite),
    /// A static member under a new member id is answered.
    StaticMember(crate::classic::StaticMemberWrite),
    /// The group is gone, and the request, if there is one, is answered.
    GroupDeleted(Option<R>),
}
