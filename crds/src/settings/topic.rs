//! Every setting of topics in Kafka 4.3, sorted by name.

use super::row::{
    CLEANUP, COMPRESSION, GZIP, HOUR, LZ4, MINUTE, NO_TIERS, TIMESTAMP, ZSTD, int, long, same, setting,
};
use super::{Kind, Setting, Synonym};

/// Every setting of topics, sorted by name.
pub const TOPIC_SETTINGS: &[Setting] = &[
    setting(
        "cleanup.policy",
        Kind::List(CLEANUP),
        "delete",
        "What happens to old records: `delete` drops segments beyond the retention, `compact` keeps the last record \
         of each key, both together do both, an empty list keeps everything.",
    )
    .from(&[same("log.cleanup.policy")]),
    setting("compression.gzip.level", GZIP, "-1", "Level of gzip where compression.type is gzip; -1 is gzip's own default.")
        .from(&[same("compression.gzip.level")]),
    setting("compression.lz4.level", LZ4, "9", "Level of lz4 where compression.type is lz4.")
        .from(&[same("compression.lz4.level")]),
    setting(
        "compression.type",
        Kind::Enum(COMPRESSION),
        "producer",
        "How records are compressed on disk. `producer` keeps what the producer sent, and costs nothing.",
    )
    .from(&[same("compression.type")]),
    setting("compression.zstd.level", ZSTD, "3", "Level of zstd where compression.type is zstd.")
        .from(&[same("compression.zstd.level")]),
    setting(
        "delete.retention.ms",
        long(0),
        "86400000",
        "How long a compacted topic keeps the marker of a deleted key. A consumer that reads from the start within \
         this time sees every deletion.",
    )
    .from(&[same("log.cleaner.delete.retention.ms")]),
    setting("file.delete.delay.ms", long(0), "60000", "How long the file of a dropped segment stays on disk.")
        .from(&[same("log.segment.delete.delay.ms")]),
    setting(
        "flush.messages",
        long(1),
        "9223372036854775807",
        "Sync to disk after this many records. By default the operating system decides; 1 syncs every write.",
    )
    .from(&[same("log.flush.interval.messages")]),
    setting("flush.ms", long(0), "9223372036854775807", "Sync to disk what is unsynced for this long.")
        .from(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]),
    setting(
        "follower.replication.throttled.replicas",
        Kind::ThrottledReplicas,
        "",
        "Replicas whose fetching is throttled, as partition:broker; * is all.",
    ),
    setting(
        "index.interval.bytes",
        int(0),
        "4096",
        "An index entry follows after this many bytes of records: fewer make reads start closer to their offset, \
         and indexes larger.",
    )
    .from(&[same("log.index.interval.bytes")]),
    setting(
        "leader.replication.throttled.replicas",
        Kind::ThrottledReplicas,
        "",
        "Replicas whose sending is throttled, as partition:broker; * is all.",
    ),
    setting(
        "local.retention.bytes",
        long(-2),
        "-2",
        "Size that a tiered topic keeps on the broker; -2 stands for retention.bytes.",
    )
    .from(&[same("log.local.retention.bytes")])
    .without_effect(NO_TIERS),
    setting(
        "local.retention.ms",
        long(-2),
        "-2",
        "Time that a tiered topic keeps on the broker; -2 stands for retention.ms.",
    )
    .from(&[same("log.local.retention.ms")])
    .without_effect(NO_TIERS),
    setting(
        "max.compaction.lag.ms",
        long(1),
        "9223372036854775807",
        "A record is compacted at the latest after this time.",
    )
    .from(&[same("log.cleaner.max.compaction.lag.ms")]),
    setting(
        "max.message.bytes",
        int(0),
        "1048588",
        "Largest batch of records that is taken, after compression, with its header.",
    )
    .from(&[same("message.max.bytes")]),
    setting(
        "message.timestamp.after.max.ms",
        long(0),
        "3600000",
        "How far the time of a record may be ahead of the broker's clock, where the producer gives the time.",
    )
    .from(&[same("log.message.timestamp.after.max.ms")]),
    setting(
        "message.timestamp.before.max.ms",
        long(0),
        "9223372036854775807",
        "How far the time of a record may be behind the broker's clock, where the producer gives the time.",
    )
    .from(&[same("log.message.timestamp.before.max.ms")]),
    setting(
        "message.timestamp.type",
        Kind::Enum(TIMESTAMP),
        "CreateTime",
        "Whose time a record carries: the producer's (`CreateTime`) or the broker's at the append (`LogAppendTime`).",
    )
    .from(&[same("log.message.timestamp.type")]),
    setting(
        "min.cleanable.dirty.ratio",
        Kind::Double(0.0, 1.0),
        "0.5",
        "Share of a log that is not compacted yet from which on compaction is worth while.",
    )
    .from(&[same("log.cleaner.min.cleanable.ratio")]),
    setting("min.compaction.lag.ms", long(0), "0", "A record stays as it is for at least this time before it is compacted.")
        .from(&[same("log.cleaner.min.compaction.lag.ms")]),
    setting(
        "min.insync.replicas",
        int(1),
        "1",
        "How many replicas must have a record before a producer with acks=all hears that it is safe. With fewer in \
         sync such writes are refused.",
    )
    .from(&[same("min.insync.replicas")]),
    setting(
        "preallocate",
        Kind::Bool,
        "false",
        "Take all of a segment's space on disk when it is begun, rather than a little ahead of its end. What is not \
         used is given back when the segment is complete.",
    )
    .from(&[same("log.preallocate")]),
    setting("remote.log.copy.disable", Kind::Bool, "false", "Make a tiered topic's tiers read-only.")
        .without_effect(NO_TIERS),
    setting("remote.log.delete.on.disable", Kind::Bool, "false", "Drop a topic's tiers when they are disabled.")
        .without_effect(NO_TIERS),
    setting("remote.storage.enable", Kind::Bool, "false", "Keep old segments in an object store.")
        .default_only("there is no tiered storage; leave it out or set it to false"),
    setting(
        "retention.bytes",
        long(i64::MIN),
        "-1",
        "How large a partition grows before its oldest segments are dropped; -1 is without limit.",
    )
    .from(&[same("log.retention.bytes")]),
    setting("retention.ms", long(-1), "604800000", "How long records are kept; -1 is for ever.").from(&[
        same("log.retention.ms"),
        Synonym { name: "log.retention.minutes", unit: MINUTE },
        Synonym { name: "log.retention.hours", unit: HOUR },
    ]),
    setting(
        "segment.bytes",
        int(1_048_576),
        "1073741824",
        "Size of a segment's file. Retention drops whole segments, so smaller ones follow it more closely.",
    )
    .from(&[same("log.segment.bytes")]),
    setting("segment.index.bytes", int(4), "10485760", "Largest index of a segment; a full index begins a new segment.")
        .from(&[same("log.index.size.max.bytes")]),
    setting(
        "segment.jitter.ms",
        long(0),
        "0",
        "Up to this much is taken off segment.ms at random, so that segments of many partitions do not end together.",
    )
    .from(&[same("log.roll.jitter.ms"), Synonym { name: "log.roll.jitter.hours", unit: HOUR }]),
    setting("segment.ms", long(1), "604800000", "After this time a new segment begins even if the last is not full.")
        .from(&[same("log.roll.ms"), Synonym { name: "log.roll.hours", unit: HOUR }]),
    setting(
        "unclean.leader.election.enable",
        Kind::Bool,
        "false",
        "Let a replica lead that may lack acknowledged records, when no other is left. Each such election is reported.",
    )
    .from(&[same("unclean.leader.election.enable")]),
];
