use std::fmt;

/// What a group request can fail with. The discriminants are Kafka's error codes (protocol guide).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Error {
    /// Something that should not happen did, such as a record that its format cannot hold.
    UnknownServerError = -1,
    /// The topic or partition does not exist, or is not the one that was named by id.
    UnknownTopicOrPartition = 3,
    /// The metadata of a committed offset is longer than `offset.metadata.max.bytes`.
    OffsetMetadataTooLarge = 12,
    /// The group's state is not loaded yet.
    CoordinatorLoadInProgress = 14,
    /// No coordinator can answer now; the client asks again.
    CoordinatorNotAvailable = 15,
    /// Another broker coordinates the group.
    NotCoordinator = 16,
    /// The member's generation is not the group's.
    IllegalGeneration = 22,
    /// The member shares no protocol, or not the protocol type, with the others.
    InconsistentGroupProtocol = 23,
    /// The group id is empty or too long.
    InvalidGroupId = 24,
    /// The group does not know the member.
    UnknownMemberId = 25,
    /// The session timeout is outside the configured bounds.
    InvalidSessionTimeout = 26,
    /// The group rebalances; the member joins again.
    RebalanceInProgress = 27,
    /// A field has a value that no valid client sends.
    InvalidRequest = 42,
    /// The group has members.
    NonEmptyGroup = 68,
    /// There is no such group.
    GroupIdNotFound = 69,
    /// The member joins again with the member id in the answer (KIP-394).
    MemberIdRequired = 79,
    /// The group has as many members as `group.max.size` allows.
    GroupMaxSizeReached = 81,
    /// Another member has taken over the static member's instance id (KIP-345).
    FencedInstanceId = 82,
    /// The group is subscribed to the topic whose offset is to be deleted.
    GroupSubscribedToTopic = 86,
    /// The offset has a commit under way (KIP-447).
    UnstableOffsetCommit = 88,
}

impl Error {
    /// Kafka's error code.
    #[must_use]
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The answer to a group request whose record could not be appended with this error.
    ///
    /// The client asked for a change of a group, not for an append: it is told about its coordinator.
    #[must_use]
    pub fn from_append(code: i16) -> Self {
        match code {
            // UNKNOWN_TOPIC_OR_PARTITION, REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS, … _AFTER_APPEND
            3 | 7 | 19 | 20 => Self::CoordinatorNotAvailable,
            // NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR, FENCED_LEADER_EPOCH
            6 | 56 | 74 => Self::NotCoordinator,
            _ => Self::UnknownServerError,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?} ({})", self.code())
    }
}

impl std::error::Error for Error {}
