//! Consumer groups and their offsets: shapes of requests.

use super::notation::*;

pub(super) const FIND_COORDINATOR: Shape = shape(
    3,
    &[
        field("key", STRING).until(3),
        field("keyType", INT8).since(1),
        field("coordinatorKeys", array_of(&STRING)).since(4),
    ],
);

pub(super) const JOIN_GROUP: Shape = shape(
    6,
    &[
        field("groupId", STRING),
        field("sessionTimeoutMs", INT32),
        field("rebalanceTimeoutMs", INT32).since(1),
        field("memberId", STRING),
        field("groupInstanceId", STRING).since(5).nullable(),
        field("protocolType", STRING),
        field("protocols", array(&[field("name", STRING), field("metadata", BYTES)])),
        field("reason", STRING).since(8).nullable(),
    ],
);

pub(super) const SYNC_GROUP: Shape = shape(
    4,
    &[
        field("groupId", STRING),
        field("generationId", INT32),
        field("memberId", STRING),
        field("groupInstanceId", STRING).since(3).nullable(),
        field("protocolType", STRING).since(5).nullable(),
        field("protocolName", STRING).since(5).nullable(),
        field("assignments", array(&[field("memberId", STRING), field("assignment", BYTES)])),
    ],
);

pub(super) const HEARTBEAT: Shape = shape(
    4,
    &[
        field("groupId", STRING),
        field("generationId", INT32),
        field("memberId", STRING),
        field("groupInstanceId", STRING).since(3).nullable(),
    ],
);

pub(super) const LEAVE_GROUP: Shape = shape(
    4,
    &[
        field("groupId", STRING),
        field("memberId", STRING).until(2),
        field(
            "members",
            array(&[
                field("memberId", STRING).since(3),
                field("groupInstanceId", STRING).since(3).nullable(),
                field("reason", STRING).since(5).nullable(),
            ]),
        )
        .since(3),
    ],
);

pub(super) const DESCRIBE_GROUPS: Shape =
    shape(5, &[field("groups", array_of(&STRING)), field("includeAuthorizedOperations", BOOL).since(3)]);

pub(super) const LIST_GROUPS: Shape = shape(
    3,
    &[field("statesFilter", array_of(&STRING)).since(4), field("typesFilter", array_of(&STRING)).since(5)],
);

pub(super) const DELETE_GROUPS: Shape = shape(2, &[field("groupsNames", array_of(&STRING))]);

pub(super) const OFFSET_COMMIT: Shape = shape(
    8,
    &[
        field("groupId", STRING),
        field("generationIdOrMemberEpoch", INT32).since(1),
        field("memberId", STRING).since(1),
        field("groupInstanceId", STRING).since(7).nullable(),
        field("retentionTimeMs", INT64).since(2).until(4),
        field(
            "topics",
            array(&[
                field("name", STRING),
                field(
                    "partitions",
                    array(&[
                        field("partitionIndex", INT32),
                        field("committedOffset", INT64),
                        field("committedLeaderEpoch", INT32).since(6),
                        field("commitTimestamp", INT64).since(1).until(1),
                        field("committedMetadata", STRING).nullable(),
                    ]),
                ),
            ]),
        ),
    ],
);

pub(super) const OFFSET_FETCH: Shape = shape(
    6,
    &[
        field("groupId", STRING).until(7),
        field(
            "topics",
            array(&[field("name", STRING).until(7), field("partitionIndexes", array_of(&INT32)).until(7)]),
        )
        .until(7)
        .nullable_since(2),
        field(
            "groups",
            array(&[
                field("groupId", STRING).since(8),
                field("memberId", STRING).since(9).nullable(),
                field("memberEpoch", INT32).since(9),
                field(
                    "topics",
                    array(&[
                        field("name", STRING).since(8),
                        field("partitionIndexes", array_of(&INT32)).since(8),
                    ]),
                )
                .since(8)
                .nullable(),
            ]),
        )
        .since(8),
        field("requireStable", BOOL).since(7),
    ],
);

pub(super) const OFFSET_DELETE: Shape = shape(
    NEVER,
    &[
        field("groupId", STRING),
        field(
            "topics",
            array(&[field("name", STRING), field("partitions", array(&[field("partitionIndex", INT32)]))]),
        ),
    ],
);

pub(super) const CONSUMER_GROUP_HEARTBEAT: Shape = shape(
    0,
    &[
        field("groupId", STRING),
        field("memberId", STRING),
        field("memberEpoch", INT32),
        field("instanceId", STRING).nullable(),
        field("rackId", STRING).nullable(),
        field("rebalanceTimeoutMs", INT32),
        field("subscribedTopicNames", array_of(&STRING)).nullable(),
        field("subscribedTopicRegex", STRING).since(1).nullable(),
        field("serverAssignor", STRING).nullable(),
        field("topicPartitions", array(&[field("topicId", UUID), field("partitions", array_of(&INT32))]))
            .nullable(),
    ],
);

pub(super) const CONSUMER_GROUP_DESCRIBE: Shape =
    shape(0, &[field("groupIds", array_of(&STRING)), field("includeAuthorizedOperations", BOOL)]);
