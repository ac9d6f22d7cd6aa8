//! Objects, applied one after the other: the same name again is an update.

/// One `apply`.
pub struct Case {
    pub kind: &'static str,
    pub name: &'static str,
    /// YAML.
    pub spec: &'static str,
    /// A part of the message, where it is refused.
    pub refused: Option<&'static str>,
}

const fn topic(name: &'static str, spec: &'static str) -> Case {
    Case { kind: "KafkaTopic", name, spec, refused: None }
}

const fn cluster(name: &'static str, spec: &'static str) -> Case {
    Case { kind: "KafkaCluster", name, spec, refused: None }
}

impl Case {
    const fn refused(self, message: &'static str) -> Self {
        Self { refused: Some(message), ..self }
    }
}

/// A name for an object, and too long for a topic: 250 characters.
const LONG: &str = concat!(
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
);

pub const CASES: &[Case] = &[
    topic("minimal", "{cluster: other}"),
    topic("a", "{cluster: demo, partitions: 3, config: {retention.ms: 604800000, min.insync.replicas: 2}}"),
    topic("a", "{cluster: demo, partitions: 3, config: {preallocate: true, min.cleanable.dirty.ratio: 0.5}}"),
    topic(
        "a",
        "{cluster: demo, partitions: 3, config: {retention.ms: '-1', preallocate: 'false', compression.type: gzip}}",
    ),
    topic(
        "a",
        "{cluster: demo, partitions: 3, config: {flush.ms: '9223372036854775807', cleanup.policy: 'compact,delete'}}",
    ),
    topic("a", "{cluster: demo, partitions: 2}").refused("partitions can grow, never shrink"),
    topic("a", "{cluster: demo, partitions: 4}"),
    topic("a", "{cluster: demo2, partitions: 4}").refused("spec.cluster cannot change from demo to demo2"),
    topic("a", "{cluster: demo, partitions: 4, topicName: b}").refused("spec.topicName cannot change"),
    topic("a", "{cluster: demo, partitions: 4, topicName: a}"),
    topic("a", "{cluster: demo, partitions: 4, replicas: 3}"),
    topic("a", "{cluster: demo, partitions: 4, replicas: 2}"),
    topic("a", "{cluster: demo, partitions: 10001}").refused("less than or equal to 10000"),
    topic("b", "{cluster: demo, partitions: 0}").refused("greater than or equal to 1"),
    topic("b", "{cluster: demo, replicas: 0}").refused("greater than or equal to 1"),
    topic("b", "{cluster: demo, replicas: 65}").refused("less than or equal to 64"),
    topic("b", "{partitions: 1}").refused("spec.cluster: Required value"),
    topic("b", "{cluster: demo, topicName: 'a b'}").refused("other than ASCII alphanumerics"),
    topic("b", "{cluster: demo, topicName: ..}").refused("must not be empty"),
    topic("b", "{cluster: demo, topicName: ''}").refused("must not be empty"),
    topic("b", "{cluster: demo, topicName: __consumer_offsets}"),
    topic(LONG, "{cluster: demo}").refused("max allowed length 249"),
    topic(LONG, "{cluster: demo, topicName: short}"),
    topic("c", "{cluster: demo, config: {retention.m: 1}}")
        .refused(".spec.config.retention.m: field not declared"),
    topic("c", "{cluster: demo, config: {retention.ms: abc}}").refused("should match"),
    topic("c", "{cluster: demo, config: {retention.ms: -2}}").refused("allowed: at least -1"),
    topic("c", "{cluster: demo, config: {retention.ms: '-2'}}").refused("allowed: at least -1"),
    topic("c", "{cluster: demo, config: {retention.ms: 1.5}}").refused("must be of type integer,string"),
    topic("c", "{cluster: demo, config: {retention.ms: true}}").refused("must be of type integer,string"),
    topic("c", "{cluster: demo, config: {retention.ms: '9999999999999999999'}}")
        .refused("allowed: at least -1"),
    topic("c", "{cluster: demo, config: {segment.bytes: 1024}}").refused("allowed: at least 1048576"),
    topic("c", "{cluster: demo, config: {segment.bytes: '2147483648'}}").refused("at most 2147483647"),
    topic("c", "{cluster: demo, config: {compression.gzip.level: 0}}").refused("allowed: -1 to 9, not 0"),
    topic("c", "{cluster: demo, config: {preallocate: 'yes'}}").refused("supported values"),
    topic("c", "{cluster: demo, config: {preallocate: 1}}").refused("supported values"),
    topic("c", "{cluster: demo, config: {remote.storage.enable: true}}").refused("supported values"),
    topic("c", "{cluster: demo, config: {min.cleanable.dirty.ratio: 1.5}}")
        .refused("less than or equal to 1"),
    topic("c", "{cluster: demo, config: {min.cleanable.dirty.ratio: half}}").refused("should match"),
    topic("c", "{cluster: demo, config: {min.cleanable.dirty.ratio: [1]}}").refused("at most 0 items"),
    topic("c", "{cluster: demo, config: {compression.type: brotli}}").refused("supported values"),
    topic("c", "{cluster: demo, config: {cleanup.policy: compacted}}").refused("should match"),
    topic("c", "{cluster: demo, config: {follower.replication.throttled.replicas: '0:1,x'}}")
        .refused("should match"),
    topic("c", "{cluster: demo, unknown: 1}").refused(".spec.unknown: field not declared"),
    cluster(
        "k",
        "{brokers: 1, storage: {size: 10Gi, storageClassName: fast}, config: {min.insync.replicas: 2}}",
    ),
    cluster("k", "{storage: {size: 9Gi, storageClassName: fast}}")
        .refused("volumes cannot shrink from 10Gi to 9Gi"),
    cluster("k", "{storage: {size: 10240Mi, storageClassName: fast}}"),
    cluster("k", "{storage: {size: 11Gi, storageClassName: slow}}").refused("storageClassName cannot change"),
    cluster("k", "{storage: {size: 11Gi}}").refused("storageClassName cannot change"),
    cluster(
        "k",
        "{brokers: 3, storage: {size: 20Gi, storageClassName: fast}, config: {auto.create.topics.enable: false}}",
    ),
    cluster("l", "{brokers: -1, storage: {size: 1Gi}}").refused("greater than or equal to 0"),
    cluster("l", "{brokers: 1001, storage: {size: 1Gi}}").refused("less than or equal to 1000"),
    cluster("l", "{brokers: 1}").refused("spec.storage: Required value"),
    cluster("l", "{storage: {size: 10Gb}}").refused("must be a size above 0"),
    cluster("l", "{storage: {size: 0}}").refused("must be a size above 0"),
    cluster("l", "{storage: {size: -1Gi}}").refused("must be a size above 0"),
    cluster("l", "{storage: {size: 1Gi, volumes: 0}}").refused("greater than or equal to 1"),
    cluster("l", "{storage: {size: 1Gi, volumes: 17}}").refused("less than or equal to 16"),
    cluster("v", "{storage: {size: 1Gi}}"),
    cluster("v", "{storage: {size: 1Gi, volumes: 3}}"),
    cluster("v", "{storage: {size: 1Gi, volumes: 2}}").refused("volumes cannot become fewer"),
    cluster("v", "{storage: {size: 1Gi}}").refused("volumes cannot become fewer"),
    cluster("l", "{storage: {size: 1073741824}}"),
    cluster("l", "{storage: {size: 1Gi}, config: {listeners: x}}").refused("field not declared"),
    cluster("l", "{storage: {size: 1Gi}, config: {default.replication.factor: 3}}"),
    cluster("l", "{storage: {size: 1Gi}, config: {default.replication.factor: 0}}").refused("at least 1"),
    cluster("l", "{storage: {size: 1Gi}, config: {log.retention.hours: 1.5}}")
        .refused("must be of type integer,string"),
    cluster("l", "{storage: {size: 1Gi}, config: {num.partitions: '3', log.retention.hours: -1}}"),
    cluster("demo-bootstrap", "{storage: {size: 1Gi}}").refused("must not end with -bootstrap"),
    cluster("1a", "{storage: {size: 1Gi}}").refused("at most 48 characters"),
    cluster("a.b", "{storage: {size: 1Gi}}").refused("at most 48 characters"),
    cluster("a234567890123456789012345678901234567890123456789", "{storage: {size: 1Gi}}")
        .refused("at most 48 characters"),
];
