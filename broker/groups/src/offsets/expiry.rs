use std::sync::Arc;

use super::store::{CommittedOffset, Offsets};

/// From when on the retention of a group's offsets counts (KIP-211).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExpiryBase {
    /// From each offset's commit.
    Commit,
    /// From when the group became empty.
    Since(i64),
}

impl ExpiryBase {
    fn is_expired(self, offset: &CommittedOffset, now_ms: i64, retention_ms: i64) -> bool {
        if let Some(expire_timestamp_ms) = offset.value.expire_timestamp_ms {
            return now_ms >= expire_timestamp_ms;
        }
        let base_ms = match self {
            Self::Commit => offset.value.commit_timestamp_ms,
            Self::Since(since_ms) => since_ms,
        };
        now_ms.saturating_sub(base_ms) >= retention_ms
    }
}

impl Offsets {
    /// The offsets past their retention that nobody is subscribed to or commits at this moment.
    pub(crate) fn expired(
        &self,
        base: ExpiryBase,
        now_ms: i64,
        retention_ms: i64,
        is_subscribed: impl Fn(&str) -> bool,
    ) -> Vec<(Arc<str>, i32)> {
        self.iter()
            .filter(|(topic, _, offset)| {
                base.is_expired(offset, now_ms, retention_ms) && !is_subscribed(topic)
            })
            .filter(|(topic, partition, _)| !self.is_in_flight(topic, *partition))
            .map(|(topic, partition, _)| (topic.clone(), partition))
            .collect()
    }
}
