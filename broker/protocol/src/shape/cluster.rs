//! The cluster and the connection to it: shapes of requests.

use super::notation::*;

pub(super) const API_VERSIONS: Shape = shape(
    3,
    &[field("clientSoftwareName", STRING).since(3), field("clientSoftwareVersion", STRING).since(3)],
);

pub(super) const SASL_HANDSHAKE: Shape = shape(NEVER, &[field("mechanism", STRING)]);

pub(super) const METADATA: Shape = shape(
    9,
    &[
        field("topics", array(&[field("topicId", UUID).since(10), field("name", STRING).nullable_since(10)]))
            .nullable_since(1),
        field("allowAutoTopicCreation", BOOL).since(4),
        field("includeClusterAuthorizedOperations", BOOL).since(8).until(10),
        field("includeTopicAuthorizedOperations", BOOL).since(8),
    ],
);

pub(super) const DESCRIBE_CLUSTER: Shape = shape(
    0,
    &[
        field("includeClusterAuthorizedOperations", BOOL),
        field("endpointType", INT8).since(1),
        field("includeFencedBrokers", BOOL).since(2),
    ],
);

pub(super) const DESCRIBE_TOPIC_PARTITIONS: Shape = shape(
    0,
    &[
        field("topics", array(&[field("name", STRING)])),
        field("responsePartitionLimit", INT32),
        field("cursor", structure(&[field("topicName", STRING), field("partitionIndex", INT32)])).nullable(),
    ],
);

pub(super) const DESCRIBE_QUORUM: Shape = shape(
    0,
    &[field(
        "topics",
        array(&[field("topicName", STRING), field("partitions", array(&[field("partitionIndex", INT32)]))]),
    )],
);

pub(super) const UPDATE_FEATURES: Shape = shape(
    0,
    &[
        field("timeoutMs", INT32),
        field(
            "featureUpdates",
            array(&[
                field("feature", STRING),
                field("maxVersionLevel", INT16),
                field("allowDowngrade", BOOL).until(0),
                field("upgradeType", INT8).since(1),
            ]),
        ),
        field("validateOnly", BOOL).since(1),
    ],
);

pub(super) const GET_TELEMETRY_SUBSCRIPTIONS: Shape = shape(0, &[field("clientInstanceId", UUID)]);

pub(super) const PUSH_TELEMETRY: Shape = shape(
    0,
    &[
        field("clientInstanceId", UUID),
        field("subscriptionId", INT32),
        field("terminating", BOOL),
        field("compressionType", INT8),
        field("metrics", BYTES),
    ],
);
