//! Topics, partitions and where they lie: shapes of requests.

use super::notation::*;

pub(super) const CREATE_TOPICS: Shape = shape(
    5,
    &[
        field(
            "topics",
            array(&[
                field("name", STRING),
                field("numPartitions", INT32),
                field("replicationFactor", INT16),
                field(
                    "assignments",
                    array(&[field("partitionIndex", INT32), field("brokerIds", array_of(&INT32))]),
                ),
                field("configs", array(&[field("name", STRING), field("value", STRING).nullable()])),
            ]),
        ),
        field("timeoutMs", INT32),
        field("validateOnly", BOOL).since(1),
    ],
);

pub(super) const DELETE_TOPICS: Shape = shape(
    4,
    &[
        field("topics", array(&[field("name", STRING).since(6).nullable(), field("topicId", UUID).since(6)]))
            .since(6),
        field("topicNames", array_of(&STRING)).until(5),
        field("timeoutMs", INT32),
    ],
);

pub(super) const CREATE_PARTITIONS: Shape = shape(
    2,
    &[
        field(
            "topics",
            array(&[
                field("name", STRING),
                field("count", INT32),
                field("assignments", array(&[field("brokerIds", array_of(&INT32))])).nullable(),
            ]),
        ),
        field("timeoutMs", INT32),
        field("validateOnly", BOOL),
    ],
);

pub(super) const ELECT_LEADERS: Shape = shape(
    2,
    &[
        field("electionType", INT8).since(1),
        field("topicPartitions", array(&[field("topic", STRING), field("partitions", array_of(&INT32))]))
            .nullable(),
        field("timeoutMs", INT32),
    ],
);

pub(super) const ALTER_PARTITION_REASSIGNMENTS: Shape = shape(
    0,
    &[
        field("timeoutMs", INT32),
        field("allowReplicationFactorChange", BOOL).since(1),
        field(
            "topics",
            array(&[
                field("name", STRING),
                field(
                    "partitions",
                    array(&[field("partitionIndex", INT32), field("replicas", array_of(&INT32)).nullable()]),
                ),
            ]),
        ),
    ],
);

pub(super) const LIST_PARTITION_REASSIGNMENTS: Shape = shape(
    0,
    &[
        field("timeoutMs", INT32),
        field("topics", array(&[field("name", STRING), field("partitionIndexes", array_of(&INT32))]))
            .nullable(),
    ],
);

pub(super) const ALTER_REPLICA_LOG_DIRS: Shape = shape(
    2,
    &[field(
        "dirs",
        array(&[
            field("path", STRING),
            field("topics", array(&[field("name", STRING), field("partitions", array_of(&INT32))])),
        ]),
    )],
);

pub(super) const DESCRIBE_LOG_DIRS: Shape = shape(
    2,
    &[field("topics", array(&[field("topic", STRING), field("partitions", array_of(&INT32))])).nullable()],
);
