//! Producers and transactions: shapes of requests.

use super::notation::*;

pub(super) const INIT_PRODUCER_ID: Shape = shape(
    2,
    &[
        field("transactionalId", STRING).nullable(),
        field("transactionTimeoutMs", INT32),
        field("producerId", INT64).since(3),
        field("producerEpoch", INT16).since(3),
    ],
);

pub(super) const ADD_PARTITIONS_TO_TXN: Shape = shape(
    3,
    &[
        field(
            "transactions",
            array(&[
                field("transactionalId", STRING).since(4),
                field("producerId", INT64).since(4),
                field("producerEpoch", INT16).since(4),
                field("verifyOnly", BOOL).since(4),
                field("topics", array(&[field("name", STRING), field("partitions", array_of(&INT32))]))
                    .since(4),
            ]),
        )
        .since(4),
        field("v3AndBelowTransactionalId", STRING).until(3),
        field("v3AndBelowProducerId", INT64).until(3),
        field("v3AndBelowProducerEpoch", INT16).until(3),
        field("v3AndBelowTopics", array(&[field("name", STRING), field("partitions", array_of(&INT32))]))
            .until(3),
    ],
);

pub(super) const ADD_OFFSETS_TO_TXN: Shape = shape(
    3,
    &[
        field("transactionalId", STRING),
        field("producerId", INT64),
        field("producerEpoch", INT16),
        field("groupId", STRING),
    ],
);

pub(super) const END_TXN: Shape = shape(
    3,
    &[
        field("transactionalId", STRING),
        field("producerId", INT64),
        field("producerEpoch", INT16),
        field("committed", BOOL),
    ],
);

pub(super) const WRITE_TXN_MARKERS: Shape = shape(
    1,
    &[field(
        "markers",
        array(&[
            field("producerId", INT64),
            field("producerEpoch", INT16),
            field("transactionResult", BOOL),
            field("topics", array(&[field("name", STRING), field("partitionIndexes", array_of(&INT32))])),
            field("coordinatorEpoch", INT32),
        ]),
    )],
);

pub(super) const TXN_OFFSET_COMMIT: Shape = shape(
    3,
    &[
        field("transactionalId", STRING),
        field("groupId", STRING),
        field("producerId", INT64),
        field("producerEpoch", INT16),
        field("generationId", INT32).since(3),
        field("memberId", STRING).since(3),
        field("groupInstanceId", STRING).since(3).nullable(),
        field(
            "topics",
            array(&[
                field("name", STRING),
                field(
                    "partitions",
                    array(&[
                        field("partitionIndex", INT32),
                        field("committedOffset", INT64),
                        field("committedLeaderEpoch", INT32).since(2),
                        field("committedMetadata", STRING).nullable(),
                    ]),
                ),
            ]),
        ),
    ],
);

pub(super) const DESCRIBE_PRODUCERS: Shape = shape(
    0,
    &[field("topics", array(&[field("name", STRING), field("partitionIndexes", array_of(&INT32))]))],
);

pub(super) const DESCRIBE_TRANSACTIONS: Shape = shape(0, &[field("transactionalIds", array_of(&STRING))]);

pub(super) const LIST_TRANSACTIONS: Shape = shape(
    0,
    &[
        field("stateFilters", array_of(&STRING)),
        field("producerIdFilters", array_of(&INT64)),
        field("durationFilter", INT64).since(1),
        field("transactionalIdPattern", STRING).since(2).nullable(),
    ],
);
