/// Settings of the group coordinator, under Kafka's names, with Kafka's defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.max.size`: members of one group.
    pub max_size: usize,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members.
    pub initial_rebalance_delay_ms: i32,
    /// `offset.metadata.max.bytes`, counted as Kafka counts it: in UTF-16 units.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    /// `offsets.commit.timeout.ms`: how long a request waits for its record to be committed.
    pub offset_commit_timeout_ms: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            max_size: usize::MAX,
            initial_rebalance_delay_ms: 3_000,
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            offset_commit_timeout_ms: 5_000,
        }
    }
}

/// How long a member that has just joined for the first time may wait for its answer. It has no member id
/// yet with which it could send heartbeats, so its session timeout does not tell whether it is still there.
pub(crate) const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1_000;

/// Member ids given out in one group that nobody has joined with yet (KIP-394).
pub(crate) const MAX_PENDING_MEMBERS: usize = 10_000;

/// Groups of one partition that have no record in the log yet, for they are gone at the first restart.
pub(crate) const MAX_GROUPS: usize = 1_000_000;

/// Bytes of a group id, member id, instance id, client id, protocol name or type: the formats of
/// `__consumer_offsets` count them in 16 bits.
pub(crate) const MAX_STRING_BYTES: usize = 32_767;
