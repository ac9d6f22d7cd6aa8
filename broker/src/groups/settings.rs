//! The groups' settings, out of the broker's.

use std::time::Duration;

use milena_groups::Config;

use crate::config::BrokerConfig;

/// The settings in force.
pub fn of(config: &BrokerConfig) -> Config {
    Config {
        min_session_timeout_ms: int(config.group_min_session_timeout_ms),
        max_session_timeout_ms: int(config.group_max_session_timeout_ms),
        max_size: config.group_max_size,
        initial_rebalance_delay_ms: int(config.group_initial_rebalance_delay_ms),
        offset_metadata_max_bytes: config.offset_metadata_max_bytes,
        offsets_retention_ms: config.offsets_retention_minutes.saturating_mul(60_000),
        // At least a second: the whole of the groups is looked at.
        offsets_retention_check_interval_ms: millis(config.offsets_retention_check).max(1_000),
        offset_commit_timeout_ms: millis(config.offsets_commit_timeout),
    }
}

fn int(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
