use uuid::Uuid;

use crate::Error;

/// OffsetCommit, versions 0 to 10. The caller has made sure that the topics and partitions exist.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The group; empty for old clients that only keep offsets.
    pub group_id: String,
    /// The member's generation; negative for a client that is no member of the group.
    pub generation_id: i32,
    /// The member's id, empty for a client that is no member.
    pub member_id: String,
    /// The instance id of a static member.
    pub group_instance_id: Option<String>,
    /// How long the offsets are to be kept, in versions 2 to 4, if the client says so.
    pub retention_time_ms: Option<i64>,
    /// Whether the client understands GROUP_ID_NOT_FOUND: version 9 and above.
    pub knows_group_id_not_found: bool,
    /// The offsets.
    pub topics: Vec<CommitTopic>,
}

/// Offsets of one topic to commit.
#[derive(Debug, Clone)]
pub struct CommitTopic {
    /// The topic's name.
    pub name: String,
    /// The topic's id, if it is known.
    pub topic_id: Option<Uuid>,
    /// The offsets.
    pub partitions: Vec<CommitPartition>,
}

/// One offset to commit.
#[derive(Debug, Clone)]
pub struct CommitPartition {
    /// The partition.
    pub partition: i32,
    /// The next offset to consume.
    pub offset: i64,
    /// The leader epoch of the last consumed record, or -1.
    pub leader_epoch: i32,
    /// What the client wants to be told again.
    pub metadata: Option<String>,
    /// When the client says that it committed, in version 1.
    pub commit_timestamp_ms: Option<i64>,
}

/// The answer to OffsetCommit: the topics in the order of the request, or one error for all.
pub type CommitResponse = Result<Vec<CommittedTopic>, Error>;

/// Which offsets of a topic were committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedTopic {
    /// The topic's name.
    pub name: String,
    /// Each partition, and why it was not committed.
    pub partitions: Vec<(i32, Option<Error>)>,
}

/// Offsets of one topic to fetch.
#[derive(Debug, Clone)]
pub struct FetchTopic {
    /// The topic's name.
    pub name: String,
    /// The topic's id, if it is known. An offset that was committed to another topic of that name is not its.
    pub topic_id: Option<Uuid>,
    /// The partitions.
    pub partitions: Vec<i32>,
}

/// Committed offsets of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedTopic {
    /// The topic's name.
    pub name: String,
    /// The offsets.
    pub partitions: Vec<FetchedOffset>,
}

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffset {
    /// The partition.
    pub partition: i32,
    /// The offset, -1 if there is none.
    pub offset: i64,
    /// The leader epoch, -1 if it is not known.
    pub leader_epoch: i32,
    /// What the client wrote beside the offset.
    pub metadata: String,
    /// Why the offset cannot be told now.
    pub error: Option<Error>,
}

/// OffsetDelete, version 0.
#[derive(Debug, Clone)]
pub struct DeleteOffsetsRequest {
    /// The group.
    pub group_id: String,
    /// Topics and partitions.
    pub topics: Vec<(String, Vec<i32>)>,
}

/// The answer to OffsetDelete: every partition in the order of the request, or one error for all.
pub type DeleteOffsetsResponse = Result<Vec<DeletedOffset>, Error>;

/// Whether an offset is deleted. One that did not exist is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedOffset {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Why it is not deleted.
    pub error: Option<Error>,
}
