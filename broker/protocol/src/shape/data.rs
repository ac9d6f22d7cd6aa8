//! Records and offsets: shapes of requests.

use super::notation::*;

pub(super) const PRODUCE: Shape = shape(
    9,
    &[
        field("transactionalId", STRING).since(3).nullable(),
        field("acks", INT16),
        field("timeoutMs", INT32),
        field(
            "topicData",
            array(&[
                field("name", STRING).until(12),
                field("topicId", UUID).since(13),
                field("partitionData", array(&[field("index", INT32), field("records", BYTES).nullable()])),
            ]),
        ),
    ],
);

pub(super) const FETCH: Shape = shape(
    12,
    &[
        field("clusterId", STRING).tagged(0).since(12).nullable(),
        field("replicaId", INT32).until(14),
        field(
            "replicaState",
            structure(&[field("replicaId", INT32).since(15), field("replicaEpoch", INT64).since(15)]),
        )
        .tagged(1)
        .since(15),
        field("maxWaitMs", INT32),
        field("minBytes", INT32),
        field("maxBytes", INT32).since(3),
        field("isolationLevel", INT8).since(4),
        field("sessionId", INT32).since(7),
        field("sessionEpoch", INT32).since(7),
        field(
            "topics",
            array(&[
                field("topic", STRING).until(12),
                field("topicId", UUID).since(13),
                field(
                    "partitions",
                    array(&[
                        field("partition", INT32),
                        field("currentLeaderEpoch", INT32).since(9),
                        field("fetchOffset", INT64),
                        field("lastFetchedEpoch", INT32).since(12),
                        field("logStartOffset", INT64).since(5),
                        field("partitionMaxBytes", INT32),
                        field("replicaDirectoryId", UUID).tagged(0).since(17),
                        field("highWatermark", INT64).tagged(1).since(18),
                    ]),
                ),
            ]),
        ),
        field(
            "forgottenTopicsData",
            array(&[
                field("topic", STRING).since(7).until(12),
                field("topicId", UUID).since(13),
                field("partitions", array_of(&INT32)).since(7),
            ]),
        )
        .since(7),
        field("rackId", STRING).since(11),
    ],
);

pub(super) const LIST_OFFSETS: Shape = shape(
    6,
    &[
        field("replicaId", INT32),
        field("isolationLevel", INT8).since(2),
        field(
            "topics",
            array(&[
                field("name", STRING),
                field(
                    "partitions",
                    array(&[
                        field("partitionIndex", INT32),
                        field("currentLeaderEpoch", INT32).since(4),
                        field("timestamp", INT64),
                        field("maxNumOffsets", INT32).until(0),
                    ]),
                ),
            ]),
        ),
        field("timeoutMs", INT32).since(10),
    ],
);

pub(super) const OFFSET_FOR_LEADER_EPOCH: Shape = shape(
    4,
    &[
        field("replicaId", INT32).since(3),
        field(
            "topics",
            array(&[
                field("topic", STRING),
                field(
                    "partitions",
                    array(&[
                        field("partition", INT32),
                        field("currentLeaderEpoch", INT32).since(2),
                        field("leaderEpoch", INT32),
                    ]),
                ),
            ]),
        ),
    ],
);

pub(super) const DELETE_RECORDS: Shape = shape(
    2,
    &[
        field(
            "topics",
            array(&[
                field("name", STRING),
                field("partitions", array(&[field("partitionIndex", INT32), field("offset", INT64)])),
            ]),
        ),
        field("timeoutMs", INT32),
    ],
);
