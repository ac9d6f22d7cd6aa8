//! Settings of brokers that work here, or that users commonly set and that do no harm, sorted by name.

use super::row::{
    NO_POOLS, NO_PURGATORY, NO_REPLICATION, NO_TRANSACTIONS, ONE_EXCHANGE, OWN_SIZE, any_int, inherited, int,
    long, setting, short,
};
use super::{Kind, Setting};

/// The default of a topic setting: of its kind, with its default and its effect.
macro_rules! default_of {
    ($name:literal, $topic:literal) => {
        inherited($name, $topic, concat!("The default of ", $topic, " for topics that do not set it."))
    };
}

const OTHER_GROUPS: &str = "the classic group protocol alone works today";

/// Settings of brokers, sorted by name.
pub const BROKER_SETTINGS: &[Setting] = &[
    setting(
        "auto.create.topics.enable",
        Kind::Bool,
        "true",
        "Make a topic when a client asks for one that is not there.",
    )
    .high()
    .restart(),
    setting(
        "auto.leader.rebalance.enable",
        Kind::Bool,
        "true",
        "Give leadership back to the first replica of each partition, once it is in sync again.",
    )
    .high(),
    setting("background.threads", int(1), "10", "Threads for background work.")
        .high()
        .without_effect(NO_POOLS),
    default_of!("compression.gzip.level", "compression.gzip.level"),
    default_of!("compression.lz4.level", "compression.lz4.level"),
    default_of!("compression.type", "compression.type").high(),
    default_of!("compression.zstd.level", "compression.zstd.level"),
    setting(
        "connections.max.idle.ms",
        long(i64::MIN),
        "600000",
        "A connection without a request for this long is closed.",
    )
    .restart(),
    setting("controlled.shutdown.enable", Kind::Bool, "true", "Move leadership away before a broker stops.")
        .restart()
        .default_only("brokers always do; leave it out"),
    setting(
        "default.replication.factor",
        int(1),
        "1",
        "Replicas of topics that are made without a number of replicas.",
    )
    .restart(),
    setting("delete.topic.enable", Kind::Bool, "true", "Let Kafka clients delete topics.").high().restart(),
    setting("fetch.max.bytes", int(1024), "57671680", "Most bytes that one fetch request is answered with.")
        .restart(),
    setting("fetch.purgatory.purge.interval.requests", any_int(), "1000", "When waiting fetches are purged.")
        .restart()
        .without_effect(NO_PURGATORY),
    setting(
        "group.consumer.heartbeat.interval.ms",
        int(1),
        "5000",
        "Heartbeats of the consumer group protocol (KIP-848).",
    )
    .restart()
    .without_effect(OTHER_GROUPS),
    setting(
        "group.consumer.max.size",
        int(1),
        "2147483647",
        "Most members of a group of the consumer protocol (KIP-848).",
    )
    .restart()
    .without_effect(OTHER_GROUPS),
    setting(
        "group.consumer.session.timeout.ms",
        int(1),
        "45000",
        "Session of the consumer group protocol (KIP-848).",
    )
    .restart()
    .without_effect(OTHER_GROUPS),
    setting(
        "group.initial.rebalance.delay.ms",
        int(0),
        "3000",
        "How long an empty group waits for more members before its first assignment.",
    )
    .restart(),
    setting(
        "group.max.session.timeout.ms",
        int(0),
        "1800000",
        "Longest session that a group member may ask for.",
    )
    .restart(),
    setting("group.max.size", int(1), "2147483647", "Most members of a group.").restart(),
    setting(
        "group.min.session.timeout.ms",
        int(0),
        "6000",
        "Shortest session that a group member may ask for.",
    )
    .restart(),
    setting(
        "leader.imbalance.check.interval.seconds",
        long(1),
        "300",
        "How often auto.leader.rebalance.enable looks at leadership.",
    )
    .high(),
    setting(
        "log.cleaner.backoff.ms",
        long(0),
        "15000",
        "Pause of the cleaner when nothing needs compaction; it looks once a second at most.",
    ),
    setting(
        "log.cleaner.dedupe.buffer.size",
        long(0),
        "134217728",
        "Memory of the cleaner's threads for keys, 24 bytes each. A log with more new keys is compacted in several passes.",
    ),
    default_of!("log.cleaner.delete.retention.ms", "delete.retention.ms"),
    setting("log.cleaner.enable", Kind::Bool, "true", "Compact the topics whose cleanup.policy says so.")
        .restart(),
    setting(
        "log.cleaner.io.buffer.load.factor",
        Kind::Double(0.0, 1.0),
        "0.9",
        "How full the memory for keys may get.",
    ),
    setting(
        "log.cleaner.io.buffer.size",
        int(0),
        "524288",
        "Memory of the cleaner's threads for reading and writing.",
    ),
    setting(
        "log.cleaner.io.max.bytes.per.second",
        Kind::Double(0.0, f64::MAX),
        "1.7976931348623157E308",
        "Most bytes a second that the cleaner's threads read and write, together and on average.",
    ),
    default_of!("log.cleaner.max.compaction.lag.ms", "max.compaction.lag.ms"),
    default_of!("log.cleaner.min.cleanable.ratio", "min.cleanable.dirty.ratio"),
    default_of!("log.cleaner.min.compaction.lag.ms", "min.compaction.lag.ms"),
    setting("log.cleaner.threads", int(0), "1", "How many logs are compacted at a time."),
    default_of!("log.cleanup.policy", "cleanup.policy"),
    setting(
        "log.dir.reserved.bytes",
        long(-1),
        "-1",
        "Milena's own: what is kept free in each log directory for committed offsets, checkpoints and compaction. \
         Records of clients that would need it are refused (KAFKA_STORAGE_ERROR, which clients retry) until there is \
         more room. -1 stands for 5 % of the file system, at most 1 GiB.",
    ),
    default_of!("log.flush.interval.messages", "flush.messages").high(),
    default_of!("log.flush.interval.ms", "flush.ms").high().unset(),
    setting(
        "log.flush.offset.checkpoint.interval.ms",
        int(0),
        "60000",
        "How often the recovery points are written down.",
    )
    .high()
    .restart(),
    setting(
        "log.flush.scheduler.interval.ms",
        long(0),
        "9223372036854775807",
        "How often logs are looked at for flush.ms, which takes its default from here too.",
    )
    .high()
    .restart(),
    setting(
        "log.flush.start.offset.checkpoint.interval.ms",
        int(0),
        "60000",
        "How often the log start offsets are written down.",
    )
    .high()
    .restart()
    .without_effect("log start offsets are written down together with the recovery points"),
    default_of!("log.index.interval.bytes", "index.interval.bytes"),
    default_of!("log.index.size.max.bytes", "segment.index.bytes"),
    default_of!("log.local.retention.bytes", "local.retention.bytes"),
    default_of!("log.local.retention.ms", "local.retention.ms"),
    default_of!("log.message.timestamp.after.max.ms", "message.timestamp.after.max.ms"),
    default_of!("log.message.timestamp.before.max.ms", "message.timestamp.before.max.ms"),
    default_of!("log.message.timestamp.type", "message.timestamp.type"),
    default_of!("log.preallocate", "preallocate"),
    default_of!("log.retention.bytes", "retention.bytes").high(),
    setting("log.retention.check.interval.ms", long(1), "300000", "How often old segments are looked for.")
        .restart(),
    setting(
        "log.retention.hours",
        any_int(),
        "168",
        "The default of retention.ms, in hours, where neither minutes nor milliseconds are set.",
    )
    .high()
    .restart(),
    setting(
        "log.retention.minutes",
        any_int(),
        "",
        "The default of retention.ms, in minutes, where milliseconds are not set.",
    )
    .high()
    .restart()
    .unset(),
    default_of!("log.retention.ms", "retention.ms").high().unset(),
    setting(
        "log.roll.hours",
        int(1),
        "168",
        "The default of segment.ms, in hours, where milliseconds are not set.",
    )
    .high()
    .restart(),
    setting(
        "log.roll.jitter.hours",
        int(0),
        "0",
        "The default of segment.jitter.ms, in hours, where milliseconds are not set.",
    )
    .high()
    .restart(),
    default_of!("log.roll.jitter.ms", "segment.jitter.ms").high().unset(),
    default_of!("log.roll.ms", "segment.ms").high().unset(),
    default_of!("log.segment.bytes", "segment.bytes").high(),
    default_of!("log.segment.delete.delay.ms", "file.delete.delay.ms").high(),
    setting(
        "max.connection.creation.rate",
        int(0),
        "2147483647",
        "Most new connections a second to one broker.",
    )
    .without_effect("max.connections and max.connections.per.ip alone are looked at"),
    setting("max.connections", int(0), "2147483647", "Most connections to one broker."),
    setting(
        "max.connections.per.ip",
        int(0),
        "2147483647",
        "Most connections to one broker from one address.",
    ),
    setting(
        "max.incremental.fetch.session.cache.slots",
        int(0),
        "1000",
        "Most fetch sessions that one broker keeps; consumers beyond it send full requests.",
    )
    .restart(),
    setting(
        "max.request.partition.size.limit",
        int(1),
        "2000",
        "Most partitions in one answer to DescribeTopicPartitions.",
    )
    .restart()
    .without_effect("an answer has room for every partition of the topics that it is about"),
    default_of!("message.max.bytes", "max.message.bytes").high(),
    setting(
        "milena.fetch.session.cache.partitions",
        int(0),
        "1000000",
        "Most partitions of all fetch sessions that one broker keeps, about 200 bytes each; consumers beyond it send full requests.",
    )
    .restart(),
    setting(
        "milena.fetch.tail.bytes",
        long(0),
        "4194304",
        "Most bytes of what was appended last that one broker keeps in memory for consumers at the ends of logs, the oldest going first; others read the page cache. With 0 all do.",
    ),
    setting(
        "milena.log.writeback.inflight.bytes",
        long(0),
        "1048576",
        "Appended records go to the disk early and steadily, so many bytes at a time: the more, the faster, and the \
         longer others wait for the disk; 0 leaves it to the kernel when they go.",
    ),
    setting(
        "milena.queued.max.response.bytes",
        long(1),
        "67108864",
        "Most bytes of answers that wait in one broker's memory for their clients; beyond it no answer is begun, and clients that read nothing are disconnected. Records of fetches wait on disk.",
    )
    .restart(),
    setting(
        "milena.queued.max.unsent.bytes",
        long(1),
        "67108864",
        "What the system takes of the answers of all connections before it can send them: a new connection gets no more of it than an equal part, and no less than 16 KiB (see milena.socket.unsent.bytes).",
    ),
    setting(
        "milena.reassignment.max.bytes.per.second",
        long(1),
        "9223372036854775807",
        "What one broker sends at most to replicas that are added, because partitions move, and are not in sync yet. \
         Moves by hand may have a limit of their own (kafka-reassign-partitions.sh --throttle).",
    ),
    setting(
        "milena.replica.silence.max.ms",
        long(500),
        "4000",
        "A follower of which its leader has heard nothing for this long, and that is behind for as long, leaves the ISR \
         where min.insync.replicas others are left; otherwise replica.lag.time.max.ms counts.",
    ),
    setting(
        "milena.request.progress.ms",
        long(1),
        "30000",
        "A request that has begun to arrive is given up, and its connection closed, where less than 64 KiB of it (or its rest) come in so long: it holds memory that others wait for.",
    ),
    setting(
        "milena.socket.unsent.bytes",
        int(0),
        "262144",
        "Most bytes that the system takes of a connection's answers before it can send them; 0: as many as it likes, which is some megabytes for each client that reads slowly. All connections together: milena.queued.max.unsent.bytes.",
    ),
    default_of!("min.insync.replicas", "min.insync.replicas").high(),
    setting("num.io.threads", int(1), "8", "Threads for requests.").high().without_effect(NO_POOLS),
    setting("num.network.threads", int(1), "3", "Threads for connections.").high().without_effect(NO_POOLS),
    setting(
        "num.partitions",
        int(1),
        "1",
        "Partitions of topics that are made without a number of partitions.",
    )
    .restart(),
    setting("num.recovery.threads.per.data.dir", int(1), "2", "Threads that open logs at the start.")
        .high()
        .without_effect(NO_POOLS),
    setting("num.replica.fetchers", int(1), "1", "Fetchers of a follower for each leader.")
        .high()
        .without_effect(ONE_EXCHANGE),
    setting(
        "offset.metadata.max.bytes",
        int(0),
        "4096",
        "Longest text that a consumer may store with an offset.",
    )
    .high()
    .restart(),
    setting(
        "offsets.commit.timeout.ms",
        int(1),
        "5000",
        "How long a commit of offsets waits to be replicated.",
    )
    .high()
    .restart(),
    setting(
        "offsets.load.buffer.size",
        int(1),
        "5242880",
        "Bytes that are read at once when the offsets of groups are loaded.",
    )
    .high()
    .restart()
    .without_effect(OWN_SIZE),
    setting(
        "offsets.retention.check.interval.ms",
        long(1),
        "600000",
        "How often forgotten offsets are looked for.",
    )
    .high()
    .restart(),
    setting(
        "offsets.retention.minutes",
        int(1),
        "10080",
        "How long offsets are kept after a group became empty.",
    )
    .high()
    .restart(),
    setting(
        "offsets.topic.num.partitions",
        int(1),
        "50",
        "Partitions of __consumer_offsets when it is made; not to be changed later.",
    )
    .high()
    .restart(),
    setting(
        "offsets.topic.replication.factor",
        short(1),
        "3",
        "Replicas of __consumer_offsets when it is made.",
    )
    .high()
    .restart(),
    setting(
        "offsets.topic.segment.bytes",
        int(1),
        "104857600",
        "segment.bytes of __consumer_offsets when it is made.",
    )
    .high()
    .restart(),
    setting(
        "producer.id.expiration.ms",
        int(1),
        "86400000",
        "An idempotent producer that sent nothing for this long is forgotten.",
    )
    .low(),
    setting(
        "producer.purgatory.purge.interval.requests",
        any_int(),
        "1000",
        "When waiting writes are purged.",
    )
    .restart()
    .without_effect(NO_PURGATORY),
    setting(
        "queued.max.request.bytes",
        long(-1),
        "-1",
        "Most bytes of requests in hand in one broker; -1 is a quarter of the memory that it may use.",
    )
    .restart(),
    setting("queued.max.requests", int(1), "500", "Most requests that wait for a thread.")
        .high()
        .restart()
        .without_effect(NO_POOLS),
    setting(
        "replica.fetch.max.bytes",
        int(0),
        "1048576",
        "Most bytes of one partition that a follower fetches at once.",
    )
    .restart(),
    setting("replica.fetch.min.bytes", any_int(), "1", "Least bytes that a follower's fetch waits for.")
        .high()
        .restart()
        .without_effect(ONE_EXCHANGE),
    setting(
        "replica.fetch.response.max.bytes",
        int(0),
        "10485760",
        "Most bytes that a follower fetches at once.",
    )
    .restart(),
    setting("replica.fetch.wait.max.ms", any_int(), "500", "How long a follower's fetch waits.")
        .high()
        .restart()
        .without_effect(ONE_EXCHANGE),
    setting(
        "replica.lag.time.max.ms",
        long(i64::MIN),
        "30000",
        "A follower that has not caught up for this long leaves the ISR.",
    )
    .high()
    .restart(),
    setting(
        "replica.selector.class",
        Kind::Enum(&[
            "org.apache.kafka.common.replica.LeaderSelector",
            "org.apache.kafka.common.replica.RackAwareReplicaSelector",
        ]),
        "org.apache.kafka.common.replica.LeaderSelector",
        "Which replica consumers read from: the leader, or one in their own rack that is in sync.",
    ),
    setting("request.timeout.ms", any_int(), "30000", "How long a broker waits for another.")
        .high()
        .restart()
        .without_effect(NO_REPLICATION),
    setting(
        "socket.listen.backlog.size",
        int(1),
        "50",
        "Connections that the system holds before they are accepted.",
    )
    .restart()
    .without_effect("the size that the operating system chooses is used"),
    setting(
        "socket.receive.buffer.bytes",
        int(-1),
        "-1",
        "The system's receive buffer of a connection; -1 is what the system chooses, which grows with the connection. Connections to come have it.",
    )
    .high(),
    setting("socket.request.max.bytes", int(1), "104857600", "Largest request that is read.")
        .high()
        .restart(),
    setting(
        "socket.send.buffer.bytes",
        int(-1),
        "-1",
        "The system's send buffer of a connection; -1 is what the system chooses, which grows with the connection. Connections to come have it.",
    )
    .high(),
    setting("transaction.max.timeout.ms", int(1), "900000", "Longest time that a transaction may ask for.")
        .high()
        .restart()
        .without_effect(NO_TRANSACTIONS),
    setting(
        "transaction.state.log.min.isr",
        int(1),
        "2",
        "min.insync.replicas of __transaction_state when it is made.",
    )
    .high()
    .restart()
    .without_effect(NO_TRANSACTIONS),
    setting(
        "transaction.state.log.num.partitions",
        int(1),
        "50",
        "Partitions of __transaction_state when it is made.",
    )
    .high()
    .restart()
    .without_effect(NO_TRANSACTIONS),
    setting(
        "transaction.state.log.replication.factor",
        short(1),
        "3",
        "Replicas of __transaction_state when it is made.",
    )
    .high()
    .restart()
    .without_effect(NO_TRANSACTIONS),
    setting(
        "transaction.state.log.segment.bytes",
        int(1),
        "104857600",
        "segment.bytes of __transaction_state when it is made.",
    )
    .high()
    .restart()
    .without_effect(NO_TRANSACTIONS),
    setting(
        "transactional.id.expiration.ms",
        int(1),
        "604800000",
        "A transactional id without a transaction for this long is forgotten.",
    )
    .high()
    .restart()
    .without_effect(NO_TRANSACTIONS),
    default_of!("unclean.leader.election.enable", "unclean.leader.election.enable").high(),
];
